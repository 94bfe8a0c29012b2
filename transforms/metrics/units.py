"""First entries as they were counted, by day: the units of a campaign's comparison. Dates are UTC, as ISO 8601."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

import msgspec

from transforms.metrics.counts import WindowCount
from transforms.statistics.moments import Moments
from transforms.users.measures import METRICS
from transforms.users.tally import BASE, MILLION

__all__ = ["Arrivals", "Cohort", "CohortSums", "Units", "read_units"]


class Arrivals(msgspec.Struct, frozen=True):
    """Units that came into an arm under one division: by day of entry. `share` is the arm's, in percent."""

    split: str
    arm: str
    share: str
    by_day: dict[str, int]

    @property
    def units(self) -> int:
        """How many there are."""
        return sum(self.by_day.values())


class Cohort(msgspec.Struct, frozen=True):
    """Units of one goal who entered on one day: how many, how many reached it, what that is worth in millionths, and
    the sum of the squares of what it is worth to each. It is complete from the day `complete` on.
    """

    goal: str
    arm: str
    split: str
    day: str
    complete: str
    units: int = 0
    reached: int = 0
    total: int = 0
    squares: int = 0


class CohortSums(NamedTuple):
    """What cohorts of one goal and arm come to together; see `Cohort`."""

    units: int = 0
    reached: int = 0
    total: int = 0
    squares: int = 0

    def plus(self, cohorts: Iterable[Cohort]) -> "CohortSums":
        """With more of them."""
        units, reached, total, squares = self
        for each in cohorts:
            units, reached = units + each.units, reached + each.reached
            total, squares = total + each.total, squares + each.squares
        return CohortSums(units, reached, total, squares)

    def sample(self, measure: str) -> Moments:
        """The sample of a measure: by `rate` who reached it counts as 1; by `value` each as what it is worth."""
        if measure == "rate":
            return Moments.of_rate(self.units, self.reached)
        return Moments(self.units, Fraction(self.total, MILLION), Fraction(self.squares, MILLION * MILLION))


class Units(msgspec.Struct, frozen=True):
    """All that was counted of a campaign's first entries."""

    arrivals: tuple[Arrivals, ...] = ()
    cohorts: tuple[Cohort, ...] = ()

    @property
    def split(self) -> str:
        """The division that holds now: the one by which somebody came last. Empty where nobody has come."""
        days: dict[str, list[str]] = defaultdict(list)
        for each in self.arrivals:
            days[each.split] += each.by_day
        return max(days, key=lambda split: (max(days[split]), min(days[split]), split), default="")


class _Place(NamedTuple):
    goal: str
    arm: str
    split: str
    day: str
    complete: str


_FIELDS = {"goal_units": "units", "goal_reached": "reached", "goal_totals": "total", "goal_squares": "squares"}


def read_units(counts: Iterable[WindowCount]) -> Units:
    """What the counts of one campaign say of first entries; other metrics are passed over."""
    arrivals: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    cohorts: dict[_Place, Counter[str]] = defaultdict(Counter)
    for count in counts:
        labels = (
            {name: count.labels.get(name, "") for name in METRICS[count.name].labels} if count.name in METRICS else {}
        )
        if count.name == "units":
            arrivals[labels["split"], labels["arm"], labels["share"]][labels["day"]] += count.count
        elif count.name in _FIELDS:
            place = _Place(*(labels[name] for name in _Place._fields))
            cohorts[place][_FIELDS[count.name]] += count.count * BASE ** int(labels.get("digit") or 0)
    return Units(
        tuple(Arrivals(*key, dict(sorted(days.items()))) for key, days in sorted(arrivals.items())),
        tuple(Cohort(*place, *(sums[field] for field in _FIELDS.values())) for place, sums in sorted(cohorts.items())),
    )
