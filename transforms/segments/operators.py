"""Operators on values: `is`, `at_least`, `contains`, `within` and the others, read from a definition and compiled.

An operator tests one value; a path may yield many, and one that satisfies is enough. A missing value satisfies only
`exists: false`; values of a different type satisfy nothing.
"""

from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec
import re2

from transforms.segments.document import Node, Problems
from transforms.segments.values import duration, equal, instant, start_of_day, written_time

__all__ = [
    "LATER",
    "OPERATORS",
    "TIME_OPERATORS",
    "Operator",
    "compile_test",
    "next_change",
    "read_operator",
    "time_test",
]

#: Operators whose answer depends on the user's clock or zone.
TIME_OPERATORS = ("before", "after", "within", "older_than")
OPERATORS = (
    *("is", "is_not", "in", "not_in", "exists", "at_least", "at_most", "more_than", "less_than", "between"),
    *("contains", "starts_with", "ends_with", "matches"),
    *TIME_OPERATORS,
)
LATER = ("within_next", "anniversary", "version_at_least", "version_less_than")

#: Tests the values at a path.
Test = Callable[[list[Any]], bool]


class Operator(msgspec.Struct, frozen=True):
    """An operator with its operand in canonical form.

    Durations are microseconds; `before` and `after` hold microseconds UTC, or a date, which means
    the start of that day in the user's zone.
    """

    name: str
    operand: Any

    @property
    def canonical(self) -> list[Any]:
        """What the leaf's key is made of."""
        operand = self.operand.isoformat() if isinstance(self.operand, date) else self.operand
        return [self.name, operand]


def read_operator(name: str, node: Node, problems: Problems) -> Operator | None:
    """Read the operand of an operator; None after a problem was noted."""
    value = node.plain()
    if name == "exists":
        operand: Any = problems.boolean(node)
    elif name in ("is", "is_not"):
        operand = _scalar(node, problems)
    elif name in ("in", "not_in"):
        operand = _scalars(node, problems)
    elif name == "between":
        operand = _range(node, problems)
    elif name in ("at_least", "at_most", "more_than", "less_than"):
        operand = _comparable(node, problems)
    elif name == "contains":
        operand = _scalar(node, problems)
    elif name in ("before", "after"):
        operand = written_time(value) if isinstance(value, str) else None
        if operand is None:
            problems.add(node, f"expected an ISO 8601 time with a zone, or a date; found {value!r}")
    elif name in ("within", "older_than"):
        operand = read_duration(node, problems)
    else:
        operand = problems.text(node)
        if operand is not None and name == "matches" and (fault := _pattern_fault(operand)):
            problems.add(node, f"not an RE2 pattern: {fault}")
            operand = None
    return None if operand is None else Operator(name, operand)


def read_duration(node: Node, problems: Problems) -> int | None:
    """Read a duration as microseconds."""
    try:
        return duration(node.plain())
    except ValueError as error:
        problems.add(node, str(error))
        return None


def compile_test(operator: Operator) -> Test:
    """Compile an operator that does not depend on time."""
    name, operand = operator.name, operator.operand
    if name == "exists":
        return bool if operand else _none
    test = _value_test(name, operand)
    return lambda values: any(test(value) for value in values)


def time_test(operator: Operator, values: list[Any], now: int, zone: str) -> bool:
    """Whether any value satisfies `before`, `after`, `within` or `older_than` at `now` for a user in `zone`."""
    name, operand = operator.name, operator.operand
    if isinstance(operand, date):
        operand = start_of_day(operand, zone)
    for moment in _instants(values, zone):
        if name == "before":
            holds = moment < operand
        elif name == "after":
            holds = moment > operand
        elif name == "within":
            holds = now - operand < moment <= now
        else:
            holds = moment <= now - operand
        if holds:
            return True
    return False


def next_change(operator: Operator, values: list[Any], now: int, zone: str) -> int | None:
    """The first time after `now` at which `time_test` may answer otherwise, None where there is none."""
    if operator.name not in ("within", "older_than"):
        return None
    changes = [moment + shift for moment in _instants(values, zone) for shift in (0, operator.operand)]
    return min((change for change in changes if change > now), default=None)


def _instants(values: list[Any], zone: str) -> list[int]:
    found = (instant(value, zone) for value in values)
    return [moment for moment in found if moment is not None]


def _none(values: list[Any]) -> bool:
    return not values


def _value_test(name: str, operand: Any) -> Callable[[Any], bool]:  # noqa: PLR0911
    match name:
        case "is":
            return lambda value: equal(value, operand)
        case "is_not":
            return lambda value: _same_kind(value, operand) and not equal(value, operand)
        case "in":
            return lambda value: any(equal(value, option) for option in operand)
        case "not_in":
            return lambda value: _outside(value, operand)
        case "contains":
            return lambda value: _contains(value, operand)
        case "starts_with":
            return lambda value: isinstance(value, str) and value.startswith(operand)
        case "ends_with":
            return lambda value: isinstance(value, str) and value.endswith(operand)
        case "matches":
            pattern = _pattern(operand)
            return lambda value: isinstance(value, str) and pattern.search(value) is not None
        case "between":
            low, high = operand
            return lambda value: _ordered(value, low) and low <= value <= high
        case "at_least":
            return lambda value: _ordered(value, operand) and value >= operand
        case "at_most":
            return lambda value: _ordered(value, operand) and value <= operand
        case "more_than":
            return lambda value: _ordered(value, operand) and value > operand
        case _:
            return lambda value: _ordered(value, operand) and value < operand


def _kind(value: object) -> type:
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, int | float) else type(value)


def _outside(value: object, options: tuple[Any, ...]) -> bool:
    """Values of another type than every option compare false, as `is_not` does."""
    return any(_same_kind(value, option) for option in options) and not any(equal(value, o) for o in options)


def _same_kind(left: object, right: object) -> bool:
    return _kind(left) is _kind(right)


def _ordered(value: object, operand: object) -> bool:
    """Numbers compare with numbers and text with text."""
    return _same_kind(value, operand) and not isinstance(value, bool)


def _contains(value: object, operand: Any) -> bool:
    if isinstance(value, str):
        return isinstance(operand, str) and operand in value
    return isinstance(value, list) and any(equal(element, operand) for element in value)


@lru_cache(maxsize=4096)
def _pattern(text: str) -> Any:
    return re2.compile(text)


def _pattern_fault(text: str) -> str | None:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(text, options=options)
    except re2.error as error:
        (cause,) = error.args
        return cause.decode() if isinstance(cause, bytes) else str(cause)
    return None


def _scalar(node: Node, problems: Problems) -> Any:
    value = node.value
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return canonical_number(value)
    problems.add(node, f"expected text, a number, true or false; found {node.kind}")
    return None


def _scalars(node: Node, problems: Problems) -> tuple[Any, ...] | None:
    items = problems.sequence(node, "values")
    if items is None:
        return None
    values = [_scalar(item, problems) for item in items]
    if any(value is None for value in values):
        return None
    # In one order and once each, so that the same set is the same condition. As text, since 1 and true are not one.
    distinct = {msgspec.json.encode(value): value for value in values}
    return tuple(distinct[text] for text in sorted(distinct))


def _comparable(node: Node, problems: Problems) -> Any:
    value = _scalar(node, problems)
    if isinstance(value, bool):
        problems.add(node, "true and false have no order; use `is`")
        return None
    return value


def _range(node: Node, problems: Problems) -> tuple[Any, ...] | None:
    items = problems.sequence(node, "two values, low and high")
    if items is None:
        return None
    values = [_comparable(item, problems) for item in items]
    if any(value is None for value in values):
        return None
    if len(values) != 2 or not _same_kind(*values) or values[0] > values[1]:
        problems.add(node, f"expected [low, high] of one type, low not above high; found {node.plain()!r}")
        return None
    return tuple(values)


def canonical_number(value: float) -> int | float:
    """5.0 as 5, so that equal conditions have one key."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
