"""Goals: which events reach them, in which window, once an entry, in both arms."""

import pytest
from campaigns.campaign_story import conversions, sends, story
from core import DAY, HOUR, START, of_type

from transforms.campaigns.effects import Converted
from transforms.events.event import Event
from transforms.users.tally import Tallies

ORDERED = {"event": "Ordered", "within": "3d", "value": "revenue"}


@pytest.mark.parametrize(
    ("at", "counts"),
    [(HOUR - 1, False), (HOUR, True), (HOUR + 3 * DAY - 1, True), (HOUR + 3 * DAY, False)],
)
def test_the_window_starts_at_entry(at: int, counts: bool) -> None:
    told = story(goals={"ordered": ORDERED})
    if at < HOUR:
        told.track("Ordered", at, {"revenue": 5})
    told.track("Bought", HOUR)
    if at >= HOUR:
        told.track("Ordered", at, {"revenue": 5})
    assert conversions(told) == ([("ordered", True, 5, at)] if counts else [])


def test_one_conversion_an_entry_and_values_add_up() -> None:
    told = story(goals={"ordered": ORDERED, "seen": {"event": "Ordered", "within": "3d"}})
    told.track("Bought", HOUR)
    for hour, properties in ((2, {"revenue": 5}), (3, {"revenue": 2.5}), (4, {}), (5, {"revenue": "5"})):
        told.track("Ordered", hour * HOUR, properties)
    assert conversions(told) == [
        ("ordered", True, 5, 2 * HOUR),
        ("seen", True, 0, 2 * HOUR),
        ("ordered", False, 2.5, 3 * HOUR),
    ]


def test_each_entry_has_a_conversion_of_its_own() -> None:
    told = story(goals={"ordered": ORDERED})
    told.track("Bought", HOUR)
    told.track("Bought", 2 * HOUR)
    told.track("Ordered", 3 * HOUR, {"revenue": 1})
    found = of_type(Converted, told.effects)
    assert len({each.entry for each in found}) == len(found) == 2


def test_after_shifts_the_start() -> None:
    told = story(goals={"back": {"event": "Viewed", "after": "7d", "within": "1d"}})
    told.track("Bought", HOUR)
    for at in (2 * HOUR, HOUR + 7 * DAY - 1, HOUR + 7 * DAY, HOUR + 8 * DAY):
        told.track("Viewed", at)
    assert conversions(told) == [("back", True, 0, HOUR + 7 * DAY)]


def test_a_late_event_counts_by_its_time_for_a_day_after_the_window() -> None:
    told = story(goals={"ordered": ORDERED})
    told.track("Bought", HOUR)
    told.track("Ordered", 3 * DAY + 20 * HOUR, {"revenue": 5}, time=2 * HOUR)
    assert conversions(told) == [("ordered", True, 5, 2 * HOUR)]
    told.wake(5 * DAY)
    assert told.user.goals == {}


def test_those_held_out_and_those_whose_sends_were_refused_stay_in_their_arm() -> None:
    told = story(goals={"ordered": ORDERED}, holdout=100, variants={"a": 100})
    told.track("Bought", HOUR)
    told.track("Ordered", 2 * HOUR, {"revenue": 5})
    [found] = of_type(Converted, told.effects)
    assert (found.variant, found.held_out, sends(told)) == ("a", True, [])
    refused = story(goals={"ordered": ORDERED}, steps=[{"send": "push_a", "unless": {"segment": "everybody"}}])
    refused.track("Bought", HOUR)
    refused.track("Ordered", 2 * HOUR, {"revenue": 5})
    assert conversions(refused) == [("ordered", True, 5, 2 * HOUR)]


def test_who_was_refused_at_entry_is_in_no_arm() -> None:
    told = story(goals={"ordered": ORDERED}, audience={"segment": "vips"})
    told.track("Bought", HOUR)
    told.track("Ordered", 2 * HOUR)
    assert conversions(told) == []


def test_the_triggering_event_itself_is_not_what_it_is_for() -> None:
    told = story(goals={"again": {"event": "Bought", "within": "1d"}})
    told.track("Bought", HOUR)
    assert conversions(told) == []
    told.track("Bought", 2 * HOUR)
    assert conversions(told) == [("again", True, 0, 2 * HOUR)]


def test_merged_users_are_counted_once() -> None:
    told, other = story("u", goals={"ordered": ORDERED}), story("u2", goals={"ordered": ORDERED})
    other.track("Bought", HOUR)
    other.track("Ordered", 2 * HOUR, {"revenue": 5})
    alias = Event("m", "alias", "", START + 3 * HOUR, START + 3 * HOUR, "u", previous="u2")
    for forward in other.take(alias):
        if hasattr(forward, "input"):
            told.take(forward.input)
    told.track("Ordered", 4 * HOUR, {"revenue": 1}, id_="late")
    assert conversions(told) == [("ordered", False, 1, 4 * HOUR)]


def test_tallies_count_conversions_and_values_by_arm() -> None:
    told = story(goals={"ordered": ORDERED}, variants={"a": 100})
    told.track("Bought", HOUR)
    told.track("Ordered", 2 * HOUR, {"revenue": 5})
    told.track("Ordered", 3 * HOUR, {"revenue": 0.25})
    tallies = Tallies()
    tallies.effects(told.effects)
    counts = {key[:2]: count for key, count in tallies.drain()}
    assert counts["entries", ("a", "c")] == 1
    assert counts["conversions", ("a", "c", "ordered")] == 1
    assert counts["value", ("a", "c", "ordered")] == 5_250_000
