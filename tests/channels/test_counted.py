"""What a ledger counts: each send once, by its end, whichever way it came there and however often it was written."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.campaigns.effects import Send
from transforms.channels.counted import CountedLedger, count_delivery
from transforms.channels.courier import RELEASED
from transforms.channels.outcome import Delivery
from transforms.channels.sweep import sweep
from transforms.metrics.counts import counts_of, histograms_of, summed
from transforms.metrics.slos.indicators import read_minutes
from transforms.segments.values import DAY
from transforms.slos.budget import Events
from transforms.slos.definitions import Indicator
from transforms.storage.open import open_store
from transforms.storage.rows import LedgerRow, MetricRow
from transforms.storage.store import Store, StoreError
from transforms.users.tally import Tallies

NOW = 1_772_000_000_000_000
SECOND = 1_000_000


def row(send: str, state: str = "claimed", detail: str = "") -> LedgerRow:
    """One that was decided three seconds ago."""
    place = {"campaign": "win_back", "step": "s1", "channel": "push", "decided_at": NOW - 3 * SECOND}
    return LedgerRow(user="ada", send=send, state=state, at=NOW, detail=detail, **place)


def counted(store: Store, name: str, *labels: str) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    for (_, said), count in summed(count for count in counts_of(store, name) if count.name == name).items():
        key = tuple(dict(said).get(label, "") for label in labels)
        found[key] = found.get(key, 0) + count
    return found


@pytest.fixture
def sends(make_send: Callable[..., Send]) -> list[Send]:
    return [make_send(name, id=name, decided_at=NOW - 3 * SECOND, variant="b") for name in ("a", "b", "c")]


def test_a_claim_that_another_has_is_a_repetition_and_a_final_one_is_counted(store: Store, sends: list[Send]) -> None:
    ledger = CountedLedger(store, lambda: NOW)
    ledger.expect(sends)
    rows = [row("a"), row("b", "suppressed", "capped"), row("c", "expired")]
    assert set(ledger.claim(rows).values()) == {None}
    assert counted(store, "suppressed", "reason") == {("capped",): 1, ("expired",): 1}
    assert counted(store, "sends", "state", "variant") == {("expired", "b"): 1}
    assert counted(store, "repeated", "channel") == {}
    assert None not in ledger.claim(rows).values()
    assert counted(store, "suppressed", "reason") == {("capped",): 1, ("expired",): 1}
    assert counted(store, "repeated", "channel") == {("push",): 3}


def test_a_released_claim_counts_when_it_ends(store: Store, sends: list[Send]) -> None:
    ledger = CountedLedger(store, lambda: NOW)
    ledger.expect(sends)
    ledger.claim([row("a"), row("b")])
    released = [row(name, detail=f"{RELEASED}quota") for name in "ab"]
    ledger.record(released)
    ledger.claim([row("a"), row("b")])
    assert [*store.scan_metrics("")] == []
    assert ledger.resolve([(released[0], row("a")), (released[1], row("b", "expired"))]) == [
        row("a"),
        row("b", "expired"),
    ]
    ledger.record([row("a", "handed_off", "projects/p/messages/1")])
    assert counted(store, "sends", "state", "reason", "variant") == {
        ("handed_off", "", "b"): 1,
        ("expired", "", "b"): 1,
    }
    assert counted(store, "suppressed", "reason") == {("expired",): 1}
    latencies = histograms_of(summed(counts_of(store, "latency")), "latency")
    assert {dict(labels)["from"]: each.sum for labels, each in latencies.items()} == dict.fromkeys(
        ("arrival", "trigger"), 3 * SECOND
    )


def test_what_a_sweep_gave_up_ends_once(store: Store) -> None:
    sweeping = CountedLedger(store, lambda: NOW)
    store.claim([row("a")])
    unknown = row("a", "unknown", "lapsed")
    for change in [(row("a"), unknown), (row("a"), unknown), (unknown, msgspec.structs.replace(unknown, lease=1))]:
        sweeping.resolve([change])
    assert counted(store, "sends", "state", "reason") == {("unknown", "lapsed"): 1}


def test_an_outcome_after_a_sweep_takes_the_place_of_what_the_sweep_counted(store: Store, sends: list[Send]) -> None:
    minute = 60 * SECOND
    courier = CountedLedger(store, lambda: NOW + 2 * minute)
    courier.expect(sends)
    courier.claim([msgspec.structs.replace(row("a"), lease=NOW)])
    assert sweep(store, lambda _: None, NOW).resolved == {"win_back": 1}
    assert counted(store, "sends", "state", "variant") == {("unknown", ""): 1}
    for _ in range(2):  # the second time is a repetition
        courier.record([msgspec.structs.replace(row("a", "handed_off", "id"), at=NOW + 2 * minute)])
    assert counted(store, "sends", "state", "variant") == {("unknown", ""): 0, ("handed_off", "b"): 1}
    assert {each.window: each.count for each in counts_of(store, "sends") if each.labels["state"] == "unknown"} == {
        NOW - NOW % minute: 0
    }
    latencies = histograms_of(summed(counts_of(store, "latency")), "latency")
    assert [each.count for each in latencies.values()] == [1, 1]


OUTCOMES = ["handed_off", "failed", "unknown", "suppressed", "expired", "claimed"]


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["claim", "retake", "record", "sweep"]), st.booleans(), st.sampled_from(OUTCOMES)),
        max_size=12,
    )
)
def test_in_sqlite_what_the_ledger_holds_is_what_was_counted(steps: list[tuple[str, bool, str]]) -> None:
    """Whatever two couriers do, of which either may be held up for longer than its lease, and sweeps between them."""
    store, now, knows = open_store("sqlite::memory:"), NOW, [False, False]
    place = {"campaign": "c", "entry": "e", "step": "s1", "message": "m", "address": "t", "decided_at": NOW}
    send = Send(id="a", user="ada", channel="push", not_after=NOW * 2, variant="b", **place)
    couriers = [CountedLedger(store, lambda: now) for _ in range(2)]
    for courier in couriers:
        courier.expect([send])
    for what, second, state in steps:
        now += SECOND
        courier, standing = couriers[second], store.read_ledger("ada")
        mine = msgspec.structs.replace(row("a"), at=now, lease=now)
        if what == "claim":
            knows[second] |= courier.claim([mine])["a"] is None
        elif what == "retake" and standing and standing[0].detail.startswith(RELEASED):
            knows[second] |= bool(courier.resolve([(standing[0], mine)]))
        elif what == "record" and knows[second]:
            detail = f"{RELEASED}quota" if state == "claimed" else "said"
            courier.record([msgspec.structs.replace(mine, state=state, detail=detail)])
        elif what == "sweep":
            sweep(store, lambda _: None, now, resend=["win_back"] if second else [])
        ended = Counter(each.state for each in store.read_ledger("ada") if each.state != "claimed")
        found = Counter(dict.fromkeys(["suppressed", "expired"], 0))
        for (name, labels), count in summed(counts_of(store)).items():
            if name == "sends":
                found[dict(labels)["state"]] += count
            elif name == "suppressed":
                found["suppressed"] += count
        refused = ended["suppressed"] + ended["expired"]  # what expired was not sent, and ended, too
        assert +found == +(ended | Counter(suppressed=refused))
    store.close()


def test_a_send_without_a_row_is_counted_by_itself(store: Store, sends: list[Send]) -> None:
    CountedLedger(store, lambda: NOW).count_unclaimed(
        [
            Delivery(sends[0], "suppressed", "deleted"),
            Delivery(sends[1], "duplicate"),
            Delivery(sends[1], "duplicate", "", "handed_off"),
            Delivery(sends[2], "handed_off"),
        ]
    )
    assert counted(store, "suppressed", "reason") == {("deleted",): 1}
    assert counted(store, "repeated", "channel") == {("push",): 1}
    assert counted(store, "sends", "state") == {}


class Refusing:
    """A store that takes no counts at first."""

    def __init__(self, store: Store, times: int) -> None:
        self._store, self._left = store, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def add_metrics(self, rows: Sequence[MetricRow]) -> None:
        self._store.add_metrics(rows)
        if self._left:
            self._left -= 1
            raise StoreError("refused for the test")


def test_an_outcome_whose_count_is_refused_is_written_again_and_counted_once(store: Store, sends: list[Send]) -> None:
    """In SQLite, where both are one transaction."""
    ledger: Any = CountedLedger(Refusing(store, 2), lambda: NOW)  # type: ignore[arg-type]
    ledger.expect(sends)
    store.claim([row("a")])
    for _ in range(2):
        with pytest.raises(StoreError):
            ledger.record([row("a", "handed_off")])
        assert ([each.state for each in store.scan_ledger()], [*store.scan_metrics("")]) == (["claimed"], [])
    ledger.record([row("a", "handed_off")])
    assert counted(store, "sends", "state") == {("handed_off",): 1}


def test_where_a_row_stands_by_itself_a_refused_count_waits_and_what_was_claimed_is_called(
    bigtable: Any, sends: list[Send]
) -> None:
    class Full(Refusing):
        def add_metrics(self, rows: Sequence[MetricRow]) -> None:
            if self._left:
                self._left -= 1
                raise StoreError("refused for the test")
            self._store.add_metrics(rows)

    kept = open_store(bigtable.url)
    ledger: Any = CountedLedger(Full(kept, 2), lambda: NOW)  # type: ignore[arg-type]
    ledger.expect(sends)
    assert ledger.claim([row("a"), row("b", "suppressed", "capped")]) == {"a": None, "b": None}
    ledger.record([row("a", "handed_off")])
    assert [*kept.scan_metrics("")] == []
    ledger.claim([row("c", "expired")])
    assert counted(kept, "sends", "state") == {("handed_off",): 1, ("expired",): 1}
    assert counted(kept, "suppressed", "reason") == {("capped",): 1, ("expired",): 1}
    kept.close()


def test_an_outcome_that_was_written_and_not_counted_is_counted_when_it_is_recorded_again(
    bigtable: Any, sends: list[Send]
) -> None:
    """Some rows of a batch were written, the rest was refused, and the store came back after the leases."""

    class HalfWritten:
        def __init__(self, store: Store) -> None:
            self._store, self.refuses = store, True

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def record(self, rows: Sequence[LedgerRow]) -> None:
            if self.refuses:
                self._store.record(rows[:1])
                raise StoreError("refused for the test")
            self._store.record(rows)

    now, kept = NOW, HalfWritten(open_store(bigtable.url))
    ledger: Any = CountedLedger(kept, lambda: now)  # type: ignore[arg-type]
    ledger.expect(sends)
    ledger.claim([msgspec.structs.replace(row(name), lease=NOW + SECOND) for name in "ab"])
    outcomes = [row(name, "handed_off") for name in "ab"]
    for _ in range(2):
        with pytest.raises(StoreError):
            ledger.record(outcomes)
        now += 600 * SECOND
    kept.refuses = False
    ledger.record(outcomes)
    assert counted(kept, "sends", "state") == {("handed_off",): 2}
    ledger.record(outcomes)  # what was counted is taken back where it is counted again
    assert counted(kept, "sends", "state") == {("handed_off",): 2}
    latencies = histograms_of(summed(counts_of(kept, "latency")), "latency")
    assert [each.count for each in latencies.values()] == [2, 2]
    kept.close()


def test_what_is_counted_late_and_taken_back_leaves_no_minute_negative(store: Store, sends: list[Send]) -> None:
    """The sweep's count was written a minute after the row says that it ended."""
    minute = 60 * SECOND
    store.claim([row("a")])
    CountedLedger(store, lambda: NOW + minute).resolve([(row("a"), row("a", "unknown", "claim lapsed"))])
    courier = CountedLedger(store, lambda: NOW + 5 * minute)
    courier.expect(sends)
    courier.record([msgspec.structs.replace(row("a", "handed_off", "id"), at=NOW + 4 * minute)])
    found = {(each.labels["state"], each.window): each.count for each in counts_of(store, "sends")}
    start = NOW - NOW % minute
    assert found == {("unknown", start): 0, ("handed_off", start + 4 * minute): 1}


def test_a_second_outcome_within_the_lease_takes_the_place_of_the_first(store: Store, sends: list[Send]) -> None:
    ledger = CountedLedger(store, lambda: NOW)
    ledger.expect(sends)
    ledger.claim([msgspec.structs.replace(row("a"), lease=NOW + 300 * SECOND)])
    for state in ("unknown", "handed_off", "handed_off"):
        ledger.record([row("a", state)])
    assert +Counter(counted(store, "sends", "state")) == {("handed_off",): 1}


@pytest.mark.parametrize(("reason", "bad"), [("", 1), ("held", 0)])
def test_what_expires_is_no_success_unless_it_was_held_back(
    store: Store, sends: list[Send], reason: str, bad: int
) -> None:
    """A provider that is away for a day must cost the budget, though nothing has failed."""
    ledger = CountedLedger(store, lambda: NOW)
    ledger.expect(sends)
    ledger.claim([row("a"), row("b"), row("c")])
    ledger.record([row("a", "handed_off"), row("b", "expired", reason), row("c", "suppressed", "capped")])
    minutes = read_minutes(store, Indicator("success", "push", "win_back"), NOW - DAY, NOW, expected=False)
    assert minutes.trailing(NOW, DAY) == Events(bad, 1 + bad)


@pytest.mark.parametrize(("bounded", "ended"), [(True, {}), (False, {("expired",): 1})])
def test_what_expires_ends_live_and_is_refused_in_a_report(
    store: Store, sends: list[Send], bounded: bool, ended: dict[tuple[str, ...], int]
) -> None:
    tallies = Tallies(DAY)
    count_delivery(tallies, Delivery(sends[0], "expired"), bounded=bounded)
    count_delivery(tallies, Delivery(sends[1], "suppressed", "capped"), bounded=bounded)
    store.add_metrics(tallies.rows(NOW))
    assert counted(store, "sends", "state") == ended
    assert counted(store, "suppressed", "reason") == {("expired",): 1, ("capped",): 1}
