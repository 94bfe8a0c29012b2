"""Both Beam shells around the core: the same users and decisions, timers in time, every message accounted for.

Two runners serve the unbounded shell. FnApiRunner is the nearer to production, but knows no TestStream and fires all
timers at the end, and a user's own inputs and those forwarded from an anonymous id come in no stated order; there,
users are compared as they end. On BundleBasedDirectRunner a TestStream gives one message after another and moves the
watermark in between, so that effects can be compared too.
"""

from pathlib import Path
from typing import Any

import pytest
from core import DAY, HOUR, START, compile_plain, decode_all, essence, run_bounded, texts_of
from generators import histories
from hypothesis import HealthCheck, Phase, given, settings
from shells import AS_OF, Outcome, bounded, one_by_one, stream_of, streamed, track, unbounded
from shop import SHOP
from strength import examples

from transforms.events.event import Event
from transforms.users.parts import PARTS

#: A timer that is set again and again would otherwise hold a run for ever.
pytestmark = pytest.mark.timeout(60)

CAMPAIGNS = compile_plain(SHOP)


def users_of(outcome: Outcome) -> dict[str, Any]:
    journeys = {key: user.journeys for key, user in outcome.users.items() if user.owner is None}
    return {"essence": essence(outcome.users, CAMPAIGNS), "journeys": journeys}


#: One run takes a second or two; the core alone is tested on many more histories.
few = settings(
    max_examples=examples(4),
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
    assert found.summary.by_labels("left", "segment", "via") == {"active": {"time": 1}}
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
    assert PARTS.deadline_of(user) == START + ahead + HOUR
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
    assert after.summary.by_label("accounts", "outcome") == {"applied": 3}
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
        assert ended.summary.by_label("accounts", "outcome") == expected
        assert ended.adds_up(len(events))
