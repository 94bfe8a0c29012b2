"""How far a condition on events is met, in numbers, for people who ask why.

Times are microseconds UTC. Leaves keep no more than makes a difference, so the true number may be greater.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

from transforms.segments.conditions import Condition, Count, Distinct, FirstLast, Missing, Sequence, Total
from transforms.segments.evidence import Groups, Stamps
from transforms.segments.leaf_sequence import steps_reached
from transforms.segments.leaf_stamps import floor_of, most_stamps
from transforms.segments.leaf_totals import MICRO, amounts_of, extremes_of
from transforms.segments.leaves import LeafState
from transforms.segments.operators import Operator
from transforms.segments.values import SECOND

__all__ = ["Measured", "measured"]

_SIGNS = {"is": "is", "at_least": "at least", "at_most": "at most", "more_than": "more than", "less_than": "less than"}
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


#: Numbers from here on are shortened for people.
_LONG = 10**15


class Measured(msgspec.Struct, frozen=True):
    """A number beside what is asked of it.

    `what` is count, sum, average, minimum, maximum, distinct, steps (of a sequence, how many were reached) or age (of
    the first or last event, or of the newest of which another one is missing, in seconds). `amount` is None where there
    is nothing to measure; with `more` the true amount may be greater, since no more is kept. `asked` is what the
    condition asks, as people write it. With `same` the amount is that of the value that comes nearest, if there is any.
    """

    what: str
    amount: int | float | None
    asked: str
    more: bool = False

    def __str__(self) -> str:
        shown = (
            "of nothing" if self.amount is None else _age(self.amount) if self.what == "age" else _short(self.amount)
        )
        return f"{self.what} {shown}{' or more' if self.more else ''}{'' if self.what == 'steps' else ','} {self.asked}"


def measured(condition: Condition, state: LeafState, now: int, zone: str) -> Measured | None:
    """How far a leaf over events is met at `now`; None where its truth says it all."""
    evidence: Any = state.evidence
    match condition:
        case Count(low=1, high=None):
            return None
        case Count(low=low, high=high, same=same):
            kept = _stamps_of(evidence, same)
            return _counted("count", [_inside(each, condition, now, zone) for each in kept], low, high)
        case Distinct(low=low, high=high):
            return _counted("distinct", [_inside(evidence, condition, now, zone)], low, high)
        case Total():
            return _total(condition, evidence, now, zone)
        case FirstLast(age=age, older=older):
            asked = f"{'older than' if older else 'within'} {_age(age // SECOND)}"
            return Measured("age", (now - evidence[0][0]) // SECOND if evidence else None, asked)
        case Missing(age=age, same=same):
            return _missing(_stamps_of(evidence, same), age, now)
        case Sequence(steps=steps):
            return Measured("steps", len(steps_reached(condition, evidence)), f"of {len(steps)}")
    return None


def _stamps_of(evidence: Any, same: str | None) -> list[Stamps]:
    """The stamps of each value of `same`, else all of them as one."""
    if same is None:
        return [evidence]
    return list(evidence.stamps.values()) if isinstance(evidence, Groups) else []


def _inside(stamps: Stamps, condition: Count | Distinct, now: int, zone: str) -> int:
    floor = floor_of(condition.within, condition.since)
    limit = None if floor is None else floor(now, zone)
    return sum(limit is None or time > limit for time, _ in stamps)


def _counted(what: str, counts: list[int], low: int, high: int | None) -> Measured:
    nearest = _nearest(counts, low, high)
    more = nearest is not None and nearest == most_stamps(low, high)
    return Measured(what, nearest, _range(low, high), more)


def _nearest(amounts: list[Any], low: Any, high: Any) -> Any:
    """Of several amounts, the one inside a range or nearest to it; None without amounts."""

    def off(amount: Any) -> Any:
        return max(0 if low is None else low - amount, 0 if high is None else amount - high, 0)

    return min(amounts, key=lambda amount: (off(amount), amount if low is None else -amount), default=None)


def _total(condition: Total, evidence: Any, now: int, zone: str) -> Measured:
    low, high = _bounds(condition.operator)
    if condition.aggregate in ("minimum", "maximum"):
        best: Any = min if condition.aggregate == "minimum" else max
        extreme = best(extremes_of(condition, evidence, now, zone), default=None)
        return Measured(condition.aggregate, extreme, _asked(condition.operator))
    amounts: list[Fraction] = []
    for many, much in amounts_of(condition, evidence, now, zone):
        if condition.aggregate == "count":
            amounts.append(Fraction(many))
        elif condition.aggregate == "sum":
            amounts.append(Fraction(much, MICRO))
        elif many:
            amounts.append(Fraction(much, MICRO * many))
    nearest = _nearest(amounts, low, high)
    return Measured(condition.aggregate, None if nearest is None else _plain(nearest), _asked(condition.operator))


def _missing(kept: list[Stamps], age: int, now: int) -> Measured:
    """The newest A that no B followed, else the newest A."""
    begun = [stamps for stamps in kept if stamps and stamps[0][1] == 0]
    waiting = [stamps for stamps in begun if len(stamps) == 1 or stamps[1][0] < stamps[0][0]]
    oldest = min((stamps[0][0] for stamps in waiting), default=None)
    if oldest is not None:
        return Measured("age", (now - oldest) // SECOND, f"nothing since, overdue after {_age(age // SECOND)}")
    newest = max((stamps[0][0] for stamps in begun), default=None)
    return Measured("age", None if newest is None else (now - newest) // SECOND, "answered" if begun else "none waits")


def _bounds(operator: Operator) -> tuple[Fraction | None, Fraction | None]:
    name, operand = operator.name, operator.operand
    if name == "between":
        return Fraction(str(operand[0])), Fraction(str(operand[1]))
    bound = Fraction(str(operand))
    return None if name in ("at_most", "less_than") else bound, None if name in ("at_least", "more_than") else bound


def _range(low: int, high: int | None) -> str:
    if high is None:
        return f"at least {low:,}"
    if low == high:
        return f"is {low:,}"
    return f"at most {high:,}" if low == 0 else f"between {low:,} and {high:,}"


def _asked(operator: Operator) -> str:
    if operator.name == "between":
        low, high = operator.operand
        return f"is {_short(low)}" if low == high else f"between {_short(low)} and {_short(high)}"
    return f"{_SIGNS[operator.name]} {_short(operator.operand)}"


def _short(number: float) -> str:
    """A number for people; of one with more than 15 digits, the first six."""
    return f"{number:,}" if abs(number) < _LONG else f"{Decimal(number):.6g}"


def _plain(amount: Fraction) -> int | float:
    whole = amount.denominator == 1 or abs(amount) >= _LONG  # no float holds digits after the point here
    return int(amount) if whole else round(float(amount), 6)


def _age(seconds: float) -> str:
    """Seconds in their two greatest units: `29d 23h`."""
    left, found = int(seconds), []
    for unit, size in _UNITS:
        if left >= size:
            found.append(f"{left // size}{unit}")
            left %= size
    return " ".join(found[:2]) or "0s"
