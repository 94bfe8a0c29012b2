"""Seeds of the store's own archive: by `todoke backfill --write seeds` without files, and by a live job itself."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from commands import Todoke
from releases import publish, release_of

from beam_pipelines.options import Config
from todoke.self_seeding import OVER, Looks, keep_seeded, keep_warming
from transforms.campaigns.load import compiled
from transforms.campaigns.release import Release, beside, encode_pointer, encode_texts
from transforms.campaigns.transforms import write_file
from transforms.events.decode import decode
from transforms.events.live.inflight import InFlight
from transforms.events.sources import Subscription
from transforms.job import Job
from transforms.metrics.counts import counts_of
from transforms.storage.open import open_store
from transforms.users.control import decode_control
from transforms.users.effects import Account
from transforms.users.seeding import Seeding
from transforms.users.user import Input, decode_user, route
from transforms.users.write_batch import WriteBatch, open_users

Plain = dict[str, Any]
OLD: Plain = {"segments": {"s": {"members": {"event": "A"}}}}
RICH: Plain = {
    "segments": {
        "s": {"members": {"event": "A", "sum": {"of": "price", "at_least": 30}}},
        "t": {"members": {"event": "C"}},
    }
}
#: 2026-03-10T12:00:00Z, when the second release is published; it counts from 12:10 on.
PUBLISHED, MINUTE = 1_773_144_000_000_000, 60_000_000
ACTIVE = PUBLISHED + 10 * MINUTE


def call(minute: int, user: str, **fields: Any) -> Plain:
    time = f"2026-03-10T{12 + minute // 60:02}:{minute % 60:02}:00Z"
    said = {"event": "A", "properties": {"price": 20}, "timestamp": time, "messageId": f"{user} {minute}", **fields}
    return {"type": "track", "userId": user, **said}


class Shop:
    """The store of a live job with its archive, and the pointer that it looks at."""

    def __init__(self, folder: Path) -> None:
        first = release_of(OLD)
        self.release = publish(first, RICH, PUBLISHED, ACTIVE)
        self.url = f"sqlite:{folder / 'live.db'}"
        self.pointer = str(folder / "shop.json")
        self.store = open_store(self.url)
        names = {each.definitions_hash: f"{each.definitions_hash}.json" for each in self.release.revisions}
        for each in self.release.revisions:
            write_file(beside(self.pointer, names[each.definitions_hash]), encode_texts(each.texts))
        write_file(self.pointer, encode_pointer(self.release, names))
        for message in (call(-60, "ann"), call(-50, "ann"), call(-40, "bob"), call(-30, "cat", event="B")):
            self.take(message, first)

    def take(self, message: Plain, release: Release | None = None) -> None:
        event, _ = decode(json.dumps(message).encode())
        self.apply(route(event), [event], release)

    def apply(self, key: str, inputs: list[Input], release: Release | None = None) -> list[Account]:
        batch = WriteBatch(compiled(release or self.release), self.store)
        batch.apply(open_users(self.store, [key])[key], inputs)
        return [result for result in batch.flush() if isinstance(result, Account)]

    def deliver(self) -> int:
        """What a live job does with its control table; how many seeds there were."""
        rows = self.store.read_control(100)
        for row in rows:
            self.apply(*decode_control(row.payload, row.published))
        self.store.delete_control([row.id for row in rows])
        return len(rows)

    @property
    def members(self) -> set[str]:
        return {row.user for row in self.store.scan_users() if "s" in decode_user(row.state).members}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_nobody_needs_files(shop: Shop, todoke: Todoke, tmp_path: Path) -> None:
    flags = ("--definitions", "shop.json", "--store", "sqlite:live.db", "--write", "seeds", "--rate", "5000")
    done = todoke("backfill", *flags, "--report", "report.json")
    assert (done.returncode, "by archive: 2 seeds, 1 empty" in done.stdout) == (0, True), done.stderr
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert (report["engine"], report["seeded"], report["empty"]) == ("archive", 2, 1)
    assert (shop.deliver(), shop.members) == (3, {"ann"})
    assert todoke("backfill", *flags, "--events", "store").stdout.startswith("nobody waits for a seed")


def test_a_message_that_lagged_behind_lets_a_seed_be_made_anew(shop: Shop, todoke: Todoke) -> None:
    flags = ("--definitions", "shop.json", "--store", "sqlite:live.db", "--write", "seeds", "--rate", "5000")
    assert todoke("backfill", *flags).returncode == 0
    shop.take(call(5, "bob"))  # it arrived before the activation, and is applied after the seed was read
    shop.deliver()
    assert shop.members == {"ann", "bob"}, "the condition as it was answers"
    assert "by archive: 1 seed, 0 empty" in todoke("backfill", *flags).stdout
    assert (shop.deliver(), shop.members) == (1, {"ann", "bob"}), "twice 20"
    shop.take(call(6, "cat"))
    shop.take(call(7, "cat"))
    assert shop.members == {"ann", "bob", "cat"}, "what comes so late counts, since no seed had it"


def test_explain_speaks_of_no_older_condition_that_is_not_there(shop: Shop, todoke: Todoke) -> None:
    shop.take(call(5, "ann"))
    for segment, answers in (("s", "the condition as it was answers"), ("t", "it answers no")):
        flags = ("--store", shop.url, "--definitions", "shop.json")
        lines = todoke("explain", "ann", segment, *flags).stdout.splitlines()
        assert lines[1].endswith(f"warming: until a seed comes {answers})"), lines
        assert lines[2].endswith("warming: waits for a seed)")


def test_a_live_job_seeds_by_itself(shop: Shop) -> None:
    config = Config(shop.release, Subscription("projects/p/subscriptions/s"), 0, store=shop.url, live=True)
    looks = iter([False, False])

    keep_seeded(config, Job(), Looks(), lambda: next(looks, True) if not shop.store.read_control(1) else True)
    assert (shop.deliver(), shop.members) == (3, {"ann"})


def test_it_looks_again_soon_where_somebody_waited_and_seldom_where_nobody_did(shop: Shop) -> None:
    definitions, looks, now = compiled(shop.release), Looks(), ACTIVE + OVER
    assert looks.due(definitions, now - 1) == set()
    assert looks.due(definitions, now) == {ACTIVE}
    looks.note({ACTIVE}, Seeding(empty=Counter({ACTIVE: 1})), now)
    assert (looks.due(definitions, now + 9_000_000), looks.due(definitions, now + 10_000_000)) == (set(), {ACTIVE})
    for pause in (60, 120, 240):
        looks.note({ACTIVE}, Seeding(), now)
        assert looks.due(definitions, now + pause * 1_000_000 - 1) == set()
        assert looks.due(definitions, now + pause * 1_000_000) == {ACTIVE}
    assert time.time_ns() // 1000 > ACTIVE


def warming(shop: Shop) -> set[tuple[str, int]]:
    """Segments, with the minutes in which they are known to have warmed."""
    counts = counts_of(shop.store, "warming")
    return {(each.labels["segment"], each.window // MINUTE * MINUTE) for each in counts if each.count}


def test_it_knows_for_which_activations_somebody_waits(shop: Shop) -> None:
    definitions, now = compiled(shop.release), ACTIVE + OVER
    looks, later = Looks(PUBLISHED), Looks(now)
    assert looks.waiting(definitions, ACTIVE - 1) == frozenset()
    assert looks.waiting(definitions, ACTIVE) == {ACTIVE}, "nobody has searched yet"
    assert later.waiting(definitions, now) == frozenset(), "a job that began after it does not know"
    search = later.begin()
    search.empty[ACTIVE] += 1
    assert later.waiting(definitions, now) == {ACTIVE}, "the search goes on, and has found somebody"
    later.note({ACTIVE}, search, now)
    assert later.waiting(definitions, now + MINUTE) == {ACTIVE}
    later.note({ACTIVE}, later.begin(), now)
    assert later.waiting(definitions, now + MINUTE) == frozenset()


@pytest.mark.parametrize("seed", [True, False])
def test_the_minutes_in_which_users_wait_for_seeds_are_counted(shop: Shop, seed: bool) -> None:
    config = Config(shop.release, Subscription("projects/p/subscriptions/s"), 0, store=shop.url, live=True, seed=seed)
    looks, job = Looks(time.time_ns() // 1000), Job()

    def once(keep: Any) -> None:
        stops = iter([False] * 6)  # it is asked between seeds, too
        keep(config, job, looks, lambda: next(stops, True))

    once(keep_warming)
    assert warming(shop) == set()
    once(keep_seeded)
    assert bool(shop.store.read_control(1)) == seed
    since = time.time_ns() // 1000 // MINUTE * MINUTE
    once(keep_warming)
    found = warming(shop)
    assert {segment for segment, _ in found} == {"s", "t"}
    assert all(minute >= since for _, minute in found)


def test_who_is_judged_by_an_older_condition_says_that_it_warms(shop: Shop) -> None:
    """On every engine, also where nobody searches."""

    def take(message: Plain, clock: int) -> None:
        batch = WriteBatch(
            compiled(shop.release), shop.store, in_flight=InFlight(), counts_with_rows=True, clock=lambda: clock
        )
        event, _ = decode(json.dumps(message).encode())
        batch.apply(open_users(shop.store, [route(event)])[route(event)], [event])
        list(batch.flush())

    take(call(9, "ann"), ACTIVE - 1)
    take(call(12, "new"), ACTIVE + 2 * MINUTE)
    assert warming(shop) == set(), "it does not count yet, and who is new waits for nothing"
    take(call(13, "ann"), ACTIVE + 3 * MINUTE)
    assert warming(shop) == {("s", ACTIVE + 3 * MINUTE), ("t", ACTIVE + 3 * MINUTE)}


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        (("--write", "seeds", "--engine", "rows"), "--engine: seeds of the store's archive and audits take none"),
        (("--write", "users", "--as-of", "2026-03-10T12:00:00Z"), "--events: name the files that users are made of"),
        (("--events", "x.jsonl"), "--as-of: name the time up to which the files are read"),
    ],
)
def test_wrong_use(shop: Shop, todoke: Todoke, flags: tuple[str, ...], cause: str) -> None:
    done = todoke("backfill", "--definitions", "shop.json", "--store", "sqlite:live.db", *flags)
    assert (done.returncode, done.stdout, cause in done.stderr) == (2, "", True), done.stderr
