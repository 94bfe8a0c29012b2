"""Sample ratio mismatch: whether as many came into each arm as its percentage says.

If not, something chose among users after the draw, and no difference of the arms says what the campaign did. The test
holds at every look, as the intervals do. Source: Lindon and Malek, "Anytime-valid inference for multinomial count data"
(arXiv 2011.03567): the Bayes factor of a Dirichlet prior around the percentages, against them, exceeds 1/a with chance
a at most, ever. Under several percentages, one after the other, the factors multiply.

Fixed-sample chi-square would err more often with each look.
"""

from collections.abc import Iterable
from math import exp, lgamma, log

__all__ = ["MISMATCH", "balance_p_value"]

#: Below this p-value arms do not fit their percentages: customary and stricter than for effects, since it is an alarm.
MISMATCH = 0.01
#: How closely the prior lies around the percentages, as if after so many units. It sees a gross mismatch in some
#: hundred units and a fine one in some hundred thousand.
_CONCENTRATION = 1_000


def balance_p_value(groups: Iterable[Iterable[tuple[float, int]]]) -> float:
    """The p-value that arms fit.

    Args:
      groups: for each division in percent, the share of each arm in [0, 1] with how many units came into it. Arms may
        have the same share.
    """
    factor = sum(_log_factor([*group]) for group in groups)
    return min(1.0, exp(min(0.0, -factor)))


def _log_factor(arms: list[tuple[float, int]]) -> float:
    """The logarithm of the Bayes factor of one division. Units in an arm of no share are a mismatch for certain."""
    if any(count and share <= 0 for share, count in arms):
        return float("inf")
    open_ = [(share, count) for share, count in arms if share > 0]
    whole = sum(count for _, count in open_)
    factor = lgamma(_CONCENTRATION) - lgamma(_CONCENTRATION + whole)
    for share, count in open_:
        prior = _CONCENTRATION * share
        factor += lgamma(prior + count) - lgamma(prior) - count * log(share)
    return factor
