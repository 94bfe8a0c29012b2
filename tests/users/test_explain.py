"""Why somebody is in a segment: the answers of its conditions, since when they are what they are, and until when."""

from typing import Any

from core import DAY, HOUR, START, Story, compile_plain, decode_all, run_bounded, states_of
from generators import definitions, histories, instants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships
from strength import examples

from transforms.segments.conditions import Condition, Count, Distinct, FirstLast, Sequence, Total
from transforms.segments.leaves import EventLeaf
from transforms.segments.measured import Measured, measured
from transforms.segments.operators import compile_test
from transforms.users.editor import UserEditor
from transforms.users.explain import ConditionTree, Explained, replay, settled

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
    return ConditionTree(segment, story.definitions).explain(user)


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
    tree = ConditionTree(segment, compiled)
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
        tree = ConditionTree(name, compiled)
        again, since = replay(tree, "u", events, until)
        assert again.members == user.members
        [said] = tree.explain(user).parts
        [exact] = tree.explain(again, since).parts
        assert said.since in (None, exact.since), name


NUMBERS: list[tuple[dict[str, Any], str]] = [
    ({"event": "A"}, ""),
    ({"event": "A", "count": {"at_least": 4}}, "count 3, at least 4"),
    ({"event": "A", "count": {"at_least": 2}}, "count 2 or more, at least 2"),
    ({"event": "A", "count": {"between": [1, 9]}, "within": "5h"}, "count 2, between 1 and 9"),
    ({"event": "A", "count": {"at_most": 0}, "within": "1h"}, "count 0, is 0"),
    ({"event": "A", "count": {"more_than": 1000}}, "count 3, at least 1,001"),
    ({"event": "A", "count": {"at_least": 3}, "same": "kind"}, "count 2, at least 3"),
    ({"event": "A", "sum": {"of": "n", "at_least": 30_000}}, "sum 24,100.5, at least 30,000"),
    ({"event": "A", "sum": {"of": "n", "is": 4_000.5}, "within": "5h"}, "sum 4,100.5, is 4,000.5"),
    ({"event": "A", "sum": {"of": "n", "less_than": 50}, "same": "kind"}, "sum 100.5, less than 50"),
    ({"event": "A", "average": {"of": "n", "between": [1, 9]}}, "average 8,033.5, between 1 and 9"),
    ({"event": "A", "average": {"of": "none", "at_least": 1}}, "average of nothing, at least 1"),
    ({"event": "A", "minimum": {"of": "n", "at_most": 2}, "within": "5h"}, "minimum 100.5, at most 2"),
    ({"event": "A", "maximum": {"of": "n", "more_than": 1e6}}, "maximum 20,000, more than 1,000,000"),
    ({"event": "A", "distinct": {"of": "kind", "at_least": 3}}, "distinct 2, at least 3"),
    ({"event": "A", "distinct": {"of": "kind", "is": 1}, "since": "2026-03-01"}, "distinct 2 or more, is 1"),
    ({"event": "A", "last": {"older_than": "30d"}}, "age 3h 30m, older than 30d"),
    ({"event": "A", "first": {"within": "6h"}}, "age 6h, within 6h"),
    ({"event": "B", "last": {"within": "6h"}}, "age of nothing, within 6h"),
    ({"event": "A", "missing": {"event": "B", "within": "4h"}}, "age 3h 30m, nothing since, overdue after 4h"),
    ({"event": "A", "missing": {"event": "A", "within": "4h"}}, "age 3h 30m, answered"),
    ({"event": "B", "missing": {"event": "A", "within": "4h"}}, "age of nothing, none waits"),
    ({"sequence": [{"event": "A"}, {"event": "A"}, {"event": "B"}]}, "steps 2 of 3"),
]


def test_what_was_found_of_what_is_asked() -> None:
    segments = {f"s{number}": {"members": members} for number, (members, _) in enumerate(NUMBERS)}
    story = Story(compile_plain({"segments": segments}))
    for at, amount, kind in ((0, 20_000, "x"), (2 * HOUR, 4_000, "x"), (5 * HOUR // 2, 100.5, "y")):
        story.track("A", at, {"n": amount, "kind": kind})
    found = [explained(story, name, 6 * HOUR).parts[0].measured for name in segments]
    assert [str(each or "") for each in found] == [text for _, text in NUMBERS]


def agrees(condition: Condition, found: Measured) -> bool | None:
    """What the number answers; None where it is not all that is asked."""
    match condition:
        case Count(low=low, high=high) | Distinct(low=low, high=high):
            return found.amount is not None and low <= found.amount and (high is None or found.amount <= high)
        case Total(operator=operator):
            return found.amount is not None and compile_test(operator)([found.amount])
        case FirstLast(older=older, age=age):
            return found.amount is not None and (found.amount * 1_000_000 >= age) is older
        case Sequence(steps=steps, within=None):
            return found.amount == len(steps)
    return None


@settings(max_examples=examples(200), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_number_says_what_the_answer_says(data: st.DataObject) -> None:
    history, plain = data.draw(histories()), data.draw(definitions())
    compiled = compile_plain(plain)
    as_of = data.draw(st.sampled_from(instants(plain, history)))
    users, _ = run_bounded(decode_all(history), compiled, as_of)
    for user in users.values():
        for key, state in states_of(user).items():
            leaf = compiled.index.leaves[key]
            if not isinstance(leaf, EventLeaf) or user.owner is not None:
                continue
            found = measured(leaf.condition, state, user.clock, UserEditor(user, compiled).zone)
            if found is not None and (said := agrees(leaf.condition, found)) is not None:
                assert said is state.truth, (leaf.condition, found)


def test_long_numbers_are_shortened_for_people() -> None:
    assert str(Measured("sum", int(1.8e302), "at least 30")) == "sum 1.80000e+302, at least 30"
    assert str(Measured("sum", 123_456_789, "at least 30")) == "sum 123,456,789, at least 30"
    assert str(Measured("sum", 2 * int(1.7e308), "at least 30")) == "sum 3.40000e+308, at least 30"
