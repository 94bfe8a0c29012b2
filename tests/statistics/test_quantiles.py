"""Intervals of quantiles: the ranks of scipy's binomial, and coverage as promised."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from strength import examples

from transforms.statistics.quantiles import quantile_of, ranks_of


@given(st.integers(1, 5_000), st.sampled_from([0.01, 0.25, 0.5, 0.9, 0.99]), st.sampled_from([0.01, 0.05, 0.2]))
def test_ranks_are_those_of_the_binomial(units: int, level: float, alpha: float) -> None:
    low, high = ranks_of(units, level, alpha)
    chance = stats.binom(units, level)
    assert chance.cdf(low - 1) <= alpha / 2 * (1 + 1e-9)
    assert chance.cdf(low) > alpha / 2 * (1 - 1e-9)
    assert chance.sf(high - 1) <= alpha / 2 * (1 + 1e-9)
    assert chance.sf(high - 2) > alpha / 2 * (1 - 1e-9)
    assert chance.cdf(high - 1) - chance.cdf(low - 1) >= 1 - alpha - 1e-9


def test_ranks_of_a_million_units() -> None:
    low, high = ranks_of(10**6, 0.99, 0.05)
    assert (low, high) == (stats.binom(10**6, 0.99).ppf(0.025), stats.binom(10**6, 0.99).ppf(0.975) + 1)


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=60), st.sampled_from([0.1, 0.5, 0.75, 0.99]))
def test_the_quantile_is_that_of_all_units_zeros_too(values: list[int], level: float) -> None:
    found = quantile_of(sorted(float(value) for value in values if value), values.count(0), level)
    assert found is not None
    assert found.value == np.quantile(values, level, method="inverted_cdf")
    assert found.between.has(found.value)


@pytest.mark.parametrize(("level", "units"), [(0.5, 200), (0.9, 200), (0.99, 1_000)])
def test_intervals_cover_as_promised(level: float, units: int) -> None:
    """Of values of which many are 0, as those of users are."""
    runs = max(300, examples(1_000))
    chance = np.random.default_rng(5)
    true = max(0.0, float(stats.lognorm(1).ppf((level - 0.6) / 0.4))) if level > 0.6 else 0.0
    covered = 0
    for _ in range(runs):
        values = np.sort(chance.lognormal(0, 1, chance.binomial(units, 0.4)))
        found = quantile_of(values.tolist(), units - len(values), level)
        assert found is not None
        covered += found.between.has(true)
    assert covered >= runs * 0.95 - 3.72 * np.sqrt(runs * 0.95 * 0.05)


def test_with_few_units_there_is_no_end() -> None:
    found = quantile_of([1.0, 2.0], 1, 0.99)
    assert found is not None
    assert found.value == 2
    assert found.between.high is None
    assert quantile_of([], 0, 0.5) is None
