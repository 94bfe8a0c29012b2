"""What a report can say only by looking at each user: quantiles of value, and effects that know the time before entry.

`transforms.metrics.unit_columns` reads it.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import combinations

import msgspec

from transforms.campaigns.effects import HOLDOUT
from transforms.metrics.effect import ALPHA, ENOUGH, Verdict, verdict_of
from transforms.statistics.cuped import Adjusted, Paired, adjust
from transforms.statistics.moments import Moments
from transforms.statistics.quantiles import Quantile, quantile_of
from transforms.users.tally import MILLION

__all__ = ["LEVELS", "AdjustedEffect", "ArmValues", "GoalByUser", "UnitSums", "goals_by_user"]

#: The shares whose quantiles are said.
LEVELS = (0.5, 0.75, 0.9, 0.95, 0.99)


class ArmValues(msgspec.Struct, frozen=True):
    """Quantiles of the value of one arm's complete units, at this look alone; none where there is not enough data."""

    arm: str
    units: int
    reached: int
    quantiles: tuple[Quantile, ...] = ()


class AdjustedEffect(msgspec.Struct, frozen=True):
    """One arm against a base, less what can be explained by the time before entry; see `ArmEffect` for verdicts."""

    arm: str
    base: str
    verdict: Verdict
    adjusted: Adjusted | None = None


class GoalByUser(msgspec.Struct, frozen=True):
    """A goal of a campaign, by one measure."""

    goal: str
    measure: str
    values: tuple[ArmValues, ...]
    effects: tuple[AdjustedEffect, ...]


class UnitSums:
    """What complete units of one goal in one arm come to; values are millionths."""

    def __init__(self) -> None:
        self.units = 0
        self.values: list[int] = []
        #: Of the rate and of the value: reached before, after and both; sums, squares and products.
        self.rate, self.value = [0, 0, 0], [0, 0, 0, 0, 0]

    @property
    def reached(self) -> int:
        """How many reached it."""
        return self.rate[1]

    def add(self, before: tuple[int, int], after: tuple[int, int]) -> None:
        """Add one who did something: how often, and what it was worth, before the entry and after it."""
        did, does, worth, value = before[0] > 0, after[0] > 0, before[1], after[1]
        for place, each in enumerate((did, does, did and does)):
            self.rate[place] += each
        for place, product in enumerate((worth, value, worth * worth, value * value, worth * value)):
            self.value[place] += product
        if value:
            self.values.append(value)

    def paired(self, measure: str) -> Paired:
        """The sample of a measure."""
        if measure == "rate":
            before, after, both = self.rate
            return Paired(Moments.of_rate(self.units, after), Moments.of_rate(self.units, before), Fraction(both))
        worth, value, squares_before, squares, products = self.value
        square = MILLION * MILLION
        return Paired(
            Moments(self.units, Fraction(value, MILLION), Fraction(squares, square)),
            Moments(self.units, Fraction(worth, MILLION), Fraction(squares_before, square)),
            Fraction(products, square),
        )

    def enough(self, measure: str) -> bool:
        """Whether there is enough to say something."""
        least = min(self.reached, self.units - self.reached) if measure == "rate" else self.reached
        return least >= ENOUGH[measure]


#: Sums by goal, whether it has a value, and by arm.
_GoalSums = Mapping[str, tuple[bool, Mapping[str, UnitSums]]]


def goals_by_user(goals: _GoalSums) -> Iterator[GoalByUser]:
    """What the sums of a campaign's goals say."""
    shown = [(name, measure) for name in goals for measure in ("rate", "value") if measure == "rate" or goals[name][0]]
    arms_of = {name: sorted(sums, key=lambda arm: (arm == HOLDOUT, arm)) for name, (_, sums) in goals.items()}
    of = sum(len([*combinations(arms_of[name], 2)]) for name, _ in shown)
    for name, measure in shown:
        mine, arms = goals[name][1], arms_of[name]
        values = tuple(_values(arm, mine[arm]) for arm in arms) if measure == "value" else ()
        effects = tuple(_effect(arm, base, mine, measure, of) for arm, base in combinations(arms, 2))
        yield GoalByUser(name, measure, values, effects)


def _values(arm: str, sums: UnitSums) -> ArmValues:
    if not sums.enough("value"):
        return ArmValues(arm, sums.units, sums.reached)
    ordered = [value / MILLION for value in sorted(sums.values)]
    found = (quantile_of(ordered, sums.units - len(ordered), level, ALPHA) for level in LEVELS)
    return ArmValues(arm, sums.units, sums.reached, tuple(each for each in found if each is not None))


def _effect(arm: str, base: str, sums: Mapping[str, UnitSums], measure: str, of: int) -> AdjustedEffect:
    if not (sums[arm].enough(measure) and sums[base].enough(measure)):
        return AdjustedEffect(arm, base, "not enough data")
    found = adjust(sums[arm].paired(measure), sums[base].paired(measure), ALPHA, of)
    return AdjustedEffect(arm, base, verdict_of(found.found), found)
