"""`todoke backfill --write seeds`: what it publishes for a live job's users, prints and refuses."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from releases import publish, release_of

from transforms.campaigns.load import compiled
from transforms.campaigns.release import Release, beside, encode_pointer, encode_texts
from transforms.campaigns.transforms import write_file
from transforms.events.decode import decode
from transforms.storage.open import open_store
from transforms.users.advance import fold
from transforms.users.control import decode_control
from transforms.users.rows import user_row
from transforms.users.user import User, decode_user, encode_user, route

Plain = dict[str, Any]

OLD: Plain = {"segments": {"s": {"members": {"event": "A"}}}}
OFTEN = {"members": {"event": "A", "count": {"at_least": 2}}}
RICH = {"members": {"event": "A", "sum": {"of": "price", "at_least": 30}}}
BUSY = {"members": {"event": "Session Ended", "count": {"at_least": 2}}}
#: 2026-03-10T12:00:00Z, when the second release is published; it counts from 12:10 on.
PUBLISHED, MINUTE = 1_773_144_000_000_000, 60_000_000
ACTIVE = PUBLISHED + 10 * MINUTE


def call(day: int, user: str, **fields: Any) -> Plain:
    time = f"2026-03-{day:02}T12:00:00Z"
    said = {"event": "A", "properties": {"price": 20}, "timestamp": time, "messageId": f"{user} {day}", **fields}
    return {"type": "track", "userId": user, **said}


HISTORY = [call(1, "ann"), call(2, "ann"), call(3, "bob"), call(4, "cat", event="B"), call(11, "new"), call(12, "ann")]


class Shop:
    """A folder with a pointer, a history, and the store that a live job left."""

    def __init__(self, folder: Path, todoke: Callable[..., Any], new: Plain) -> None:
        self.folder = folder
        self.todoke = todoke
        first = release_of(OLD)
        self.release = publish(first, new, PUBLISHED, ACTIVE)
        self.write(self.release)
        (folder / "events.jsonl").write_text("\n".join(map(json.dumps, HISTORY)), encoding="utf-8")
        self.store = open_store(f"sqlite:{folder / 'live.db'}")
        for message in HISTORY:
            event, _ = decode(json.dumps(message).encode())
            self.take(route(event), [event], first if event.arrival < PUBLISHED else self.release)

    def write(self, release: Release) -> None:
        pointer = str(self.folder / "shop.json")
        names = {each.definitions_hash: f"{each.definitions_hash}.json" for each in release.revisions}
        for each in release.revisions:
            write_file(beside(pointer, names[each.definitions_hash]), encode_texts(each.texts))
        write_file(pointer, encode_pointer(release, names))

    def take(self, key: str, inputs: list[Any], release: Release) -> None:
        user, _ = fold(self.user(key), inputs, compiled(release))
        self.store.write_users([user_row(user, encode_user(user), [])])

    def user(self, name: str) -> User:
        rows = self.store.read_users([name])
        return decode_user(rows[name].state) if rows else User(name)

    def backfill(self, *more: str, **flags: str) -> Any:
        given = {
            "--definitions": "shop.json",
            "--events": "events.jsonl",
            "--as-of": "2026-03-10T13:00:00Z",
            "--store": "sqlite:live.db",
            "--write": "seeds",
            "--rate": "5000",
            "--report": "report.json",
            **{f"--{name.replace('_', '-')}": value for name, value in flags.items()},
        }
        return self.todoke("backfill", *[word for flag in given.items() for word in flag], *more)

    def report(self) -> Plain:
        found: Plain = json.loads((self.folder / "report.json").read_bytes())
        return found

    def deliver(self, most: int = 100) -> list[str]:
        """What a live job does with its control table; whom it took something for."""
        rows = self.store.read_control(most)
        for row in rows:
            key, inputs = decode_control(row.payload, row.published)
            self.take(key, inputs, self.release)
        self.store.delete_control([row.id for row in rows])
        return sorted(decode_control(row.payload, None)[0] for row in rows)

    def members(self) -> set[str]:
        return {row.user for row in self.store.scan_users() if "s" in decode_user(row.state).members}


@pytest.fixture
def shop(tmp_path: Path, todoke: Callable[..., Any]) -> Shop:
    return Shop(tmp_path, todoke, {"segments": {"s": OFTEN}})


@pytest.mark.parametrize("engine", ["columns", "rows"])
def test_seeds_go_to_those_who_wait_and_the_new_condition_answers(shop: Shop, engine: str) -> None:
    done = shop.backfill(engine=engine)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert f"activation 2026-03-10T12:10:00Z, by {engine}: 2 seeds, 1 empty" in done.stdout
    report = shop.report()
    counts = {"seeded": 2, "empty": 1, "missed": 0}
    assert {name: report[name] for name in counts} == counts
    assert report["activations"] == {"2026-03-10T12:10:00Z": counts}
    assert (report["write"], report["engine"], report["users"], report["read"]) == ("seeds", engine, 4, 6)
    assert shop.deliver() == ["ann", "bob", "cat"], "and not who was first seen later"
    assert shop.members() == {"ann"}
    assert not any(decode_user(row.state).warming for row in shop.store.scan_users())


def test_again_it_finds_nobody(shop: Shop) -> None:
    shop.backfill()
    shop.deliver(most=1)
    shop.backfill()
    assert len(shop.deliver()) == 2 + 2, "those who had theirs wait no more"
    before = {row.user: row for row in shop.store.scan_users()}
    done = shop.backfill()
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "nobody waits for a seed")
    assert shop.deliver() == []
    assert {row.user: row for row in shop.store.scan_users()} == before


def test_sums_are_seeded_by_columns(tmp_path: Path, todoke: Callable[..., Any]) -> None:
    shop = Shop(tmp_path, todoke, {"segments": {"s": RICH}})
    assert shop.backfill().returncode == 0
    assert shop.report()["engine"] == "columns"
    shop.deliver()
    assert shop.members() == {"ann"}


def test_what_has_no_columnar_form_goes_by_rows(tmp_path: Path, todoke: Callable[..., Any]) -> None:
    shop = Shop(tmp_path, todoke, {"segments": {"s": BUSY}, "policies": {"sessions": {"gap": "30m"}}})
    refused = shop.backfill(engine="columns")
    assert refused.returncode == 2
    assert "`event: Session Ended` in s has no columnar form: use --engine rows" in refused.stderr
    assert shop.deliver() == []
    assert shop.backfill().returncode == 0
    assert shop.report()["engine"] == "rows"
    shop.deliver()
    assert shop.members() == {"ann"}


def test_gzipped_files_by_a_pattern(shop: Shop) -> None:
    (shop.folder / "events.jsonl").unlink()
    for number, some in enumerate((HISTORY[:2], HISTORY[2:])):
        text = "\r\n".join([*map(json.dumps, some), "", "not JSON"])
        (shop.folder / f"day-{number}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    assert shop.backfill(events="day-*.gz").returncode == 0
    report = shop.report()
    assert (report["read"], report["dead_letters"], report["seeded"]) == (8, 2, 2)


def test_an_activation_after_the_events_is_left_out_and_others_are_seeded(shop: Shop) -> None:
    later = publish(shop.release, {"segments": {"s": OFTEN, "t": RICH}}, ACTIVE + MINUTE, ACTIVE + 20 * MINUTE)
    shop.write(later)
    shop.take("ann", [], later)
    done = shop.backfill(as_of="2026-03-10T12:15:00Z", engine="columns")
    assert done.returncode == 0, done.stderr
    assert "activation 2026-03-10T12:10:00Z, by columns" in done.stdout
    assert "activation 2026-03-10T12:30:00Z is left out: it is after 2026-03-10T12:15:00Z" in done.stdout
    report = shop.report()
    assert list(report["activations"]) == ["2026-03-10T12:10:00Z"]
    assert report["left_out"] == ["2026-03-10T12:30:00Z"]


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        ({"as_of": "2026-03-10T12:09:59Z"}, "--as-of: new conditions count from 2026-03-10T12:10:00Z"),
        ({"activation": "2026-03-10T12:00:00Z"}, "--activation: the pointer has 2026-03-10T12:10:00Z; found"),
        ({"rate": "0"}, "--rate: expected more than 0"),
        ({"control_topic": "topic"}, "expected pubsub:projects/PROJECT/topics/NAME"),
        ({"runner": "DataflowRunner"}, "seeds are made on this machine"),
    ],
)
def test_wrong_use(shop: Shop, flags: dict[str, str], cause: str) -> None:
    done = shop.backfill(**flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert cause in done.stderr
    assert "Traceback" not in done.stderr
    assert shop.deliver() == []


def test_events_that_are_not_there_are_wrong_use(shop: Shop) -> None:
    for engine in ("columns", "rows"):
        done = shop.backfill(events="missing-*.jsonl", engine=engine)
        assert (done.returncode, "missing-*.jsonl" in done.stderr) == (2, True)
        assert "Traceback" not in done.stderr
    assert shop.deliver() == []
