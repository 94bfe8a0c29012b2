"""Both Beam shells around the core: the same users and decisions, timers in time, every message accounted for.

Two runners serve the unbounded shell. FnApiRunner is the nearer to production, but knows no TestStream and fires all
timers at the end, and a user's own inputs and those forwarded from an anonymous id come in no stated order; there,
users are compared as they end. On BundleBasedDirectRunner a TestStream gives one message after another and moves the
watermark in between, so that effects can be compared too.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from core import DAY, HOUR, START, compile_plain, decode_all, essence, run_bounded, texts_of
from generators import histories
from hypothesis import HealthCheck, Phase, given, settings
from shop import SHOP

from transforms.campaigns.effects import Send
from transforms.campaigns.load import Texts
from transforms.events.event import Event
from transforms.metrics.report import Summary
from transforms.storage.open import open_store
from transforms.storage.rows import LedgerState
from transforms.users.inputs.transforms import KeyInputs, NewestArrival
from transforms.users.transforms import AdvanceBounded, AdvanceUnbounded
from transforms.users.user import User, decode_user

#: A timer that is set again and again would otherwise hold a run for ever.
pytestmark = pytest.mark.timeout(60)

TEXTS, CAMPAIGNS = texts_of(SHOP), compile_plain(SHOP)
#: When all windows and waits of these histories are over, and still before any wall clock that runs these tests: timers
#: of the unbounded shell that lie in the past fire, those that lie ahead are a drain's and settle nothing.
AS_OF = START + 60 * DAY


class Outcome(msgspec.Struct):
    """What a run left: the users in its store, its sends, its refusals, and its counts."""

    users: dict[str, User]
    sends: list[Send]
    refusals: Counter[tuple[str, str, str]]
    summary: Summary

    @property
    def send_ids(self) -> list[str]:
        return sorted(send.id for send in self.sends)

    def adds_up(self, messages: int) -> bool:
        return self.summary.total("read") == messages == sum(self.summary.by_label("accounts").values())


def wire(advance: Any, keyed: Any, folder: Path) -> None:
    """Anonymous, then Advance, as the job has them; sends and tallies end in files."""
    anonymous = keyed.anonymous | "Anonymous" >> advance()
    advanced = (keyed.users, anonymous.forwarded) | "UserInputs" >> beam.Flatten() | "Advance" >> advance()
    sends = (anonymous.sends, advanced.sends) | "Sends" >> beam.Flatten()
    _ = sends | "WriteSends" >> beam.Map(append, str(folder / "sends"))
    tallies = (keyed.tallies, anonymous.tallies, advanced.tallies) | "Tallies" >> beam.Flatten()
    _ = tallies | "WriteTallies" >> beam.Map(append, str(folder / "tallies"))


def append(record: Any, path: str) -> None:
    with Path(path).open("ab") as file:
        file.write(msgspec.json.encode(record) + b"\n")


def lines(path: Path, type_: Any) -> list[Any]:
    return [msgspec.json.decode(line, type=type_) for line in path.read_bytes().splitlines()] if path.exists() else []


def outcome(folder: Path) -> Outcome:
    store = open_store(f"sqlite:{folder / 'store.db'}")
    users = {row.user: decode_user(row.state) for row in store.scan_users()}
    refusals = Counter(
        (row.campaign, row.step, row.detail) for row in store.scan_ledger() if row.state == LedgerState.SUPPRESSED
    )
    store.close()
    tallies = lines(folder / "tallies", tuple[tuple[str, str, str, int], int])
    return Outcome(users, lines(folder / "sends", Send), refusals, Summary.of(AS_OF, tallies))


def bounded(folder: Path, events: list[Event], texts: Texts = TEXTS) -> Outcome:
    store = f"sqlite:{folder / 'store.db'}"
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        keyed = pipeline | beam.Create(events) | "KeyInputs" >> KeyInputs()
        newest = keyed.arrivals | NewestArrival(0, AS_OF)
        as_of = beam.pvalue.AsSingleton(newest)
        wire(lambda: AdvanceBounded(texts, as_of, store, continued=False), keyed, folder)
    return outcome(folder)


def unbounded(folder: Path, events: list[Event], texts: Texts = TEXTS) -> Outcome:
    store = f"sqlite:{folder / 'store.db'}"
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        keyed = pipeline | beam.Create(events, reshuffle=False) | "KeyInputs" >> KeyInputs()
        wire(lambda: AdvanceUnbounded(texts, store), keyed, folder)
    return outcome(folder)


def streamed(folder: Path, stream: TestStream, texts: Texts = TEXTS) -> Outcome:
    folder.mkdir(exist_ok=True)
    store = f"sqlite:{folder / 'store.db'}"
    options = PipelineOptions(["--streaming"])
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=options) as pipeline:
        keyed = pipeline | "Events" >> stream | "KeyInputs" >> KeyInputs()
        wire(lambda: AdvanceUnbounded(texts, store), keyed, folder)
    return outcome(folder)


def one_by_one(events: Iterable[Event]) -> TestStream:
    """Each message at its arrival, the watermark (in whole milliseconds) there before it; then the end of time."""
    stream, reached = TestStream(coder=beam.coders.PickleCoder()), Timestamp(0)
    for event in sorted(events, key=lambda event: (event.arrival, event.id)):
        at = Timestamp(micros=event.arrival // 1000 * 1000)
        if at > reached:
            stream, reached = stream.advance_watermark_to(at), at
        stream = stream.add_elements([TimestampedValue(event, Timestamp(micros=event.arrival))])
    return stream.advance_watermark_to_infinity()


def users_of(outcome: Outcome) -> dict[str, Any]:
    journeys = {key: user.journeys for key, user in outcome.users.items() if user.owner is None}
    return {"essence": essence(outcome.users, CAMPAIGNS), "journeys": journeys}


#: One run takes a second or two; the core alone is tested on many more histories.
few = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@few
@given(histories())
def test_both_shells_end_in_the_same_users(tmp_path_factory: pytest.TempPathFactory, history: list[Any]) -> None:
    events = sorted(decode_all(history), key=lambda event: (event.arrival, event.id))
    at_once, live = (run(tmp_path_factory.mktemp("run"), events) for run in (bounded, unbounded))
    plain, _ = run_bounded(events, CAMPAIGNS, AS_OF)
    assert users_of(live) == users_of(at_once)
    assert essence(at_once.users, CAMPAIGNS) == essence(plain, CAMPAIGNS)
    assert live.adds_up(len(events))
    assert at_once.adds_up(len(events))


@few
@given(histories())
def test_both_shells_decide_the_same(tmp_path_factory: pytest.TempPathFactory, history: list[Any]) -> None:
    events = sorted(decode_all(history), key=lambda event: (event.arrival, event.id))
    at_once = bounded(tmp_path_factory.mktemp("run"), events)
    live = streamed(tmp_path_factory.mktemp("run"), one_by_one(events))
    assert users_of(live) == users_of(at_once)
    assert live.send_ids == at_once.send_ids
    assert live.refusals == at_once.refusals
    assert live.adds_up(len(events))


def track(name: str, at: int, id_: str | None = None, *, user: str = "u1", **fields: Any) -> Event:
    device = {"device": {"token": f"token {user}"}}
    at += START
    return Event(id_ or f"{name} {at}", "track", name, fields.pop("time", at), at, user=user, context=device, **fields)


def stream_of(*items: Event | int | None) -> TestStream:
    """Events as they come, watermarks (microseconds after the start) between them; None is the end of time."""
    stream = TestStream(coder=beam.coders.PickleCoder())
    for item in items:
        if isinstance(item, Event):
            stream = stream.add_elements([TimestampedValue(item, Timestamp(micros=item.arrival))])
        elif item is not None:
            stream = stream.advance_watermark_to(Timestamp(micros=START + item))
    return stream.advance_watermark_to_infinity() if None in items else stream


WAITING = {
    "segments": {"active": {"members": {"event": "Viewed", "within": "2h"}}},
    "campaigns": {
        "wait": {
            "trigger": {"event": "Viewed"},
            "steps": [{"wait": "1h"}, {"send": "push"}],
            "reenter": "never",
            "consent": "offers",
        },
        "gone": {"trigger": {"leaves": "active"}, "steps": [{"send": "other_push"}], "consent": "offers"},
        "at_once": {
            "trigger": {"event": "Ordered"},
            "steps": [{"id": "now", "send": "push"}],
            "reenter": "always",
            "consent": "offers",
        },
    },
    "messages": {name: {"channel": "push", "title": "Hello"} for name in ("push", "other_push")},
}


def test_time_alone_ends_a_wait_and_a_membership(tmp_path: Path) -> None:
    """No event of the user comes after the first: the watermark fires the timers. Others' sends say when."""
    stream = stream_of(
        track("Viewed", 0, "v"),
        HOUR - 1000,
        track("Ordered", HOUR - 1000, user="before the wait is over"),
        HOUR + 1000,
        track("Ordered", HOUR + 1000, user="after it is over"),
        2 * HOUR - 1000,
        track("Ordered", 2 * HOUR - 1000, user="before the membership is"),
        2 * HOUR + 1000,
        track("Ordered", 2 * HOUR + 1000, user="after it is over too"),
    )
    found = streamed(tmp_path, stream, texts_of(WAITING))
    assert [send.user for send in found.sends] == [
        "before the wait is over",
        "u1",
        "after it is over",
        "before the membership is",
        "u1",
        "after it is over too",
    ]
    assert [send.decided_at - START for send in found.sends if send.user == "u1"] == [HOUR, 2 * HOUR]
    assert found.users["u1"].members == {}
    assert found.summary.by_labels("left") == {"active": {"time": 1}}
    assert found.adds_up(5)


@pytest.mark.parametrize("odd", [1, 999])
def test_a_deadline_between_two_milliseconds_is_kept(tmp_path: Path, odd: int) -> None:
    """Beam's timers know milliseconds: one that fires a little early would be set again, and fire again, for ever."""
    sends = unbounded(tmp_path, [track("Viewed", odd)], texts_of(WAITING)).sends
    assert [send.decided_at - START - odd for send in sends] == [HOUR, 2 * HOUR]


def test_a_drain_settles_and_sends_nothing(tmp_path: Path) -> None:
    """It moves the watermark to the end of time, far beyond the wall clock and deadlines that have not come."""
    ahead = 100 * 365 * DAY
    drained = streamed(tmp_path, stream_of(track("Viewed", ahead, "v"), None), texts_of(WAITING))
    user = drained.users["u1"]
    assert drained.sends == []
    assert (set(user.members), len(user.journeys)) == ({"active"}, 1)
    assert user.deadline == START + ahead + HOUR
    assert drained.adds_up(1)


def test_elements_behind_the_watermark_are_not_lost(tmp_path: Path) -> None:
    stream = stream_of(
        track("Viewed", 0, "a"),
        9 * HOUR,
        track("Ordered", HOUR, "late"),
        track("Viewed", HOUR, "late for another", user="u2"),
        10 * HOUR,
        None,
    )
    after = streamed(tmp_path, stream)
    assert "buyers" in after.users["u1"].members
    assert after.users["u2"].created == START + HOUR
    assert after.summary.by_label("accounts") == {"applied": 3}
    assert after.adds_up(3)


def test_every_way_to_end_is_accounted_for(tmp_path: Path) -> None:
    events = [
        track("Viewed", 0, "a"),
        track("Viewed", 1, "a"),
        Event("gone", "delete", "", START + 10, START + 10, user="u1"),
        track("Viewed", 11, "b", time=START + 5),
        Event("x", "alias", "", START + 12, START + 12, user="u1", previous="u2"),
        track("Viewed", 0, "c", user="u2"),
        track("Viewed", 0, "d", user="u3"),
    ]
    expected = {"applied": 5, "deleted": 1, "duplicate": 1}
    (tmp_path / "bounded").mkdir()
    for ended in (bounded(tmp_path / "bounded", events), streamed(tmp_path / "streamed", one_by_one(events))):
        assert ended.summary.by_label("accounts") == expected
        assert ended.adds_up(len(events))
