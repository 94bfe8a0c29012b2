"""Quantiles of a sample, with intervals of order statistics, which hold for any distribution at one look.

Of n units the number B of those not above the p-quantile is binomial (n, p). So the interval from the l-th to the u-th
smallest holds the quantile with P(l <= B < u) at least, more where values are tied. Source: David and Nagaraja, Order
Statistics, 3rd edition, 2003, section 7.1. No sequence that holds at every look is made of it here.
"""

from collections.abc import Sequence
from math import ceil, exp, lgamma, log, log1p, sqrt

import msgspec

from transforms.statistics.sequences import Interval

__all__ = ["Quantile", "quantile_of", "ranks_of"]

#: So many standard deviations below its mean a binomial count never is, for what floats can say.
_FAR = 12


class Quantile(msgspec.Struct, frozen=True):
    """The value that a share `level` of units does not exceed; `between` has no end where there is not enough data."""

    level: float
    value: float
    between: Interval


def quantile_of(values: Sequence[float], zeros: int, level: float, alpha: float = 0.05) -> Quantile | None:
    """A quantile of units: those of `values`, which are sorted and not 0, and `zeros` that are. None of nothing."""
    units = len(values) + zeros
    if not units:
        return None
    below = sum(value < 0 for value in values) if values and values[0] < 0 else 0

    def smallest(rank: int) -> float:
        if rank <= below:
            return values[rank - 1]
        return 0.0 if rank <= below + zeros else values[rank - 1 - zeros]

    low, high = ranks_of(units, level, alpha)
    limits = Interval(smallest(low) if low else None, smallest(high) if high <= units else None)
    return Quantile(level, smallest(min(units, max(1, ceil(units * level)))), limits)


def ranks_of(units: int, level: float, alpha: float) -> tuple[int, int]:
    """The ranks of the interval's ends: 0, or more than `units`, where there is no such end."""
    return _rank(units, level, alpha / 2), units + 1 - _rank(units, 1 - level, alpha / 2)


def _rank(units: int, level: float, alpha: float) -> int:
    """The least k with P(B <= k) > alpha."""
    middle, wide = units * level, sqrt(units * level * (1 - level))
    rank = max(0, int(middle - _FAR * wide - _FAR))
    chosen = lgamma(units + 1) - lgamma(rank + 1) - lgamma(units - rank + 1)
    each = exp(chosen + rank * log(level) + (units - rank) * log1p(-level))
    summed = each
    while summed <= alpha and rank < units:
        each *= (units - rank) / (rank + 1) * level / (1 - level)
        summed += each
        rank += 1
    return rank
