"""CUPED: theta and variance as numpy has them, variance reduced as theory says, and the level kept at every look."""

from fractions import Fraction
from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from strength import examples

from transforms.statistics.comparisons import compare
from transforms.statistics.cuped import Paired, adjust
from transforms.statistics.moments import Moments

Floats = NDArray[np.float64]
DAYS, DAILY = 30, 100


def summed(values: Floats) -> Moments:
    parts = [Fraction(value) for value in values.tolist()]
    return Moments(len(parts), sum(parts, Fraction()), sum((part * part for part in parts), Fraction()))


def paired(after: Floats, before: Floats) -> Paired:
    products = sum(
        (Fraction(y) * Fraction(x) for y, x in zip(after.tolist(), before.tolist(), strict=True)), Fraction()
    )
    return Paired(summed(after), summed(before), products)


def drawn(chance: np.random.Generator, units: int, effect: float, correlation: float) -> tuple[Floats, Floats]:
    before = chance.exponential(1, units)
    noise = chance.exponential(1, units)
    return effect + correlation * before + sqrt(1 - correlation**2) * noise, before


def test_theta_and_the_adjusted_sample_are_those_of_numpy() -> None:
    chance = np.random.default_rng(1)
    (y1, x1), (y2, x2) = drawn(chance, 500, 0.2, 0.6), drawn(chance, 300, 0.0, 0.6)
    found = adjust(paired(y1, x1), paired(y2, x2))
    crossed = sum(np.sum((y - y.mean()) * (x - x.mean())) for y, x in ((y1, x1), (y2, x2)))
    theta = crossed / sum(np.sum((x - x.mean()) ** 2) for x in (x1, x2))
    assert found.theta == pytest.approx(theta)
    mean = np.concatenate((x1, x2)).mean()
    z1, z2 = y1 - theta * (x1 - mean), y2 - theta * (x2 - mean)
    plain = compare(summed(z1), summed(z2))
    assert found.found.difference == pytest.approx(z1.mean() - z2.mean())
    assert found.found.between == pytest.approx(plain.between)
    assert found.found.p == pytest.approx(plain.p)
    raw, left = (a.var(ddof=1) / 500 + b.var(ddof=1) / 300 for a, b in ((y1, y2), (z1, z2)))
    assert found.reduction == pytest.approx(1 - left / raw)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6, 0.9])
def test_variance_is_less_by_the_square_of_the_correlation(correlation: float) -> None:
    chance = np.random.default_rng(2)
    samples = [paired(*drawn(chance, 10_000, 0.0, correlation)) for _ in range(2)]
    assert adjust(*samples).reduction == pytest.approx(correlation**2, abs=0.03)


def test_daily_looks_at_nothing_find_something_in_5_percent_at_most_and_effects_are_covered() -> None:
    runs = max(60, examples(200))
    false, covered, narrower = 0, 0, 0
    for seed in range(runs):
        chance = np.random.default_rng(seed)
        nothing = Moments(0, Fraction(), Fraction())
        arm = base = Paired(nothing, nothing, Fraction())
        found, inside = False, True
        for _ in range(DAYS):
            here = chance.binomial(DAILY, 0.5)
            rounded = [tuple(np.round(part, 3) for part in drawn(chance, n, 0, 0.7)) for n in (here, DAILY - here)]
            arm, base = arm + paired(*rounded[0]), base + paired(*rounded[1])
            look = adjust(arm, base)
            if min(arm.after.count, base.after.count) >= 100:
                found |= look.found.differs
                inside &= look.found.between.has(0)
        false, covered = false + found, covered + inside
        plain = compare(arm.after, base.after).between
        adjusted = adjust(arm, base).found.between
        assert None not in (*plain, *adjusted)
        narrower += (adjusted[1] - adjusted[0]) < (plain[1] - plain[0])  # type: ignore[operator]
    assert false <= runs * 0.05 + 3.72 * sqrt(runs * 0.05 * 0.95)
    assert covered >= runs * 0.95 - 3.72 * sqrt(runs * 0.05 * 0.95)
    assert narrower == runs


def test_without_anything_before_it_is_the_plain_comparison() -> None:
    chance = np.random.default_rng(3)
    y1, y2 = chance.normal(1, 1, 200), chance.normal(0, 1, 200)
    zeros = np.zeros(200)
    found = adjust(paired(y1, zeros), paired(y2, zeros), of=3)
    assert (found.theta, found.reduction) == (0, 0)
    assert found.found == compare(summed(y1), summed(y2), of=3)
