"""Confidence sequences and fixed intervals: by simulation, against statsmodels, and their rules as properties."""

from fractions import Fraction
from math import isclose, sqrt

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from statsmodels.stats import proportion
from statsmodels.stats.power import normal_power
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW
from strength import examples

from transforms.statistics.comparisons import compare
from transforms.statistics.moments import Moments
from transforms.statistics.power import power_of, smallest_effect
from transforms.statistics.sequences import TUNED, Ruler, mean_interval

#: Each simulated report was looked at on each of these days.
DAYS = 40
#: What the report asks for before it judges a rate.
ENOUGH = 10
NOTHING = Moments(0, Fraction(), Fraction())

rates = st.builds(
    lambda count, share: Moments.of_rate(count, round(count * share)), st.integers(2, 10**6), st.floats(0, 1)
)


def runs() -> int:
    return max(100, examples(600))


def at_most(found: int, of: int, share: float) -> bool:
    """Whether a binomial count of this share is not above what chance gives in 1 of 10,000."""
    return found <= of * share + 3.72 * sqrt(of * share * (1 - share))


def looks(seed: int, arm: float, base: float, daily: int = 60) -> list[tuple[Moments, Moments]]:
    """The two arms of one report as they grow, day by day."""
    chance = np.random.default_rng(seed)
    sizes = np.cumsum(chance.binomial(daily, 0.5, DAYS))
    reached = np.cumsum(chance.binomial(np.diff(sizes, prepend=0), arm))
    others = daily * np.arange(1, DAYS + 1) - sizes
    other_reached = np.cumsum(chance.binomial(np.diff(others, prepend=0), base))
    days = zip(sizes, reached, others, other_reached, strict=True)
    return [
        (Moments.of_rate(int(n), int(k)), Moments.of_rate(int(m), int(j))) for n, k, m, j in days if min(k, j) >= ENOUGH
    ]


def test_daily_looks_at_nothing_find_something_in_5_percent_at_most() -> None:
    found = sum(any(compare(*look).differs for look in looks(seed, 0.1, 0.1)) for seed in range(runs()))
    assert at_most(found, runs(), 0.05)


def test_a_fixed_interval_looked_at_daily_would_not_do() -> None:
    found = sum(any(compare(*look, fixed=True).differs for look in looks(seed, 0.1, 0.1)) for seed in range(runs()))
    assert not at_most(found, runs(), 0.05)


def test_of_many_comparisons_one_errs_in_5_percent_at_most() -> None:
    found = sum(
        any(compare(*look, of=5).differs for part in range(5) for look in looks(5 * seed + part, 0.1, 0.1)[-1:])
        for seed in range(runs())
    )
    assert at_most(found, runs(), 0.05)


def test_long_tailed_values_of_a_small_arm_err_in_5_percent_at_most() -> None:
    """From 100 orders in each arm on, as a report asks: with fewer, a few large orders would decide."""
    found = 0
    for seed in range(runs()):
        chance, arms, orders = np.random.default_rng(seed), [NOTHING, NOTHING], [0, 0]
        for _ in range(25):
            for arm, units in enumerate((100, 400)):
                cents = np.rint(100 * chance.lognormal(3, 1.2, chance.binomial(units, 0.08))).astype(np.int64)
                arms[arm] += Moments(units, Fraction(int(cents.sum())), Fraction(int((cents * cents).sum())))
                orders[arm] += len(cents)
            if min(orders) >= 100 and compare(*arms).differs:
                found += 1
                break
    assert at_most(found, runs(), 0.05)


def test_the_truth_is_in_the_interval_at_every_look() -> None:
    missed = 0
    for seed in range(runs()):
        found = [compare(*look) for look in looks(seed, 0.15, 0.1)]
        missed += any(not each.between.has(0.05) or not each.ratio_between.has(1.5) for each in found)
    assert at_most(missed, runs(), 0.05)


def test_a_mean_is_in_its_interval_at_every_look() -> None:
    missed = 0
    for seed in range(runs()):
        values = np.random.default_rng(seed).integers(0, 100, 1_000)
        sums, squares = np.cumsum(values), np.cumsum(values * values)
        for count in range(50, 1_000, 50):
            sample = Moments(count, Fraction(int(sums[count - 1])), Fraction(int(squares[count - 1])))
            if not mean_interval(sample).has(49.5):
                missed += 1
                break
    assert at_most(missed, runs(), 0.05)


def test_power_at_a_look_is_as_computed() -> None:
    sizes = Moments.of_rate(1_500, 225), Moments.of_rate(1_500, 150)
    power = power_of(0.05, *sizes, Ruler(3_000, 0.05))
    assert 0.5 < power < 0.95
    chance = np.random.default_rng(7)
    many = 4 * runs()
    reached = zip(chance.binomial(1_500, 0.15, many), chance.binomial(1_500, 0.1, many), strict=True)
    seen = sum(compare(Moments.of_rate(1_500, int(k)), Moments.of_rate(1_500, int(j))).differs for k, j in reached)
    assert abs(seen / many - power) < 0.02 + 3.9 * sqrt(power * (1 - power) / many)


def test_the_smallest_effect_is_seen_with_its_power() -> None:
    arms, ruler = (Moments.of_rate(1_500, 180), Moments.of_rate(900, 80)), Ruler(2_400, 0.05)
    assert power_of(smallest_effect(*arms, ruler), *arms, ruler) == pytest.approx(0.8, abs=1e-4)


def test_fixed_intervals_and_p_values_are_those_of_statsmodels() -> None:
    chance = np.random.default_rng(3)
    one, two = chance.lognormal(0, 1, 400), chance.lognormal(0.1, 1.2, 700)
    ours = compare(*map(sampled, (one, two)), fixed=True)
    theirs = CompareMeans(DescrStatsW(one), DescrStatsW(two))
    assert ours.between == pytest.approx(theirs.zconfint_diff(usevar="unequal"))
    assert ours.p == pytest.approx(theirs.ztest_ind(usevar="unequal")[1])
    assert mean_interval(sampled(one), fixed=True) == pytest.approx(DescrStatsW(one).zconfint_mean())


def test_fixed_rates_are_those_of_statsmodels() -> None:
    ours = compare(Moments.of_rate(20_000, 2_200), Moments.of_rate(10_000, 1_000), fixed=True)
    arms = 2_200, 20_000, 1_000, 10_000
    wald = proportion.confint_proportions_2indep(*arms, compare="diff", method="wald", correction=False)
    assert ours.between == pytest.approx(wald, abs=1e-6)  # n - 1 where they have n
    ratio = proportion.confint_proportions_2indep(*arms, compare="ratio", method="log", correction=False)
    assert ours.ratio_between == pytest.approx(ratio, abs=2e-3)
    judged = proportion.test_proportions_2indep(*arms, compare="diff", method="wald", correction=False)
    assert ours.p == pytest.approx(judged.pvalue, rel=1e-2)


def test_fixed_power_is_that_of_statsmodels() -> None:
    arms = Moments.of_rate(1_000, 150), Moments.of_rate(1_000, 100)
    error = sqrt(arms[0].error + arms[1].error)
    theirs = normal_power(0.04 / (error * sqrt(2_000)), 2_000, 0.05)
    assert power_of(0.04, *arms, Ruler(2_000, 0.05, fixed=True)) == pytest.approx(theirs)


@example(Moments.of_rate(100, 0), Moments.of_rate(100, 100), 1, True)  # neither varies
@given(rates, rates, st.integers(1, 20), st.booleans())
def test_difference_ratio_and_p_value_never_disagree(arm: Moments, base: Moments, of: int, fixed: bool) -> None:
    found = compare(arm, base, of=of, fixed=fixed)
    if abs(found.p - 0.05) > 1e-9:
        assert found.differs == (found.p < 0.05)
        edges = [edge for edge in found.ratio_between if edge is not None]
        if not any(isclose(edge, 1, rel_tol=1e-9) for edge in edges) and None not in found.ratio_between:
            assert found.differs != found.ratio_between.has(1)


@given(rates, rates)
def test_a_sequence_is_wider_than_the_interval_of_one_look(arm: Moments, base: Moments) -> None:
    always, once = compare(arm, base), compare(arm, base, fixed=True)
    assert always.p >= once.p
    assert always.between.low <= once.between.low <= once.between.high <= always.between.high  # type: ignore[operator]


@given(st.integers(1, 10**7))
def test_the_reach_is_least_for_what_it_is_tuned(units: int) -> None:
    """The tuning is an approximation of the best one; the paper's figure shows how flat its surroundings are."""
    assert Ruler(units, 0.05).reach >= Ruler(TUNED, 0.05).reach - 1e-2 or units > TUNED / 2
    assert Ruler(units, 0.05).reach > 2.9


@given(st.lists(st.integers(0, 10**30), min_size=2, max_size=20), st.integers(0, 10**30))
def test_moments_lose_nothing_to_large_numbers(values: list[int], offset: int) -> None:
    near = Moments(len(values), Fraction(sum(values)), Fraction(sum(v * v for v in values)))
    far = Moments(
        len(values), Fraction(sum(v + offset for v in values)), Fraction(sum((v + offset) ** 2 for v in values))
    )
    assert near.variance == far.variance


def sampled(values: "np.ndarray") -> Moments:
    exact = [Fraction(float(value)) for value in values]
    return Moments(len(exact), sum(exact, Fraction()), sum((value * value for value in exact), Fraction()))
