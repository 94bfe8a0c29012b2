"""Budgets of service levels, in exact fractions: burn rate, what remains, and the state that follows.

The formulas are those of chapter 5 of Google's Site Reliability Workbook (https://sre.google/workbook/alerting-on-slos/).
A float is never used: `(100 − 99.9) / 100` as a float makes half a budget 0.49999999999997.
"""

from fractions import Fraction

import msgspec

__all__ = ["ACT", "EXHAUSTED", "HEALTHY", "NOTHING", "NO_DATA", "Events", "burn_of", "remaining_of", "state_of"]

#: The states of a budget. `act`: less than half of it is left, and the owner acts.
NO_DATA, HEALTHY, ACT, EXHAUSTED = "no data", "healthy", "act", "exhausted"


class Events(msgspec.Struct, frozen=True, array_like=True):
    """How many events there were in some time, and how many of them were bad.

    Raises:
      ValueError: one is negative, or more were bad than there were.
    """

    bad: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.total:
            raise ValueError(f"{self.bad} bad of {self.total} events cannot be: expected 0 <= bad <= total")

    def __add__(self, other: "Events") -> "Events":
        return Events(self.bad + other.bad, self.total + other.total)


NOTHING = Events()


def burn_of(events: Events, objective: Fraction) -> Fraction | None:
    """How many times faster than the objective allows the budget is used; None without events.

    A burn of 1 uses exactly the budget in exactly the window.
    """
    return Fraction(events.bad, events.total) / (1 - objective) if events.total else None


def remaining_of(events: Events, objective: Fraction) -> Fraction:
    """The share of the budget that is left by the events of the whole window; below 0 where more was used.

    It is 1 without events, which is no success: see `state_of`.
    """
    return 1 - (burn_of(events, objective) or Fraction(0))


def state_of(events: Events, objective: Fraction) -> str:
    """The state of a budget by the events of the whole window. Without events nothing is known."""
    remaining = remaining_of(events, objective)
    if not events.total:
        return NO_DATA
    if remaining <= 0:
        return EXHAUSTED
    return ACT if remaining < Fraction(1, 2) else HEALTHY
