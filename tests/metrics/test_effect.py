"""What a report says a campaign did, from counts alone."""

import json
from pathlib import Path
from random import Random

import msgspec
import pytest

from transforms.campaigns.effects import CampaignEntered, Converted, Draw, GoalUnit
from transforms.events.times import read_time
from transforms.metrics.counts import counts_of, summed
from transforms.metrics.effect import effect_of
from transforms.metrics.prometheus import exposition
from transforms.metrics.units import CohortSums, Units, read_units
from transforms.segments.values import DAY, MINUTE
from transforms.storage.open import open_store
from transforms.users.tally import MILLION, Tallies
from transforms.views.campaign_report import CampaignReport, report_of

START = read_time("2026-03-01T09:30:00Z")
DRAWS = {"holdout": Draw("one", "20"), "": Draw("one", "80")}


class Shop:
    """A campaign of which every `per_day` users a day are drawn into an arm, and some order."""

    def __init__(self, seed: int = 1, window: int = DAY) -> None:
        self.chance = Random(seed)
        self.tallies = Tallies(window)
        self.worth: list[tuple[str, int]] = []

    def day(self, day: int, users: int, rates: dict[str, float], draws: dict[str, Draw] | None = None) -> None:
        """Users enter on a day and order on the next, if they do; who does, twice in one case of two."""
        draws = draws or DRAWS
        arms = list(draws)
        for _ in range(users):
            arm = self.chance.choices(arms, [float(draws[each].share) for each in arms])[0]
            self.enter(day, arm, draws[arm])
            if self.chance.random() < rates[arm]:
                self.order(day, arm, draws[arm], [self.chance.randint(1, 90) for _ in range(self.chance.randint(1, 2))])

    def enter(self, day: int, arm: str, draw: Draw) -> None:
        at = START + day * DAY
        held = arm == "holdout"
        goals = (("ordered", at + 8 * DAY),)
        said = ("c", "u", "e", at, None if held else arm or None, held)
        self.tallies.effects([CampaignEntered(*said, draw, goals)])

    def order(self, day: int, arm: str, draw: Draw, values: list[int]) -> None:
        at, total, held = START + day * DAY, 0, arm == "holdout"
        for place, value in enumerate(values):
            unit = GoalUnit(at, draw.split, (total + value) * MILLION)
            said = ("c", "ordered", "u", "e", at + DAY, place == 0, value, None if held else arm or None, held)
            self.tallies.effects([Converted(*said, unit, total * MILLION, at + 8 * DAY)])
            total += value
        self.worth.append((arm, total))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'store.db'}"


def stored(url: str, shop: Shop) -> tuple[Units, CampaignReport]:
    """As a store gives it back, as of the 40th day."""
    store = open_store(url)
    store.add_metrics(shop.tallies.rows(START))
    units = read_units(counts_of(store))
    report = report_of(store, START + 40 * DAY)["c"]
    store.close()
    return units, report


def test_a_campaign_that_works_is_seen_to(url: str) -> None:
    shop = Shop(window=MINUTE)
    for day in range(30):
        shop.day(day, 300, {"holdout": 0.10, "": 0.20})
    units, report = stored(url, shop)
    assert not report.balance.mismatch
    rate, value = report.effects
    (effect,) = rate.effects
    assert (effect.arm, effect.base, effect.verdict) == ("", "holdout", "more")
    assert effect.found is not None
    assert effect.found.between.has(0.1)
    assert effect.found.ratio_between.has(2)
    assert effect.found.of == 2  # rate and value
    assert effect.once is None
    assert value.effects[0].verdict == "more"
    treated = [total for arm, total in shop.worth if arm == ""]
    (arm, _) = value.arms
    assert arm.reached == len(treated)
    assert arm.mean == pytest.approx(sum(treated) / arm.units)
    assert [look.day for look in effect.looks] == sorted(look.day for look in effect.looks)
    assert effect.looks[-1].difference == effect.found.difference
    assert sum(report.units.values()) == 9_000
    assert read_units(()) == Units()
    assert units.split == "one"


def test_squares_come_back_exactly(url: str) -> None:
    shop = Shop()
    shop.day(0, 500, {"holdout": 0.5, "": 0.5})
    units, _ = stored(url, shop)
    for arm in ("", "holdout"):
        mine = [total for each, total in shop.worth if each == arm]
        sample = CohortSums().plus(each for each in units.cohorts if each.arm == arm).sample("value")
        assert sample.total == sum(mine)
        assert sample.squares == sum(total**2 for total in mine)


def test_a_past_look_is_what_was_said_then(url: str) -> None:
    shop = Shop()
    for day in range(20):
        shop.day(day, 600, {"holdout": 0.10, "": 0.20})
    units, report = stored(url, shop)
    for goal in report.effects:
        looks = goal.effects[0].looks
        assert len(looks) > 5
        for look in looks[:: len(looks) // 3]:
            of_then = tuple(each for each in units.cohorts if each.day <= look.day)
            [then] = [
                each.effects[0].found
                for each in effect_of(msgspec.structs.replace(units, cohorts=of_then), "2026-05-01")[1]
                if each.measure == goal.measure
            ]
            assert then is not None
            assert (look.difference, look.between) == (then.difference, then.between)


def test_prometheus_gets_no_series_a_day(url: str) -> None:
    shop = Shop()
    shop.day(0, 50, {"holdout": 0.5, "": 0.5})
    store = open_store(url)
    store.add_metrics(shop.tallies.rows(START))
    lines = list(exposition(summed(counts_of(store))))
    store.close()
    assert any(line.startswith("todoke_entries_total{") for line in lines)
    assert not any("day=" in line for line in lines)


def test_who_may_still_order_is_left_out(url: str) -> None:
    shop = Shop()
    for day in range(30, 38):
        shop.day(day, 100, {"holdout": 0.2, "": 0.2})
    _, report = stored(url, shop)
    rate = report.effects[0]
    complete = [cohort for cohort in report.cohorts if cohort.complete <= "2026-04-10"]
    assert {cohort.day for cohort in complete} == {"2026-03-31", "2026-04-01"}
    assert rate.maturing == 800 - sum(cohort.units for cohort in complete) == 600
    assert rate.next_complete == "2026-04-11"


def test_little_data_is_no_effect(url: str) -> None:
    shop = Shop()
    shop.day(0, 60, {"holdout": 0.3, "": 0.9})
    _, report = stored(url, shop)
    assert [effect.verdict for goal in report.effects for effect in goal.effects] == ["not enough data"] * 2
    assert report.effects[0].effects[0].found is None


def test_no_difference_says_what_would_have_been_seen(url: str) -> None:
    shop = Shop()
    for day in range(20):
        shop.day(day, 300, {"holdout": 0.2, "": 0.2})
    _, report = stored(url, shop)
    (effect,) = report.effects[0].effects
    assert effect.verdict == "open"
    assert effect.smallest is not None
    assert 0.03 < effect.smallest < 0.09


def test_a_mismatch_stops_the_verdict(url: str) -> None:
    """A third of those who are treated are lost, such as by a campaign that refuses them after the draw."""
    shop = Shop()
    for day in range(20):
        shop.day(day, 300, {"holdout": 0.1, "": 0.3})
    for key in [key for key in shop.tallies._counts if key[0] == "units" and key[1][0] == ""]:
        shop.tallies._counts[key] = shop.tallies._counts[key] * 2 // 3
    _, report = stored(url, shop)
    assert report.balance.mismatch
    assert {effect.verdict for goal in report.effects for effect in goal.effects} == {"mismatch"}


def test_changed_percentages_begin_anew(url: str) -> None:
    """Of an arm that was the larger once and is the smaller now, old and new users would be mixed."""
    shop, later = Shop(), {"holdout": Draw("two", "80"), "": Draw("two", "20")}
    for day in range(10):
        shop.day(day, 300, {"holdout": 0.5, "": 0.5})
    for day in range(10, 30):
        shop.day(day, 300, {"holdout": 0.1, "": 0.1}, later)
    _, report = stored(url, shop)
    assert not report.balance.mismatch
    rate = report.effects[0]
    assert sum(arm.units for arm in rate.arms) == 6_000
    assert rate.effects[0].verdict == "open"
    assert sum(report.units.values()) == 9_000


def test_the_interval_of_one_look_comes_after_the_declared_end(url: str) -> None:
    shop = Shop()
    for day in range(20):
        shop.day(day, 200, {"holdout": 0.2, "": 0.2})
    units, _ = stored(url, shop)
    for today, ended, there in (("2026-04-10", True, True), ("2026-04-10", False, False), ("2026-03-20", True, False)):
        _, (rate, _) = effect_of(units, today, ended=ended)
        (effect,) = rate.effects
        assert (effect.once is not None) is there, today
        if effect.once is not None and effect.found is not None:
            assert effect.found.between.low < effect.once.between.low  # type: ignore[operator]


def test_every_pair_of_arms_is_compared_and_corrected_for(url: str) -> None:
    draws = {"holdout": Draw("three", "10"), "a": Draw("three", "45"), "b": Draw("three", "45")}
    shop = Shop()
    for day in range(20):
        shop.day(day, 300, {"holdout": 0.2, "a": 0.2, "b": 0.2}, draws)
    _, report = stored(url, shop)
    pairs = [(effect.arm, effect.base) for effect in report.effects[0].effects]
    assert pairs == [("a", "b"), ("a", "holdout"), ("b", "holdout")]
    assert {effect.found.of for goal in report.effects for effect in goal.effects if effect.found} == {6}


def test_a_campaign_of_one_arm_has_no_effect_and_one_of_nothing_no_counts(url: str) -> None:
    shop = Shop()
    shop.day(0, 300, {"": 0.2}, {"": Draw("all", "100")})
    store = open_store(url)
    store.add_metrics(shop.tallies.rows(START))
    found = report_of(store, START + 40 * DAY, ["c", "d"])
    store.close()
    assert found["c"].effects[0].effects == ()
    assert found["c"].effects[0].arms[0].units == 300
    assert (found["d"].entries, found["d"].effects) == ({}, ())


def test_programs_can_read_it(url: str) -> None:
    from todoke.report import shown_json

    shop = Shop()
    for day in range(20):
        shop.day(day, 300, {"holdout": 0.1, "": 0.2})
    _, report = stored(url, shop)
    shown = json.loads(json.dumps(shown_json(report)))
    assert shown["balance"]["mismatch"] is False
    assert shown["effects"][0]["effects"][0]["verdict"] == "more"
    low, high = shown["effects"][0]["effects"][0]["found"]["between"]
    assert low < shown["effects"][0]["effects"][0]["found"]["difference"] < high
