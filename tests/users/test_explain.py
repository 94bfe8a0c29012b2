"""Why somebody is in a segment: the answers of its conditions, since when they are what they are, and until when."""

from typing import Any

from core import DAY, HOUR, START, Story, compile_plain, decode_all, run_bounded
from generators import definitions, histories, instants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships
from strength import examples

from transforms.users.explain import Explained, Tree, replay, settled

DEEP: dict[str, Any] = {
    "segments": {
        "buyers": {"members": {"event": "Ordered"}},
        "pro": {"members": {"attribute": "plan", "is": "pro"}},
        "lapsing": {
            "members": {
                "all": [{"segment": "buyers"}, {"segment": "pro"}, {"not": {"event": "Ordered", "within": "2d"}}]
            }
        },
        "twice": {"members": {"any": [{"segment": "buyers"}, {"not": {"segment": "buyers"}}]}},
    }
}


def explained(story: Story, segment: str, at: int) -> Explained:
    user = settled(story.user, START + at, story.definitions)
    return Tree(segment, story.definitions).explain(user)


def told(part: Explained) -> tuple[Any, ...]:
    """What a tree says, times after `START`."""
    times = [None if time is None else time - START for time in (part.since, part.turns)]
    return (part.text, part.holds, *times, [told(inner) for inner in part.parts])


def test_a_tree_with_the_segments_inside_it() -> None:
    story = Story(compile_plain(DEEP))
    story.identify(0, {"plan": "pro"})
    story.track("Ordered", HOUR)
    assert told(explained(story, "lapsing", 2 * HOUR)) == (
        *("lapsing", False, None, HOUR + 2 * DAY),
        [
            (
                *("all", False, None, HOUR + 2 * DAY),
                [
                    ("buyers", True, HOUR, None, [("event: Ordered", True, None, None, [])]),
                    ("pro", True, 0, None, [("attribute: plan, is: pro", True, None, None, [])]),
                    (
                        *("not", False, None, HOUR + 2 * DAY),
                        [("event: Ordered, within: 2d", True, None, HOUR + 2 * DAY, [])],
                    ),
                ],
            )
        ],
    )
    later = explained(story, "lapsing", 3 * DAY)
    assert (later.holds, later.since, later.turns) == (True, START + HOUR + 2 * DAY, None)
    [within] = later.parts[0].parts[2].parts
    assert (within.holds, within.since, within.newest) == (False, START + HOUR + 2 * DAY, START + HOUR)


def test_what_an_attribute_has_and_when_it_was_said() -> None:
    story = Story(compile_plain(DEEP))
    story.identify(5, {"plan": "free"})
    [plan] = explained(story, "pro", DAY).parts
    assert (plan.holds, plan.value, plan.written) == (False, "free", START + 5)


def test_a_segment_that_is_met_twice_is_shown_once() -> None:
    story = Story(compile_plain(DEEP))
    story.track("Ordered", 0)
    first, second = explained(story, "twice", 0).parts[0].parts
    assert (first.parts[0].text, second.parts[0].text) == ("event: Ordered", "buyers")
    assert (second.parts[0].holds, second.parts[0].parts) == (True, ())


@settings(max_examples=examples(200), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_answers_and_turns_are_the_oracles(data: st.DataObject) -> None:
    history, plain = data.draw(histories()), data.draw(definitions())
    compiled = compile_plain(plain)
    as_of = data.draw(st.sampled_from(instants(plain, history)))
    users, _ = run_bounded(decode_all(history), compiled, as_of)
    now = memberships(plain, history, as_of)
    segment = data.draw(st.sampled_from(sorted(plain["segments"])))
    tree = Tree(segment, compiled)
    arrivals = [event.arrival for event in decode_all(history)]
    for key, member in now.items():
        found = tree.explain(users[key])
        assert found.holds is found.parts[0].holds is (segment in member)
        later = [arrival for arrival in arrivals if as_of < arrival <= (found.turns or 0)]
        if found.turns is not None and not later:
            assert (segment in memberships(plain, history, found.turns - 1)[key]) is found.holds
            assert (segment in memberships(plain, history, found.turns)[key]) is not found.holds


ASKED = {
    "first_old": {"event": "A", "first": {"older_than": "2h"}},
    "first_new": {"event": "A", "first": {"within": "2h"}},
    "last_old": {"event": "A", "last": {"older_than": "2h"}},
    "last_new": {"event": "A", "last": {"within": "2h"}},
    "often": {"event": "A", "within": "3h", "count": {"at_least": 2}},
    "seldom": {"event": "A", "within": "3h", "count": {"at_most": 1}},
    "never": {"event": "A", "within": "3h", "count": {"at_most": 0}},
    "some": {"event": "A", "within": "3h", "count": {"between": [1, 2]}},
    "ever": {"event": "A", "count": {"at_least": 2}},
    "missing": {"event": "A", "missing": {"event": "B", "within": "1h"}},
    "missing_lately": {"event": "A", "missing": {"event": "B", "within": "1h"}, "within": "3h"},
    "missing_since": {"event": "A", "missing": {"event": "B", "within": "1h"}, "since": "2026-03-01"},
}


@given(st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from([0, 1, HOUR // 2, HOUR, 2 * HOUR, 3 * HOUR]))))
def test_what_the_state_says_of_the_past_is_what_was(gaps: list[tuple[str, int]]) -> None:
    compiled = compile_plain({"segments": {name: {"members": members} for name, members in ASKED.items()}})
    story, at = Story(compiled), 0
    events = []
    for name, gap in gaps:
        at += gap
        events.append(story.call("track", at, name=name))
        story.take(events[-1])
    if not events:
        return
    until = START + at + HOUR
    user = settled(story.user, until, compiled)
    for name in ASKED:
        tree = Tree(name, compiled)
        again, since = replay(tree, "u", events, until)
        assert again.members == user.members
        [said] = tree.explain(user).parts
        [exact] = tree.explain(again, since).parts
        assert said.since in (None, exact.since), name
