"""What a comparison of this size could have seen, at this look alone: a sequence has had others before it."""

from math import sqrt
from statistics import NormalDist

from transforms.statistics.moments import Moments
from transforms.statistics.sequences import Ruler

__all__ = ["POWER", "power_of", "smallest_effect"]

#: The customary chance to see an effect that is there.
POWER = 0.8
_NORMAL = NormalDist()


def power_of(effect: float, arm: Moments, base: Moments, ruler: Ruler) -> float:
    """The chance that a difference of so much would be seen, with the variances and sizes of these samples."""
    error = sqrt(arm.error + base.error)
    if not error:
        return 0.0
    away = abs(effect) / error
    return _NORMAL.cdf(away - ruler.reach) + _NORMAL.cdf(-away - ruler.reach)


def smallest_effect(arm: Moments, base: Moments, ruler: Ruler, power: float = POWER) -> float:
    """The difference that would be seen with this chance; the other tail, which is nearly nothing, is left out."""
    return (ruler.reach + _NORMAL.inv_cdf(power)) * sqrt(arm.error + base.error)
