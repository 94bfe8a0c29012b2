"""The cap on one user's state: whatever comes, it holds; what is lost is counted, and the rest still fits together."""

import json
from pathlib import Path
from typing import Any

import pytest
from core import DAY, HOUR, MINUTE, START, Story, compile_plain, of_type, states_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.campaigns.effects import Send, Suppressed
from transforms.campaigns.load import Definitions
from transforms.events.event import Event
from transforms.segments.conditions import Count, EventFilter
from transforms.segments.evidence import Extremes, Groups, SourceSum, SourceSums
from transforms.segments.leaves import EventLeaf
from transforms.storage.open import open_store
from transforms.users.advance import fold
from transforms.users.editor import UserEditor
from transforms.users.effects import Forward, SegmentLeft, Truncated
from transforms.users.size_limit import SIZE_LIMIT, enforce_size_limit
from transforms.users.user import Merge, User, Wake, decode_user, encode_user, pack_members
from transforms.users.write_batch import WriteBatch

Plain = dict[str, Any]
KB = 1024

PLAIN: Plain = {
    "segments": {
        "often": {"members": {"event": "Viewed", "within": "30d", "count": {"at_least": 1000}}},
        "once": {"members": {"event": "Viewed"}},
        "rare": {"members": {"not": {"event": "Viewed", "count": {"at_least": 500}}}},
        "lapsed": {"members": {"event": "Viewed", "last": {"older_than": "60d"}}},
        "cart": {"members": {"event": "Viewed", "missing": {"event": "Ordered", "within": "1h"}}},
        "pro": {"members": {"attribute": "plan", "is": "pro"}},
        "both": {"members": {"all": [{"segment": "pro"}, {"segment": "once"}]}},
        **{
            f"n{n}": {"members": {"event": "Viewed", "where": {"n": {"is": n}}, "count": {"at_least": 900}}}
            for n in range(40)
        },
    },
    "campaigns": {
        "hello": {
            "trigger": {"event": "Viewed", "where": {"hello": {"is": True}}},
            "steps": [{"send": "push"}, {"wait": "30d"}, {"id": "later", "send": "push"}],
            "reenter": "always",
            "consent": "offers",
        },
        "slow": {
            "trigger": {"event": "Viewed", "where": {"hello": {"is": True}}},
            "steps": [{"wait": "40d"}, {"send": "push"}],
            "exit": {"segment": "lapsed"},
            "reenter": "always",
            "consent": "offers",
        },
    },
    "messages": {"push": {"channel": "push", "title": "Hello"}},
}
DEFINITIONS = compile_plain(PLAIN)


class Told(Story):
    """A user whose state is cut after each input, as the shells do it, and checked."""

    def take(self, item: Any) -> list[Any]:
        effects = super().take(item)
        self.user, data, more = enforce_size_limit(self.user, self.definitions)
        self.effects += more
        assert decode_user(data) == self.user
        check(self.user, data, self.definitions)
        return effects + more


def check(user: User, data: bytes, definitions: Definitions) -> None:
    """The state fits, leaves are what their evidence and facts say, and memberships what the leaves say."""
    assert len(data) <= SIZE_LIMIT
    if user.created is None or user.owner is not None:
        return
    editor = UserEditor(user, definitions)
    for key, leaf in definitions.index.leaves.items():
        state = editor.truths[key]
        if isinstance(leaf, EventLeaf):
            assert leaf.evaluate(state, state.evidence, user.clock, editor.zone) == state
        else:
            assert leaf.evaluate(editor, user.clock) == state
    members: dict[str, int] = {}
    for name, test in zip(definitions.index.order, definitions.index.tests, strict=True):
        if test(editor.truths, members):
            members[name] = 0
    assert set(user.members) == set(members)


def dropped(effects: list[Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for cut in of_type(Truncated, effects):
        counts[cut.kind] = counts.get(cut.kind, 0) + cut.count
    return counts


def test_what_fits_stays_as_it_is() -> None:
    told = Told(DEFINITIONS)
    told.identify(0, {"plan": "pro", "bio": "x" * (SIZE_LIMIT - 2 * KB)})
    assert dropped(told.effects) == {}
    assert told.user.truncated == 0
    assert told.user.profile.value("plan") == "pro"


def test_old_attributes_and_evidence_go_first() -> None:
    told = Told(DEFINITIONS)
    told.identify(0, {"old": "x" * 100 * KB})
    told.track("Viewed", MINUTE, {"n": 1})
    told.identify(HOUR, {"plan": "pro"})
    told.identify(2 * HOUR, {"new": "y" * 100 * KB})
    assert dropped(told.effects) == {}
    told.identify(3 * HOUR, {"newest": "z" * 80 * KB})
    assert dropped(told.effects) == {"attributes": 1}
    assert sorted(told.user.profile.values()) == ["new", "newest", "plan"]
    assert {"once", "pro", "both"} <= told.user.members.keys()
    assert told.user.truncated == 1


def test_a_leaf_without_its_evidence_is_judged_again() -> None:
    """Sums of evidence beyond the cap: 40 conditions of 900. What was true by them is not, and nobody is told."""
    told = Told(DEFINITIONS)
    user = told.user
    events = [
        told.call("track", n * 1000 + number, name="Viewed", properties={"n": n}, historical=True)
        for n in range(40)
        for number in range(900)
    ]
    user, _ = fold(user, events, DEFINITIONS)
    assert len(encode_user(user)) > SIZE_LIMIT
    assert {f"n{n}" for n in range(40)} <= user.members.keys()
    cut, data, more = enforce_size_limit(user, DEFINITIONS)
    check(cut, data, DEFINITIONS)
    assert len(data) > SIZE_LIMIT // 4
    lost = dropped(more)
    assert set(lost) == {"marks"}
    assert cut.truncated == lost["marks"]
    left = {change.segment for change in of_type(SegmentLeft, more)}
    assert left
    assert "n39" in cut.members, "the newest stamps stay"
    assert {change.cause for change in of_type(SegmentLeft, more)} == {"truncated"}
    assert of_type(Send, more) == []


def test_one_huge_value_drives_nothing_else_out() -> None:
    told = Told(DEFINITIONS)
    told.identify(0, {"plan": "pro", "name": "Ada"})
    told.track("Viewed", 1)
    told.identify(2, {"bio": "x" * 10_000_000})
    assert told.user.profile.values() == {"plan": "pro", "name": "Ada"}
    assert dropped(told.effects) == {"attributes": 1}
    assert {"once", "pro", "both"} <= told.user.members.keys()


def test_huge_events_in_journeys_and_sends_drive_nothing_else_out() -> None:
    told = Told(DEFINITIONS)
    told.identify(0, {"plan": "pro", "name": "Ada"})
    told.device(1)
    told.consent(2, "push", True)
    effects = told.track("Viewed", 3, {"hello": True, "body": "x" * 500 * KB})
    assert len(of_type(Send, effects)) == 1, "it goes out nevertheless"
    assert told.user.sends == told.user.journeys == {}
    assert dropped(told.effects) == {"sends": 1, "journeys": 2}
    assert sorted((refused.campaign, refused.reason) for refused in of_type(Suppressed, effects)) == [
        ("hello", "truncated"),
        ("slow", "truncated"),
    ]
    assert told.user.profile.value("plan") == "pro"
    assert told.user.entries.keys() == {"hello", "slow"}
    assert told.user.profile.consent.keys() == {"offers/push"}


def test_what_is_open_outlives_what_is_known_and_a_denial_outlives_both() -> None:
    told = Told(DEFINITIONS)
    told.consent(0, "push", True)
    told.consent(1, "email", False, topic="all")
    told.device(2)
    told.track("Viewed", 3, {"hello": True, "body": "x" * 40 * KB})
    for number in range(12):
        told.identify(HOUR + number, {f"trait {number}": "y" * 30 * KB})
    assert dropped(told.effects).keys() <= {"attributes", "marks", "tokens"}
    assert len(told.user.sends) == 1
    assert len(told.user.journeys) == 2
    assert told.user.profile.consent.keys() == {"offers/push", "all/email"}
    assert f"trait {11}" in told.user.profile.values()


def test_more_memberships_than_there_is_room_for() -> None:
    """Nothing of that can be dropped one by one, so the user begins anew, at every input."""
    name = "a_segment_with_quite_a_long_name_and_number"
    many = compile_plain({"segments": {f"{name}_{n}": {"members": {"not": {"event": f"E{n}"}}} for n in range(5_500)}})
    told = Told(many)
    for number in range(2):
        effects = told.track("E1", number)
        assert dropped(effects)["state"] == 1
        left = [change.segment for change in of_type(SegmentLeft, effects) if change.cause == "truncated"]
        assert len(set(left)) == 5_500, "all, and the one of E1 too, whose stamp had gone first"
        assert len(encode_user(told.user)) < KB
    assert told.user.truncated == sum(dropped(told.effects).values())


def test_without_their_evidence_memberships_go_too() -> None:
    name = "a_segment_with_quite_a_long_name_and_number"
    many = compile_plain({"segments": {f"{name}_{n}": {"members": {"event": f"E{n}"}} for n in range(4500)}})
    events = [Event(f"m{n}", "track", f"E{n}", START + n, START + n, "u", historical=True) for n in range(4500)]
    user, _ = fold(User("u"), events, many)
    assert len(encode_user(user)) > SIZE_LIMIT
    cut, data, effects = enforce_size_limit(user, many)
    check(cut, data, many)
    assert {change.segment for change in of_type(SegmentLeft, effects)} == user.members.keys() - cut.members.keys()
    assert f"{name}_0" not in cut.members


def test_an_id_that_was_taken_over_is_cut_too() -> None:
    seen = [
        Event(f"m{n}", "identify", "", START + n, START + n, None, "a", traits={f"t{n}": "x" * 60 * KB})
        for n in range(5)
    ]
    user, effects = fold(User("~a"), [*seen, Event("i", "identify", "", START + 9, START + 9, "u", "a")], DEFINITIONS)
    (merge,) = [each.input for each in of_type(Forward, effects) if isinstance(each.input, Merge)]
    cut, data, _ = enforce_size_limit(user, DEFINITIONS)
    assert len(data) <= SIZE_LIMIT
    assert cut.owner == user.owner
    assert cut.members == {}
    told = Told(DEFINITIONS)
    told.take(merge)
    assert told.user.merged == ("~a",)


HOSTILE = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("identify"), "names": st.integers(1, 40), "size": st.sampled_from([1, KB, 7 * KB, 130 * KB])}
    ),
    st.fixed_dictionaries(
        {"kind": st.just("hello"), "names": st.integers(1, 3), "size": st.sampled_from([1, 9 * KB, 70 * KB, 300 * KB])}
    ),
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["token", "consent"]), "names": st.integers(1, 40), "size": st.sampled_from([8, 4000])}
    ),
    st.fixed_dictionaries({"kind": st.just("merge"), "names": st.integers(1, 900), "size": st.sampled_from([8, 250])}),
    st.fixed_dictionaries({"kind": st.just("wait"), "names": st.sampled_from([1, 700]), "size": st.just(0)}),
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(HOSTILE, min_size=1, max_size=8))
def test_no_payload_breaks_the_cap(parts: list[Plain]) -> None:
    told = Told(DEFINITIONS)
    at = 0
    told.device(at)
    told.consent(at, "push", True)
    for number, part in enumerate(parts):
        at += MINUTE
        size, names = part["size"], part["names"]
        match part["kind"]:
            case "identify":
                told.identify(at, {f"{number} {name}": "x" * size for name in range(names)} | {"plan": "pro"})
            case "hello":
                for name in range(names):
                    told.track("Viewed", at + name, {"hello": True, "n": name, "body": "x" * size})
            case "token":
                for name in range(min(names, 6)):
                    told.device(at + name, f"{number} {name}".ljust(size, "t"))
            case "consent":
                for name in range(min(names, 6)):
                    told.consent(at + name, "email", False, topic=f"{number} {name}".ljust(size, "t"))
            case "merge":
                merged = tuple(f"~{number} {name}".ljust(size, "m") for name in range(names))
                told.take(Merge(START + at, User(f"~{number}", created=START, merged=merged)))
            case "wait":
                at += names * HOUR
                told.wake(at)
    told.take(Wake(START + at + 90 * DAY))
    assert told.user.truncated == sum(dropped(told.effects).values())


@pytest.mark.parametrize(("low", "high", "most"), [(1, None, 1), (1000, None, 1000), (0, 1000, 1001), (3, 5, 6)])
def test_a_count_keeps_no_more_stamps_than_it_needs(low: int, high: int | None, most: int) -> None:
    leaf = EventLeaf(Count(EventFilter("E"), low, high))
    state = leaf.unseen
    for number in range(1200):
        event = Event(f"m{number}", "track", "E", number, number, "u")
        state = leaf.evaluate(state, leaf.add(state, event, number), number, "UTC")
    assert len(state.evidence) == most


def test_what_was_cut_is_counted_in_the_tallies_and_shown_in_the_row(tmp_path: Path) -> None:
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    batch = WriteBatch(DEFINITIONS, store)
    huge = Event("m", "identify", "", START, START, "u", traits={"bio": "x" * SIZE_LIMIT, "plan": "pro"})
    _, data = batch.apply(User("u"), [huge])
    assert (("truncated", ("attributes",), START - START % DAY), 1) in list(batch.flush())
    row = store.read_users(["u"])["u"]
    assert row.state == data
    assert len(row.state) < SIZE_LIMIT
    shown = json.loads(row.profile)
    assert (shown["truncated"], shown["attributes"]) == (1, {"plan": "pro"})
    store.close()


#: Conditions, and as much as their leaves can keep; the oldest of it is far older than the newest.
LARGE: dict[str, tuple[Plain, int, Any]] = {
    "distinct": (
        {"event": "Viewed", "distinct": {"of": "n", "at_least": 10_000}},
        2,
        tuple((START - n, 2**63 + n) for n in range(10_000)),
    ),
    "same": (
        {"event": "Viewed", "count": {"at_least": 1000}, "same": "n"},
        1,
        Groups({2**63 + n: tuple((START - n - m * 100, 2**63 + m) for m in range(1001)) for n in range(64)}),
    ),
    "sum": (
        {"event": "Viewed", "sum": {"of": "n", "at_least": 1}, "within": "30d", "same": "k"},
        1,
        SourceSums(
            tuple(
                SourceSum(0, 0, 2**63 + n, 512, START - n, {START // (5062500000) - m: (1, 2**62) for m in range(512)})
                for n in range(64)
            )
        ),
    ),
    "maximum": (
        {"event": "Viewed", "maximum": {"of": "n", "at_least": 1}, "within": "30d"},
        60,
        Extremes({START // 5062500000 - m: 2.5 for m in range(512)}),
    ),
}


@pytest.mark.parametrize("shape", LARGE)
def test_every_shape_of_evidence_can_be_cut(shape: str) -> None:
    condition, leaves, evidence = LARGE[shape]
    numbered = [{**condition, "where": {"leaf": {"is": n}}} for n in range(leaves)]
    large = compile_plain({"segments": {f"s{n}": {"members": each} for n, each in enumerate(numbered)}})
    states = {key: leaf.evaluate(leaf.unseen, evidence, START, "UTC") for key, leaf in large.index.leaves.items()}
    held = dict.fromkeys(large.segments, START) if all(state.truth for state in states.values()) else {}
    user = User("u", 1, START, START - DAY, large.definitions_hash, leaves=states, packed_members=pack_members(held))
    assert len(encode_user(user)) > SIZE_LIMIT
    cut, data, effects = enforce_size_limit(user, large)
    assert decode_user(data) == cut
    check(cut, data, large)
    assert len(data) > SIZE_LIMIT // 4
    assert dropped(effects) == {"marks": cut.truncated}
    assert of_type(Send, effects) == []
    left: list[Any] = [state.evidence for state in states_of(cut).values()]
    match shape:
        case "distinct":
            assert all(kept == evidence[: len(kept)] for kept in left), "the newest stay"
        case "same":
            assert all(max(kept)[0] == START - value + 2**63 for value, kept in left[0].stamps.items())
        case "sum":
            assert left[0].tallies == evidence.tallies[: len(left[0].tallies)], "values stay whole, the newest of them"
        case "maximum":
            assert all(kept == evidence for kept in left if kept), "leaves stay whole"
