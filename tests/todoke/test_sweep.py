"""`todoke sweep`: claims whose lease is over become unknown, once, and the users' state is told."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from channels.handing import Whole
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.campaigns.effects import Send
from transforms.channels.courier import LEASE, Courier
from transforms.channels.outcome import Outcome
from transforms.channels.push.message import PushMessage
from transforms.channels.settings import MailSettings
from transforms.channels.sweep import Swept, sweep
from transforms.events.dead_letter import DeadLetter
from transforms.events.kept.rows import kept
from transforms.messages.definitions import Text
from transforms.storage.open import open_store
from transforms.storage.rows import LedgerRow, RunRow
from transforms.storage.store import Store, StoreError
from transforms.users.control import decode_control
from transforms.users.user import Wake

NOW = 1_772_000_000_000_000
HOUR = 3_600_000_000
DEFINITIONS = """\
segments: {buyers: {owner: crm, members: {event: Order Completed}}}
messages: {thanks: {channel: push, title: Thank you}}
campaigns:
  greet: {owner: crm, trigger: {enters: buyers}, steps: [{send: thanks}], consent: offers}
"""


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(url)
    yield store
    store.close()


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    path = tmp_path / "definitions.yaml"
    path.write_text(DEFINITIONS, encoding="utf-8")
    return path


def row(send: str, lease: int = NOW - 1, state: str = "claimed", **changes: Any) -> LedgerRow:
    fields = {"campaign": "greet", "step": "thanks", "channel": "push", "decided_at": NOW - HOUR, "at": NOW - HOUR}
    named = {"user": f"user of {send}", **fields, **changes}
    return LedgerRow(send=send, state=state, lease=lease, **named)


def changed(before: LedgerRow, **changes: Any) -> LedgerRow:
    return msgspec.structs.replace(before, **changes)


def unknown(claim: LedgerRow, now: int = NOW, detail: str = "claim lapsed") -> LedgerRow:
    """What a sweep leaves of a lapsed claim."""
    return changed(claim, state="unknown", at=now, lease=0, detail=detail)


def ledger(store: Store) -> dict[str, LedgerRow]:
    return {found.send: found for found in store.scan_ledger()}


def told(payloads: Sequence[bytes]) -> list[str]:
    """The sends that receipts are about; all say unknown."""
    events = [decode_control(payload, NOW + HOUR) for payload in payloads]
    assert all(event.name == "Push Unknown" and key == event.user for key, [event] in events)
    return sorted(event.properties["send"] for _, [event] in events)


def test_a_lapsed_claim_becomes_unknown_and_its_user_is_told(store: Store) -> None:
    store.claim([row("s1"), row("s2", NOW + 1), row("s3", NOW)])
    published: list[bytes] = []
    assert sweep(store, published.extend, NOW) == Swept({"greet": 2}, running=1)
    assert ledger(store) == {"s1": unknown(row("s1")), "s2": row("s2", NOW + 1), "s3": unknown(row("s3", NOW))}
    user, [event] = decode_control(min(published), NOW + HOUR)
    assert (user, event.user, event.name, event.type) == ("user of s1", "user of s1", "Push Unknown", "receipt")
    assert (event.time, event.arrival) == (NOW, NOW + HOUR)
    said = {"kind": "unknown", "channel": "push", "send": "s1", "campaign": "greet", "step": "thanks"}
    assert event.properties == {**said, "reason": "claim lapsed"}


def test_sweeping_again_finds_nothing(store: Store) -> None:
    store.claim([row("s1")])
    sweep(store, lambda _: None, NOW)
    before = ledger(store)
    assert sweep(store, lambda _: pytest.fail("there is nothing to tell"), NOW + HOUR) == Swept({})
    assert ledger(store) == before


def test_a_claim_that_was_released_lapses_like_any_other(store: Store) -> None:
    """It waits for the provider's time; its lease begins then."""
    waiting = row("s1", NOW + 60_000_000 + LEASE, detail="retry: quota")
    forgotten = row("s2", NOW - 1, detail="retry: quota", attempts=3)
    store.claim([waiting, forgotten])
    published: list[bytes] = []
    assert sweep(store, published.extend, NOW) == Swept({"greet": 1}, running=1)
    assert ledger(store) == {"s1": waiting, "s2": unknown(forgotten, detail="claim lapsed: retry: quota")}
    assert told(published) == ["s2"]


def test_a_stated_age_leaves_what_lapsed_lately(store: Store) -> None:
    store.claim([row("s1", NOW - HOUR), row("s2", NOW - HOUR + 1), row("s3", NOW - 1)])
    published: list[bytes] = []
    assert sweep(store, published.extend, NOW, HOUR) == Swept({"greet": 1}, running=2)
    assert told(published) == ["s1"]
    assert sweep(store, published.extend, NOW) == Swept({"greet": 2})


def test_a_crash_before_the_receipt_is_made_good_by_the_next_sweep(store: Store) -> None:
    store.claim([row("s1"), row("s2")])

    def crash(_: Sequence[bytes]) -> None:
        raise StoreError("refused for the test")

    with pytest.raises(StoreError):
        sweep(store, crash, NOW)
    assert {found.state for found in store.scan_ledger()} == {"unknown"}, "nothing of it may be sent, whatever comes"
    second: list[bytes] = []
    assert sweep(store, second.extend, NOW + HOUR) == Swept({}, told_again=2)
    assert told(second) == ["s1", "s2"]
    assert ledger(store) == {"s1": unknown(row("s1")), "s2": unknown(row("s2"))}
    assert sweep(store, second.extend, NOW + 2 * HOUR) == Swept({})


def test_a_receipt_told_twice_is_one(store: Store) -> None:
    """A crash after it was published, and before the ledger says so."""
    store.claim([row("s1")])
    first: list[bytes] = []

    def crash(payloads: Sequence[bytes]) -> None:
        first.extend(payloads)
        raise StoreError("refused for the test")

    with pytest.raises(StoreError):
        sweep(store, crash, NOW)
    second: list[bytes] = []
    sweep(store, second.extend, NOW + HOUR)
    assert second == first


def test_what_a_courier_records_while_receipts_are_published_stands(store: Store) -> None:
    store.claim([row("s1")])
    handed_off = row("s1", 0, "handed_off", at=NOW + 5)
    assert sweep(store, lambda _: store.record([handed_off]), NOW) == Swept({"greet": 1})
    assert ledger(store) == {"s1": handed_off}


@pytest.mark.all_in_ci
def test_thousands_of_claims_and_many_sweeps_at_once(store: Store) -> None:
    claims = [row(f"s{number:04}", campaign=f"c{number % 3}") for number in range(1_200)]
    store.claim(claims)
    published: list[bytes] = []
    together = threading.Barrier(4)

    def run(_: int) -> Swept:
        together.wait(60)
        return sweep(store, published.extend, NOW)

    with ThreadPoolExecutor(4) as pool:
        swept = list(pool.map(run, range(4)))
    for campaign in ("c0", "c1", "c2"):
        assert sum(each.resolved.get(campaign, 0) for each in swept) == 400
    assert set(told(published)) == {claim.send for claim in claims}
    assert len(set(published)) == 1_200, "the same receipt each time"
    assert ledger(store) == {claim.send: unknown(claim) for claim in claims}


ROWS = st.builds(
    lambda number, state, lease, detail: row(
        f"s{number}", NOW + lease if lease is not None else 0, state, detail=detail
    ),
    st.integers(0, 30),
    st.sampled_from(["claimed", "handed_off", "confirmed", "failed", "unknown", "expired", "suppressed"]),
    st.sampled_from([None, -2 * HOUR, -1, 0, 1, HOUR]),
    st.sampled_from(["", "retry: quota", "projects/p/messages/1"]),
)


@settings(max_examples=examples(60), deadline=None)
@given(rows=st.lists(ROWS, unique_by=lambda each: each.send), older_than=st.sampled_from([0, 1, HOUR]))
def test_only_lapsed_claims_change(rows: list[LedgerRow], older_than: int) -> None:
    store = open_store("sqlite::memory:")
    store.record([changed(each, lease=0) if each.state not in ("claimed", "unknown") else each for each in rows])
    before = ledger(store)
    published: list[bytes] = []
    swept = sweep(store, published.extend, NOW, older_than)
    lapsed = {send for send, each in before.items() if each.state == "claimed" and 0 < each.lease <= NOW - older_than}
    untold = {send for send, each in before.items() if each.state == "unknown" and each.lease}
    assert told(published) == sorted(lapsed | untold)
    assert (sum(swept.resolved.values()), swept.told_again) == (len(lapsed), len(untold))
    after = ledger(store)
    for send, each in before.items():
        if send in lapsed:
            assert after[send].state == "unknown"
            assert after[send].detail.startswith("claim lapsed")
        else:
            assert after[send] == (changed(each, lease=0) if send in untold else each)
    store.close()


class Held(Whole):
    """A channel that takes a message and then keeps its courier waiting for the answer."""

    def __init__(self) -> None:
        self.taken, self.answer, self.count = threading.Event(), threading.Event(), 0

    async def send(self, send: Send, made: Any) -> Outcome:
        self.count += 1
        self.taken.set()
        assert self.answer.wait(60)
        return Outcome.handed_off("projects/p/messages/1")


def test_a_courier_that_is_alive_is_left_alone_and_one_that_was_held_up_knows_better(tmp_path: Path) -> None:
    store, channel = open_store(f"sqlite:{tmp_path / 'store.db'}"), Held()
    messages = {"thanks": PushMessage(id="thanks", title=Text({"": "Thank you"}))}
    send = Send("s1", "greet", "e1", "thanks", "ada", "push", "thanks", "token", NOW, NOW + HOUR)
    with ThreadPoolExecutor(1) as pool:
        courier = Courier(
            messages, {"push": channel}, MailSettings.from_environment({}), "en", lambda _: NOW, store=store
        )
        delivering = pool.submit(courier.deliver, [send])
        assert channel.taken.wait(60)
        assert sweep(store, lambda _: pytest.fail("it is alive"), NOW + LEASE - 1) == Swept({}, running=1)
        assert sweep(store, lambda _: None, NOW + LEASE) == Swept({"greet": 1})
        [swept] = store.read_ledger("ada")
        assert (swept.state, swept.detail) == ("unknown", "claim lapsed")
        other = Courier(
            messages, {"push": channel}, MailSettings.from_environment({}), "en", lambda _: NOW, store=store
        )
        [delivery] = other.deliver([send])
        assert (delivery.state, delivery.detail, channel.count) == ("duplicate", "unknown", 1)
        channel.answer.set()
        [delivery] = delivering.result(60)
        pool.submit(courier.close).result(60)
        other.close()
    assert delivery.state == "handed_off"
    [recorded] = store.read_ledger("ada")
    assert (recorded.state, recorded.detail) == ("handed_off", "projects/p/messages/1")
    store.close()


Sweep = Callable[..., Any]


@pytest.fixture
def run_sweep(todoke: Any, url: str, definitions: Path) -> Sweep:
    def run_sweep(*flags: object) -> Any:
        return todoke("sweep", "--store", url, "--definitions", definitions, *flags)

    return run_sweep


def test_the_command_for_people(store: Store, run_sweep: Sweep) -> None:
    store.claim([row("s1"), row("s2"), row("s3", campaign="gone"), row("s4", 4 * NOW)])
    done = run_sweep()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "claims that lapsed, now unknown and never sent again: 3",
        "  gone: 1",
        "  greet: 2",
        "claims that lapsed, given out once more: 0",
        "unknown since an earlier sweep, told to the users' state again: 0",
        "claims left to their couriers: 1",
        "claims that others settled meanwhile: 0",
    ]
    assert run_sweep("--keep-dead-letters", "1d").stdout.splitlines()[-1] == "dead letters deleted that were too old: 0"
    assert told([each.payload for each in store.read_control(10)]) == ["s1", "s2", "s3"]
    assert {send: found.state for send, found in ledger(store).items()} == {
        **dict.fromkeys(("s1", "s2", "s3"), "unknown"),
        "s4": "claimed",
    }


def test_the_command_for_programs(store: Store, run_sweep: Sweep) -> None:
    store.claim([row("s1")])
    lately = run_sweep("--json", "--older-than", "5200w")
    assert (lately.returncode, json.loads(lately.stdout)) == (
        0,
        {"resolved": {}, "told_again": 0, "running": 1, "changed": 0, "resent": {}, "dead_letters_deleted": 0},
    )
    done = run_sweep("--json", "--older-than", "0s")
    assert json.loads(done.stdout) == {
        "resolved": {"greet": 1},
        "told_again": 0,
        "running": 0,
        "changed": 0,
        "resent": {},
        "dead_letters_deleted": 0,
    }


@pytest.mark.parametrize(
    ("flags", "left"),
    [
        ([], 3),
        (["--keep-dead-letters", "30d"], 1),
        (["--keep-dead-letters", "90d"], 2),
        (["--keep-dead-letters", "0"], 0),
    ],
)
def test_dead_letters_go_only_where_it_is_said_how_old(
    store: Store, run_sweep: Sweep, flags: list[str], left: int
) -> None:
    now = time.time_ns() // 1000
    letters = [DeadLetter(b"%d" % days, "s", "not_json", "d", now) for days in (2, 31, 400)]
    store.write_dead_letters([kept(each, now - int(each.payload) * 24 * HOUR) for each in letters])
    done = run_sweep("--json", *flags)
    assert json.loads(done.stdout)["dead_letters_deleted"] == 3 - left
    assert store.prune_dead_letters(now, 0, 0) == left
    wrong = run_sweep("--keep-dead-letters", "a while")
    assert wrong.returncode == 2
    assert "--keep-dead-letters: " in wrong.stderr


def test_a_topic_that_does_not_take_receipts_fails_and_the_next_sweep_tells(
    store: Store, run_sweep: Sweep, pubsub: Any
) -> None:
    store.claim([row("s1")])
    failed = run_sweep("--control-topic", f"pubsub:projects/{pubsub.name}/topics/missing")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert "there is no topic" in failed.stderr
    assert ledger(store)["s1"].state == "unknown"
    done = run_sweep("--json")
    found = {"resolved": {}, "told_again": 1, "running": 0, "changed": 0, "resent": {}}
    assert json.loads(done.stdout) == {**found, "dead_letters_deleted": 0}
    assert told([each.payload for each in store.read_control(10)]) == ["s1"]


def test_a_campaign_that_says_so_is_sent_again_at_most_so_often(
    store: Store, run_sweep: Sweep, definitions: Path
) -> None:
    text = DEFINITIONS.replace("consent: offers", "consent: offers, on_unknown: resend")
    definitions.write_text(text, encoding="utf-8")
    store.claim([row("s1"), row("s2", attempts=3), row("s3", campaign="gone")])
    done = run_sweep("--json")
    found = {"resolved": {"gone": 1, "greet": 1}, "told_again": 0, "running": 0, "changed": 0}
    assert json.loads(done.stdout) == {**found, "resent": {"greet": 1}, "dead_letters_deleted": 0}
    after = ledger(store)
    assert {send: found.state for send, found in after.items()} == {"s1": "claimed", "s2": "unknown", "s3": "unknown"}
    assert (after["s1"].detail, after["s1"].attempts) == ("retry: claim lapsed", 2)
    woken = [decode_control(each.payload, NOW) for each in store.read_control(10)]
    assert [(user, item) for user, [item] in woken if isinstance(item, Wake)] == [("user of s1", Wake(0, again=True))]


def test_what_a_sweep_releases_a_courier_takes_again(tmp_path: Path) -> None:
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    send = Send("s1", "greet", "e1", "thanks", "ada", "push", "thanks", "token", NOW, NOW + HOUR)
    store.claim([row("s1", user="ada")])
    assert sweep(store, lambda _: None, NOW, resend={"greet"}) == Swept({}, resent={"greet": 1})
    messages = {"thanks": PushMessage(id="thanks", title=Text({"": "Thank you"}))}
    channel = Held()
    channel.answer.set()
    courier = Courier(messages, {"push": channel}, MailSettings(), "en", lambda _: NOW, store=store, bounded=False)
    [delivery] = courier.deliver([send])
    courier.close()
    assert (delivery.state, channel.count) == ("handed_off", 1)
    [recorded] = store.read_ledger("ada")
    assert (recorded.state, recorded.attempts) == ("handed_off", 3)
    store.close()


@pytest.mark.parametrize("age", ["soon", "1mo", "-1h", "1"])
def test_an_age_that_is_none_is_wrong_use(store: Store, run_sweep: Sweep, age: str) -> None:
    done = run_sweep(f"--older-than={age}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--older-than: " in done.stderr


def test_a_store_that_is_none_or_not_there(todoke: Any, definitions: Path, tmp_path: Path) -> None:
    wrong = todoke("sweep", "--store", "store.db", "--definitions", definitions)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    missing = todoke("sweep", "--store", "sqlite:missing.db", "--definitions", definitions)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "there is no file missing.db" in missing.stderr
    assert list(tmp_path.iterdir()) == [definitions]


def test_a_run_over_files_that_goes_on_is_said(store: Store, run_sweep: Sweep) -> None:
    store.write_run(RunRow(NOW, "r", finished=False))
    assert "a run over files goes on, or did not finish" in run_sweep().stderr
    store.write_run(RunRow(NOW, "r"))
    assert run_sweep().stderr == ""
