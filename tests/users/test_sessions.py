"""Sessions: `Session Ended` comes at the end of what somebody did without a longer pause, and counts as an event."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from core import DAY, HOUR, MINUTE, START, Plain, Story, compile_plain, decode_all, of_type, texts_of
from generators import histories
from hypothesis import HealthCheck, Phase, given, settings
from shells import AS_OF, Outcome, bounded, one_by_one, streamed, track
from shop import SHOP
from strength import examples

from transforms.events.event import Event
from transforms.segments.columns.layout import NotColumnar, needs_of
from transforms.segments.warming import atoms
from transforms.storage.open import open_store
from transforms.users.advance import advance_anonymous, fold
from transforms.users.effects import Forward, Recorded
from transforms.users.parts import PARTS
from transforms.users.user import Merge, User, Wake

GAP = 30 * MINUTE
PLAIN: Plain = {
    "policies": {"sessions": {"gap": "30m"}},
    "segments": {
        "thorough": {
            "members": {
                "event": "Session Ended",
                "where": {"count": {"at_least": 3}, "duration": {"at_least": 60}},
                "within": "1d",
            }
        },
        "busy": {"members": {"event": "any", "count": {"at_least": 4}}},
        "tracked": {"members": {"event": "Session Ended", "type": "track"}},
    },
    "campaigns": {
        "bye": {
            "trigger": {"event": "Session Ended", "where": {"count": {"at_least": 2}}},
            "steps": [{"send": "push"}],
            "reenter": "always",
            "transactional": True,
        }
    },
    "messages": {"push": {"channel": "push", "title": "{{ event.count }} things in {{ event.duration }} s"}},
}
SESSIONS = compile_plain(PLAIN)
OFF = compile_plain({section: body for section, body in PLAIN.items() if section != "policies"})


def told(effects: list[Any]) -> list[tuple[int, int, float]]:
    """Each `Session Ended`: when, of how many, how long."""
    events = [each.event for each in of_type(Recorded, effects) if each.event.type == "session"]
    assert all(event.time == event.arrival and event.name == "Session Ended" for event in events)
    return [(event.time - START, event.properties["count"], event.properties["duration"]) for event in events]


@pytest.fixture
def story() -> Story:
    told_by = Story(SESSIONS)
    told_by.device(0)
    return told_by


def test_there_are_none_unless_definitions_ask_for_them() -> None:
    story = Story(OFF)
    story.track("Viewed", 0)
    story.wake(DAY)
    assert told(story.effects) == []
    assert (story.user.session, PARTS.deadline_of(story.user)) == (None, None)


def test_an_open_session_is_dropped_when_definitions_ask_for_none_any_more(story: Story) -> None:
    story.track("Viewed", 0)
    user, effects = fold(story.user, [Wake(START + DAY)], OFF)
    assert (told(effects), user.session, PARTS.deadline_of(user)) == ([], None, None)


def test_time_alone_ends_a_session_and_segments_and_campaigns_hear_of_it(story: Story) -> None:
    for at, kind in ((0, "track"), (20 * MINUTE, "page"), (45 * MINUTE, "screen")):
        story.take(story.call(kind, at, name="Viewed"))
    assert PARTS.deadline_of(story.user) == START + 45 * MINUTE + GAP
    story.wake(45 * MINUTE + GAP - 1)
    assert told(story.effects) == []
    story.wake(9 * HOUR)
    end = 45 * MINUTE + GAP
    assert told(story.effects) == [(end, 3, 45 * 60.0)]
    assert story.sent == [("push", "push", end)]
    assert story.user.members == {"thorough": START + end}
    assert (story.user.session, PARTS.deadline_of(story.user)) == (None, START + end + DAY)


def test_an_event_a_gap_later_begins_another_session(story: Story) -> None:
    for at in (0, GAP - 1, 2 * GAP - 1, 9 * GAP):
        story.track("Viewed", at)
    assert told(story.effects) == [(2 * GAP - 1, 2, (GAP - 1) / 1_000_000), (3 * GAP - 1, 1, 0.0)]
    assert told(story.wake(DAY)) == [(10 * GAP, 1, 0.0)]


def test_what_is_no_call_counts_in_no_session_and_its_end_in_no_event_any(story: Story) -> None:
    story.identify(0, {"plan": "pro"})
    assert story.user.session is None
    for at in (0, HOUR, 2 * HOUR):
        story.track("Viewed", at)
    story.wake(3 * HOUR)
    assert len(told(story.effects)) == 3
    assert "busy" not in story.user.members
    story.track("Session Ended", 4 * HOUR)  # what somebody sends under that name is an event like any other
    assert {"busy", "tracked"} <= story.user.members.keys()


def test_a_session_of_history_triggers_nothing_and_one_live_event_makes_it_live(story: Story) -> None:
    for at in (0, MINUTE, 2 * MINUTE):
        story.track("Viewed", at, historical=True)
    story.wake(HOUR)
    assert story.sent == []
    assert story.reasons == ["historical"]
    assert "thorough" in story.user.members
    story.track("Viewed", 2 * HOUR, historical=True)
    story.track("Viewed", 2 * HOUR + 1)
    story.take(story.call("track", 9 * HOUR, name="Viewed", historical=True))  # whoever settles it
    assert story.sent == [("push", "push", 2 * HOUR + 1 + GAP)]
    sources = [each.event.historical for each in of_type(Recorded, story.effects) if each.event.type == "session"]
    assert sources == [True, False]


def test_a_late_event_counts_as_long_as_it_is_applied_within_a_gap(story: Story) -> None:
    story.track("Viewed", 10 * MINUTE)
    story.track("Viewed", 11 * MINUTE, time=MINUTE)
    story.track("Viewed", 35 * MINUTE, time=6 * MINUTE)
    story.track("Viewed", 36 * MINUTE, time=6 * MINUTE)
    story.track("Viewed", 37 * MINUTE, time=-HOUR)
    assert told(story.wake(HOUR)) == [(10 * MINUTE + GAP, 3, 9 * 60.0)]
    story.track("Viewed", HOUR, time=HOUR - GAP)
    assert story.user.session is None
    story.track("Viewed", HOUR, time=HOUR - GAP + 1)
    assert told(story.wake(HOUR + 1)) == [(HOUR + 1, 1, 0.0)]


def test_what_is_repeated_counts_once_and_a_session_has_one_name() -> None:
    events = [track("Viewed", 0, "a"), track("Viewed", 0, "a"), track("Viewed", MINUTE, "b")]
    names = []
    for inputs in (events, events[1:]):
        _, effects = fold(User("u1"), [*inputs, Wake(START + HOUR)], SESSIONS)
        assert told(effects) == [(MINUTE + GAP, 2, 60.0)]
        names += [each.event.id for each in of_type(Recorded, effects) if each.event.type == "session"]
    assert names[0] == names[1]


def test_a_visitor_who_identifies_goes_on_with_the_session_and_it_is_counted_once() -> None:
    visitor, user = User("~a1"), User("u1")
    handed: list[Any] = []
    for item in (
        track("Viewed", 0, "a", user=None, anonymous="a1"),
        track("Viewed", MINUTE, "b", user=None, anonymous="a1"),
        track("Viewed", 2 * MINUTE, "c", user="u1", anonymous="a1"),
        track("Viewed", 3 * MINUTE, "d", user="u1", anonymous="a1"),
    ):
        visitor, effects = advance_anonymous(visitor, item, SESSIONS)
        handed += [forward.input for forward in of_type(Forward, effects)]
    assert len(of_type(Merge, handed)) == 2
    user, effects = fold(user, [*handed, Wake(START + HOUR)], SESSIONS)
    assert told(effects) == [(3 * MINUTE + GAP, 4, 180.0)]
    _, effects = advance_anonymous(visitor, Wake(START + HOUR), SESSIONS)
    assert told(effects) == []


def test_of_two_sessions_that_lie_apart_the_later_stays() -> None:
    first, _ = fold(User("u2"), [track("Viewed", 0, "a", user="u2")], SESSIONS)
    later, _ = fold(User("u1"), [track("Viewed", HOUR, "b")], SESSIONS)
    merge = Merge(START + HOUR, first)
    _, effects = fold(later, [merge, merge, Wake(START + DAY)], SESSIONS)
    assert told(effects) == [(HOUR + GAP, 1, 0.0)]


def test_a_deleted_user_has_no_session(story: Story) -> None:
    story.track("Viewed", 0)
    story.take(story.call("delete", MINUTE))
    assert told(story.wake(DAY)) == []


def test_columns_leave_it_to_rows() -> None:
    for name in ("thorough", "tracked"):
        with pytest.raises(NotColumnar, match="event: Session Ended"):
            needs_of(atoms(SESSIONS.segments[name].members))


SHOPPING: Plain = {
    **SHOP,
    "policies": PLAIN["policies"],
    "segments": {**SHOP["segments"], "thorough": {"members": {"event": "Session Ended", "count": {"at_least": 2}}}},
    "campaigns": {
        **SHOP["campaigns"],
        "bye": {
            "trigger": {"event": "Session Ended"},
            "steps": [{"send": ["push_a", "mail_a"]}],
            "reenter": "always",
            "transactional": True,
        },
    },
}


def archived(folder: Path, outcome: Outcome) -> list[tuple[str, str, int, bytes]]:
    """Every `Session Ended` in the archive of a run."""
    store = open_store(f"sqlite:{folder / 'store.db'}")
    rows = [row for user in outcome.users for row in store.read_events(user) if row.type == "session"]
    store.close()
    return sorted((row.user, row.id, row.time, row.payload) for row in rows)


@pytest.mark.timeout(60)
@settings(
    max_examples=examples(3),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(histories())
def test_both_shells_end_the_same_sessions(tmp_path_factory: pytest.TempPathFactory, history: list[Any]) -> None:
    events = sorted(decode_all(history), key=lambda event: (event.arrival, event.id))
    compare(tmp_path_factory.mktemp("run"), events)


def test_both_shells_end_a_session_by_time_and_by_the_next_event(tmp_path: Path) -> None:
    found = compare(tmp_path, [track("Viewed", at, f"m{at}") for at in (0, MINUTE, HOUR, HOUR + MINUTE)])
    assert sorted(time - START for _, _, time, _ in found) == [MINUTE + GAP, HOUR + MINUTE + GAP]


def compare(folder: Path, events: list[Event]) -> list[tuple[str, str, int, bytes]]:
    texts = texts_of(SHOPPING)
    (folder / "bounded").mkdir()
    at_once = bounded(folder / "bounded", events, texts)
    live = streamed(folder / "streamed", one_by_one(events), texts)
    assert live.send_ids == at_once.send_ids
    assert {key: set(user.members) for key, user in live.users.items()} == {
        key: set(user.members) for key, user in at_once.users.items()
    }
    found = archived(folder / "bounded", at_once)
    assert archived(folder / "streamed", live) == found
    assert at_once.adds_up(len(events))
    assert live.adds_up(len(events))
    return found


@settings(deadline=None)
@given(histories())
def test_when_it_is_woken_changes_no_session(history: list[Any]) -> None:
    compiled = compile_plain(SHOPPING)
    events = sorted(decode_all(history), key=lambda event: (event.arrival, event.id))
    mine = [msgspec.structs.replace(each, user="u1", anonymous=None) for each in events if each.type == "track"]
    plain, effects = fold(User("u1"), [*mine, Wake(AS_OF)], compiled)
    woken = [item for each in mine for item in (Wake(each.arrival - 1), each, Wake(each.arrival))]
    often, effects_often = fold(User("u1"), [*woken, Wake(AS_OF)], compiled)
    assert told(effects_often) == told(effects)
    assert plain.session is often.session is None
