"""What a campaign did: its arms against each other, by intention to treat. Dates are UTC, as ISO 8601.

Who was drawn into an arm counts there, whatever was sent to them. The units are users who first entered under the
percentages that hold now, and whose goals are complete. See docs/reference/effects.md.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import combinations

import msgspec

from transforms.campaigns.effects import HOLDOUT
from transforms.metrics.units import Cohort, CohortSums, Units
from transforms.statistics.balance import MISMATCH, balance_p_value
from transforms.statistics.comparisons import Comparison, compare
from transforms.statistics.power import smallest_effect
from transforms.statistics.sequences import Interval, Ruler, mean_interval

__all__ = [
    "ALPHA",
    "ENOUGH",
    "ArmEffect",
    "ArmResult",
    "Balance",
    "GoalEffect",
    "PastLook",
    "Verdict",
    "effect_of",
    "verdict_of",
]

#: What all comparisons of a campaign together may err.
ALPHA = 0.05
#: Fewer units than this that reached a goal in an arm, or did not, say nothing of a rate, or of a value:
#: docs/decisions/0095-confidence-sequences.md says how that was found.
ENOUGH = {"rate": 10, "value": 100}

#: What can be said: `more` or `less` in the arm than in the base, `open` (no difference seen so far), `not enough
#: data`, or `mismatch`: arms do not fit their percentages, so that nothing can be said.
Verdict = str


class Balance(msgspec.Struct, frozen=True):
    """Whether as many came into each arm as its percentage says: `arms` has (arm, percent, units, expected)."""

    p: float
    arms: tuple[tuple[str, str, int, float], ...] = ()

    @property
    def mismatch(self) -> bool:
        """Whether they do not fit."""
        return self.p < MISMATCH


class ArmResult(msgspec.Struct, frozen=True):
    """One arm of one measure: complete units, those who reached the goal, the mean, and its interval, which has no ends
    where there is not enough data.
    """

    arm: str
    units: int
    reached: int
    mean: float
    between: Interval


class PastLook(msgspec.Struct, frozen=True):
    """The difference and its interval as they were once all who entered up to `day` were complete."""

    day: str
    difference: float
    between: Interval


class ArmEffect(msgspec.Struct, frozen=True):
    """One arm against a base, in the units of the measure.

    `found` holds at every look, and makes the verdict; `once` holds at the declared end alone, and is None before it.
    Where there is not enough data, there is neither. `smallest` is the difference that would have been seen with a
    chance of 80 %.
    """

    arm: str
    base: str
    verdict: Verdict
    found: Comparison | None = None
    once: Comparison | None = None
    smallest: float | None = None
    looks: tuple[PastLook, ...] = ()


class GoalEffect(msgspec.Struct, frozen=True):
    """A goal by one measure: the `rate` of units that reach it, or its `value` a unit. `maturing` are units that are
    not complete yet, and `next_complete` is the day from which the first of them are; empty where there are none.
    """

    goal: str
    measure: str
    maturing: int
    arms: tuple[ArmResult, ...]
    effects: tuple[ArmEffect, ...]
    next_complete: str = ""


def effect_of(units: Units, today: str, *, ended: bool = False) -> tuple[Balance, tuple[GoalEffect, ...]]:
    """Compare the arms of a campaign.

    Args:
      units: what was counted.
      today: the date as of which it is judged.
      ended: whether its end was declared and has passed, so that this is the one look that was planned.
    """
    split = units.split
    balance = _balance(units, split)
    cohorts = [cohort for cohort in units.cohorts if cohort.split == split]
    arms = sorted({each.arm for each in units.arrivals if each.split == split}, key=lambda arm: (arm == HOLDOUT, arm))
    pairs = list(combinations(arms, 2))  # the holdout is the base of all others
    asked = [
        (goal, measure) for goal in sorted({each.goal for each in cohorts}) for measure in _measures(goal, cohorts)
    ]
    judge = _Judge(arms, pairs, len(pairs) * len(asked), balance.mismatch)
    return balance, tuple(judge.goal(goal, measure, cohorts, today, ended=ended) for goal, measure in asked)


def verdict_of(found: Comparison) -> Verdict:
    """What a comparison says."""
    return "open" if not found.differs else "more" if found.difference > 0 else "less"


def _balance(units: Units, split: str) -> Balance:
    mine = [each for each in units.arrivals if each.split == split]
    whole = sum(each.units for each in mine)
    shares = [(Fraction(each.share) / 100, each) for each in mine]
    arms = tuple((each.arm, each.share, each.units, float(share * whole)) for share, each in shares)
    observed = [(float(share), each.units) for share, each in shares]
    if (unseen := 1 - sum(share for share, _ in shares)) > 0:
        observed.append((float(unseen), 0))  # arms into which nobody has come
    return Balance(balance_p_value([observed]), arms)


def _measures(goal: str, cohorts: Iterable[Cohort]) -> Sequence[str]:
    return ("rate", "value") if any(each.goal == goal and each.squares for each in cohorts) else ("rate",)


class _Judge:
    """Compares by what holds for one campaign: its pairs of arms, how many comparisons there are, whether arms fit."""

    def __init__(self, arms: Sequence[str], pairs: Sequence[tuple[str, str]], of: int, mismatch: bool) -> None:
        self.arms = arms
        self.pairs = pairs
        self.of = of
        self.mismatch = mismatch

    def goal(self, goal: str, measure: str, cohorts: Iterable[Cohort], today: str, *, ended: bool) -> GoalEffect:
        """A goal by one measure."""
        mine = [each for each in cohorts if each.goal == goal]
        complete = [each for each in mine if each.complete <= today]
        maturing = sum(each.units for each in mine) - sum(each.units for each in complete)
        results = tuple(self._arm(arm, measure, complete) for arm in self.arms)
        effects = tuple(self._effect(pair, measure, complete, ended=ended and not maturing) for pair in self.pairs)
        next_complete = min((each.complete for each in mine if each.complete > today and each.units), default="")
        return GoalEffect(goal, measure, maturing, results, effects, next_complete)

    def _arm(self, arm: str, measure: str, complete: Iterable[Cohort]) -> ArmResult:
        sums = _summed(complete, arm)
        sample = sums.sample(measure)
        between = mean_interval(sample, ALPHA) if _enough(sums, measure) else Interval(None, None)
        return ArmResult(arm, sample.count, sums.reached, sample.mean, between)

    def _effect(self, pair: tuple[str, str], measure: str, complete: list[Cohort], *, ended: bool) -> ArmEffect:
        if self.mismatch:
            return ArmEffect(*pair, "mismatch")
        both = [_summed(complete, arm) for arm in pair]
        if not all(_enough(sums, measure) for sums in both):
            return ArmEffect(*pair, "not enough data")
        samples = both[0].sample(measure), both[1].sample(measure)
        found = compare(*samples, ALPHA, self.of)
        once = compare(*samples, ALPHA, self.of, fixed=True) if ended else None
        ruler = Ruler(samples[0].count + samples[1].count, ALPHA / self.of)
        return ArmEffect(
            *pair,
            verdict_of(found),
            found,
            once,
            smallest_effect(*samples, ruler),
            self._looks(pair, measure, complete),
        )

    def _looks(self, pair: tuple[str, str], measure: str, complete: Iterable[Cohort]) -> tuple[PastLook, ...]:
        """How the difference went, by day of entry, from when there was enough: each day is added to those before it,
        so that the looks of a year cost no more than its days.
        """
        days: dict[str, list[Cohort]] = defaultdict(list)
        for each in complete:
            days[each.day].append(each)
        found, so_far = [], dict.fromkeys(pair, CohortSums())
        for day in sorted(days):
            so_far = {name: sums.plus(each for each in days[day] if each.arm == name) for name, sums in so_far.items()}
            arm, base = (so_far[name] for name in pair)
            if _enough(arm, measure) and _enough(base, measure):
                compared = compare(arm.sample(measure), base.sample(measure), ALPHA, self.of)
                found.append(PastLook(day, compared.difference, compared.between))
        return tuple(found)


def _summed(cohorts: Iterable[Cohort], arm: str) -> CohortSums:
    return CohortSums().plus(each for each in cohorts if each.arm == arm)


def _enough(sums: CohortSums, measure: str) -> bool:
    """Whether enough units of an arm reached the goal; of a rate, whether enough did not, too."""
    least = min(sums.reached, sums.units - sums.reached) if measure == "rate" else sums.reached
    return least >= ENOUGH[measure]
