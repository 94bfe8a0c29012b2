"""Two arms of a randomised comparison: by how much one differs from the other, as a difference and as a ratio.

A ratio of means r = m1 / m2 is in its interval if 0 is in that of m1 - r·m2 (Fieller, 1954). For each r that is a
difference of means, so that the same sequence holds. The ratio's interval has 1 in it exactly if the difference's has
0. Where m2 may be 0, it has no end, in place of a wrong one. The delta method has none of these.
"""

from math import sqrt

import msgspec

from transforms.statistics.moments import Moments
from transforms.statistics.sequences import Interval, Ruler

__all__ = ["Comparison", "compare"]


class Comparison(msgspec.Struct, frozen=True):
    """Arm against base: the difference and the ratio of their means, each with its interval, and one p-value.

    `p` is that of a single comparison among `of`, times `of` (Bonferroni), 1 at most; intervals are wider to match.
    `ratio` is None where the base's mean is 0.
    """

    difference: float
    between: Interval
    ratio: float | None
    ratio_between: Interval
    p: float
    of: int = 1

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out that there is no difference."""
        return not self.between.has(0)


def compare(arm: Moments, base: Moments, alpha: float = 0.05, of: int = 1, *, fixed: bool = False) -> Comparison:
    """Compare two arms.

    Args:
      arm, base: the samples, of units that were assigned by chance.
      alpha: what all comparisons together may err.
      of: how many comparisons there are.
      fixed: hold at this look alone, which was declared beforehand, in place of at every one.
    """
    ruler = Ruler(arm.count + base.count, alpha / of, fixed)
    difference, error = arm.mean - base.mean, sqrt(arm.error + base.error)
    wide = ruler.reach * error
    p = ruler.p_value(difference / error) if error else float(not difference)  # none varies: equal, or surely not
    ratio = arm.mean / base.mean if base.mean else None
    limits = Interval(difference - wide, difference + wide)
    return Comparison(difference, limits, ratio, _ratio_interval(arm, base, ruler.reach**2), min(1.0, p * of), of)


def _ratio_interval(arm: Moments, base: Moments, square: float) -> Interval:
    """The values r with (m1 - r·m2)² ≤ c²·(v1 + r²·v2): between the roots of a square equation, if it opens upwards."""
    a = base.mean**2 - square * base.error
    b = arm.mean * base.mean
    c = arm.mean**2 - square * arm.error
    inside = b * b - a * c
    if a <= 0 or inside < 0:
        return Interval(None, None)
    root = sqrt(inside)
    return Interval((b - root) / a, (b + root) / a)
