"""Asymptotic confidence sequences: intervals and p-values that hold at every look at once, not at one alone.

Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence
sequences" (arXiv 2103.06476), theorem 2.2. With t units, a standard error s of the estimate and a tuning r > 0 that is
fixed beforehand, the interval is the estimate ± s·m, where

    m(t, a) = sqrt(2 (t r + 1) / (t r) · log(sqrt(t r + 1) / a)).

The p-value is the least `a` at which the interval leaves 0 out, so that interval and p-value cannot disagree. The
estimate may be any that is asymptotically linear in the units: a mean, or a difference of two means of a randomised
comparison. r makes the interval narrowest after `TUNED` units (the paper's appendix on tuning, with
-W(-a²/e) - 1 ≈ -2 log a + log(1 - 2 log a)). It must not follow the data.

Fixed ones hold at a single look that was planned: z·s, with z of the normal distribution.
"""

from math import exp, log, sqrt
from statistics import NormalDist
from typing import NamedTuple

from transforms.statistics.moments import Moments

__all__ = ["TUNED", "Interval", "Ruler", "mean_interval"]

#: After so many units in all arms the interval is narrowest; after 20 times as many it is 10 % wider than it could be.
TUNED = 2_000
_NORMAL = NormalDist()


class Interval(NamedTuple):
    """An interval; None where it has no end."""

    low: float | None
    high: float | None

    def has(self, value: float) -> bool:
        """Whether a value lies in it."""
        return (self.low is None or self.low <= value) and (self.high is None or value <= self.high)


class Ruler(NamedTuple):
    """How many standard errors an interval reaches, at confidence 1 - alpha after `units`; `fixed`: at this look alone.

    `alpha` is what one comparison may err; of several, divide by how many there are (Bonferroni).
    """

    units: int
    alpha: float
    fixed: bool = False

    @property
    def reach(self) -> float:
        """Standard errors to each side."""
        if self.fixed:
            return _NORMAL.inv_cdf(1 - self.alpha / 2)
        tr = self._tuned
        return sqrt(2 * (tr + 1) / tr * (log(tr + 1) / 2 - log(self.alpha)))

    def p_value(self, errors: float) -> float:
        """The least alpha at which an estimate so many standard errors from 0 leaves it out."""
        if self.fixed:
            return 2 * _NORMAL.cdf(-abs(errors))
        tr = self._tuned
        return min(1.0, exp(log(tr + 1) / 2 - errors * errors * tr / (2 * (tr + 1))))

    @property
    def _tuned(self) -> float:
        """t·r."""
        wide = -2 * log(self.alpha)
        return max(1, self.units) * (wide + log(wide + 1)) / TUNED


def mean_interval(sample: Moments, alpha: float = 0.05, *, fixed: bool = False) -> Interval:
    """The interval of a mean."""
    wide = Ruler(sample.count, alpha, fixed).reach * sqrt(sample.error)
    return Interval(sample.mean - wide, sample.mean + wide)
