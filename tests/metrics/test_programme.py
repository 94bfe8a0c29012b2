"""All campaigns together: the global holdout against everybody else, by columns of the archive."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.campaigns.effects import HOLDOUT
from transforms.campaigns.entry import is_held
from transforms.campaigns.policies import GlobalHoldout, ProgrammeGoal
from transforms.events.times import read_time, write_time
from transforms.metrics.effect import effect_of
from transforms.metrics.programme import programme_units
from transforms.segments.conditions import EventFilter
from transforms.segments.values import DAY, HOUR
from transforms.storage.scratch.folder import scratch_folder

START = read_time("2026-03-01T00:00:00Z")
END = START + 10 * DAY
HELD = GlobalHoldout(
    50, "x", {"ordered": ProgrammeGoal(EventFilter("Ordered"), "revenue"), "seen": ProgrammeGoal(EventFilter("Seen"))}
)


def call(number: int, user: str, name: str, at: int, **properties: object) -> bytes:
    said = {"type": "track", "event": name, "messageId": f"m{number}", "timestamp": write_time(at)}
    who = {"anonymousId": user.removeprefix("~")} if user.startswith("~") else {"userId": user}
    return json.dumps(said | who | {"properties": properties}).encode()


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([*(f"u{number}" for number in range(8)), "~a1"]),
        st.sampled_from(["Ordered", "Seen", "Other"]),
        st.integers(-5 * 24, 12 * 24),
        st.one_of(st.none(), st.integers(-100, 10**6), st.floats(0, 1e6), st.just("text")),
    ),
    max_size=30,
)


@settings(max_examples=examples(40), deadline=None)
@given(EVENTS)
def test_units_are_those_who_were_known_and_sums_are_exact(events: list[tuple[str, str, int, object]]) -> None:
    known = {user for user, _, hour, _ in events if hour < 0 and not user.startswith("~")}
    totals: dict[str, dict[str, int]] = {"ordered": {}, "seen": {}}
    for user, name, hour, value in events:
        if user in known and 0 <= hour < 240 and name != "Other":
            worth = round(value * 1_000_000) if name == "Ordered" and isinstance(value, int | float) else 0
            mine = totals[name.lower()]
            mine[user] = mine.get(user, 0) + worth
    calls = [call(n, user, name, START + h * HOUR, revenue=value) for n, (user, name, h, value) in enumerate(events)]
    with scratch_folder() as folder:
        units = programme_units(calls, HELD, START, END, folder / "events")
    for arrivals in units.arrivals:
        assert arrivals.units == sum(is_held(HELD, user) is (arrivals.arm == HOLDOUT) for user in known)
    for cohort in units.cohorts:
        mine = [t for user, t in totals[cohort.goal].items() if is_held(HELD, user) is (cohort.arm == HOLDOUT)]
        assert (cohort.reached, cohort.total, cohort.squares) == (len(mine), sum(mine), sum(t * t for t in mine))


def test_values_beyond_all_measure_are_kept_as_the_live_job_keeps_them(tmp_path: Path) -> None:
    calls = []
    for number in range(600):
        worth = (1e300, -1e300, 1e160, 1e15)[number % 4]
        calls += [call(number, f"u{number}", "Seen", START - DAY)]
        calls += [call(9_000 + number, f"u{number}", "Ordered", START + DAY, revenue=worth)]
    units = programme_units(calls, HELD, START, END, tmp_path / "events")
    _, effects = effect_of(units, "2026-03-11")
    [value] = [goal for goal in effects if goal.measure == "value"]
    [compared] = value.effects
    assert compared.found is not None
    assert abs(compared.found.difference) < 1e13


def test_a_programme_that_works_is_seen_to(tmp_path: Path) -> None:
    calls = []
    for number in range(3_000):
        user = f"u{number}"
        calls.append(call(number, user, "Seen", START - DAY))
        if number % 10 < (1 if is_held(HELD, user) else 3):
            calls.append(call(10_000 + number, user, "Ordered", START + DAY, revenue=10 + number % 7))
    units = programme_units(calls, HELD, START, END, tmp_path / "events")
    balance, effects = effect_of(units, "2026-03-11")
    assert not balance.mismatch
    by_goal = {(goal.goal, goal.measure): goal.effects[0] for goal in effects}
    assert by_goal["ordered", "rate"].verdict == by_goal["ordered", "value"].verdict == "more"
    assert by_goal["seen", "rate"].verdict == "not enough data"
    found = by_goal["ordered", "rate"].found
    assert found is not None
    assert found.difference == pytest.approx(0.2, abs=0.04)


def test_what_one_user_is_worth_is_cut_and_shares_add_up(tmp_path: Path) -> None:
    held = GlobalHoldout(0.00001, "x", HELD.goals)
    calls = [call(0, "u", "Seen", START - DAY), call(1, "u", "Ordered", START + DAY, revenue=1e200)]
    units = programme_units(calls, held, START, END, tmp_path / "events")
    assert max(cohort.total for cohort in units.cohorts) == 2**63 - 1
    assert sum(Fraction(arrivals.share) for arrivals in units.arrivals) == 100
    assert effect_of(units, "2026-03-11")
