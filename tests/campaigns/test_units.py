"""First entries are units of a campaign's comparison: which are, and what is counted of them."""

from collections import Counter
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from campaigns.campaign_story import story
from core import DAY, HOUR, START, Story, of_type
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.campaigns.effects import CampaignEntered
from transforms.events.event import Event
from transforms.segments.leaf_totals import micros
from transforms.users.tally import BASE, Tallies

ORDERED = {"event": "Ordered", "within": "3d", "value": "revenue"}
UNITS = ("units", "goal_units", "goal_reached", "goal_totals", "goal_squares")


def counted(*stories: Story) -> Counter[str]:
    """What is counted of units: by metric, digits put together again."""
    tallies, found = Tallies(), Counter[str]()
    for told in stories:
        tallies.effects(told.effects)
    for (metric, values, _), count in tallies.drain():
        if metric in UNITS:
            digits = metric in ("goal_totals", "goal_squares")
            assert abs(count) < 2**63
            found[metric] += count * BASE ** int(values[4]) if digits else count
    return found


def shares(**more: Any) -> dict[str | None, str]:
    """The share of each arm, of the first of 200 users who came into it."""
    found: dict[str | None, str] = {}
    for number in range(200):
        told = story(f"u{number}", **more)
        told.track("Bought", HOUR)
        for entry in of_type(CampaignEntered, told.effects):
            assert entry.draw is not None
            found["holdout" if entry.held_out else entry.variant] = entry.draw.share
    return found


def test_only_the_first_entry_is_a_unit() -> None:
    told = story(goals={"ordered": ORDERED})
    told.track("Bought", HOUR)
    told.track("Bought", 2 * HOUR)
    told.track("Ordered", 3 * HOUR, {"revenue": 5})
    first, second = of_type(CampaignEntered, told.effects)
    assert (first.draw is None, second.draw is None) == (False, True)
    assert counted(told) == {
        "units": 1,
        "goal_units": 1,
        "goal_reached": 1,
        "goal_totals": 5_000_000,
        "goal_squares": 25 * 10**12,
    }


def test_an_entry_is_complete_a_day_after_its_window() -> None:
    told = story(goals={"ordered": ORDERED | {"after": "1d"}})
    told.track("Bought", HOUR)
    (entry,) = of_type(CampaignEntered, told.effects)
    assert entry.goals == (("ordered", START + HOUR + 5 * DAY),)
    tallies = Tallies()
    tallies.effects(told.effects)
    (values,) = [values for (metric, values, _), _ in tallies.drain() if metric == "goal_units"]
    complete, day = (datetime.fromisoformat(values[place]).replace(tzinfo=UTC).timestamp() for place in (2, 3))
    assert day <= (START + HOUR) / 1e6 < day + 86_400
    assert complete - 86_400 < (START + HOUR + 5 * DAY) / 1e6 <= complete


def test_a_unit_knows_how_many_come_into_its_arm() -> None:
    assert shares(holdout=12.5, variants={"a": 40, "b": 60}) == {"holdout": "12.5", "a": "35", "b": "52.5"}
    assert shares() == {None: "100"}
    assert shares(holdout=100) == {"holdout": "100"}


def test_other_percentages_have_another_name() -> None:
    names = set()
    for more in (
        {},
        {"holdout": 10},
        {"holdout": 10, "variants": {"a": 50, "b": 50}},
        {"variants": {"a": 50, "b": 50}},
    ):
        told = story(**more)
        told.track("Bought", HOUR)
        (entry,) = of_type(CampaignEntered, told.effects)
        assert entry.draw is not None
        names.add(entry.draw.split)
    assert len(names) == 4


VALUES = st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e12, 1e12), st.sampled_from([1e300, -1e300, 2**62]))


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.lists(VALUES, max_size=4), min_size=1, max_size=3))
def test_squares_are_those_of_what_each_user_is_worth(users: list[list[float]]) -> None:
    stories, totals = [], []
    for number, values in enumerate(users):
        told, total = story(f"u{number}", goals={"ordered": ORDERED}), 0
        told.track("Bought", HOUR)
        for place, value in enumerate(values):
            told.track("Ordered", 2 * HOUR + place, {"revenue": value}, id_=f"o{place}")
            total = max(1 - 2**63, min(total + micros(value), 2**63 - 1))
        stories.append(told)
        totals.append(total)
    found = counted(*stories)
    assert found["goal_totals"] == sum(totals)
    assert found["goal_squares"] == sum(total * total for total in totals)
    assert found["goal_units"] == len(users)


def test_a_unit_goes_on_after_its_user_was_merged() -> None:
    told, other = story("u", goals={"ordered": ORDERED}), story("u2", goals={"ordered": ORDERED})
    other.track("Bought", HOUR)
    other.track("Ordered", 2 * HOUR, {"revenue": 5})
    alias = Event("m", "alias", "", START + 3 * HOUR, START + 3 * HOUR, "u", previous="u2")
    forwards = [each.input for each in other.take(alias) if hasattr(each, "input")]
    for forward in (*forwards, *forwards):
        told.take(forward)
    told.track("Ordered", 4 * HOUR, {"revenue": 2}, id_="late")
    for forward in forwards:  # the past as it was before, once more
        told.take(forward)
    told.track("Ordered", 5 * HOUR, {"revenue": 1}, id_="later")
    found = counted(told, other)
    assert Fraction(found["goal_squares"], 10**12) == 64
    assert (found["units"], found["goal_reached"], found["goal_totals"]) == (1, 1, 8_000_000)


@pytest.mark.parametrize("reenter", ["always", "restart"])
def test_who_entered_before_is_no_unit_later(reenter: str) -> None:
    told = story(reenter=reenter, goals={"ordered": ORDERED})
    for hour in (1, 30, 90):
        told.track("Bought", hour * HOUR)
    assert counted(told)["units"] == 1
