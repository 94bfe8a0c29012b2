"""Operators on values: `is`, `at_least`, `contains`, `within` and the others, read from a definition and compiled.

An operator tests one value. A path may yield many; one that satisfies the operator is enough. A missing value satisfies
only `exists: false`, and a value of a different type satisfies nothing.
"""

import re
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec
import re2

from transforms.events.plain import quoted
from transforms.segments.anniversaries import is_anniversary, next_turn
from transforms.segments.document import Node, Problems
from transforms.segments.values import (
    DATE_FORM,
    DAY,
    TIME_FORM,
    compile_path,
    duration,
    equal,
    instant,
    start_of_day,
    written_time,
)

__all__ = [
    "MOVING_OPERATORS",
    "OPERATORS",
    "TIME_OPERATORS",
    "VERSION_FORM",
    "Operator",
    "canonical_number",
    "check_path",
    "compile_test",
    "next_change",
    "read_duration",
    "read_moment",
    "read_operator",
    "read_path",
    "time_test",
]

#: Operators whose answer changes as time passes.
MOVING_OPERATORS = ("within", "older_than", "within_next", "anniversary")
#: Operators whose answer depends on the user's clock or zone.
TIME_OPERATORS = ("before", "after", *MOVING_OPERATORS)
OPERATORS = (
    *("is", "is_not", "in", "not_in", "exists", "at_least", "at_most", "more_than", "less_than", "between"),
    *("contains", "starts_with", "ends_with", "matches", "version_at_least", "version_less_than"),
    *TIME_OPERATORS,
)

#: The form of a version.
VERSION_FORM = r"[0-9]{1,18}(\.[0-9]{1,18}){0,15}"
_VERSION = re.compile(VERSION_FORM)

#: A test of the values at a path.
ValueTest = Callable[[list[Any]], bool]


class Operator(msgspec.Struct, frozen=True):
    """An operator with its operand in canonical form.

    Durations are microseconds; `before` and `after` hold microseconds UTC, or a date, which means
    the start of that day in the user's zone. An `anniversary` holds how many days ahead it is, a version its numbers
    without trailing zeros.
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
    operand = _READERS[name](node, problems)
    return None if operand is None else Operator(name, operand)


def read_path(node: Node, problems: Problems, instead: str = "") -> str | None:
    """Read a path such as `products[].category`; `instead` says what to write where there is no text."""
    path = problems.text(node, instead)
    if path is not None:
        check_path(path, node, problems)
    return path


def check_path(path: str, node: Node, problems: Problems) -> None:
    """Note text that is no path."""
    try:
        compile_path(path)
    except ValueError as error:
        problems.add(node, str(error))


def read_duration(node: Node, problems: Problems) -> int | None:
    """Read a duration as microseconds."""
    try:
        return duration(node.plain())
    except ValueError as error:
        problems.add(node, str(error))
        return None


def read_moment(node: Node, problems: Problems) -> int | date | None:
    """Read a time with a zone as microseconds UTC, or a date."""
    value = node.plain()
    moment = written_time(value) if isinstance(value, str) else None
    if moment is None:
        written = isinstance(value, str) and re.fullmatch(f"{TIME_FORM}|{DATE_FORM}", value)
        expected = "there is no such time" if written else "expected an ISO 8601 time with a zone, or a date"
        problems.add(node, f"{expected}; found {quoted(value)}")
    return moment


def compile_test(operator: Operator) -> ValueTest:
    """Compile an operator that does not depend on time."""
    name, operand = operator.name, operator.operand
    if name == "exists":
        return bool if operand else _none
    test = _value_test(name, operand)
    return lambda values: any(test(value) for value in values)


def time_test(operator: Operator, values: list[Any], now: int, zone: str) -> bool:
    """Whether any value satisfies an operator of `TIME_OPERATORS` at `now` for a user in `zone`."""
    name, operand = operator.name, operator.operand
    if name == "anniversary":
        return any(is_anniversary(value, operand, now, zone) for value in values)
    if isinstance(operand, date):
        operand = start_of_day(operand, zone)
    for moment in _instants(values, zone):
        if name == "before":
            holds = moment < operand
        elif name == "after":
            holds = moment > operand
        elif name == "within":
            holds = now - operand < moment <= now
        elif name == "within_next":
            holds = now <= moment < now + operand
        else:
            holds = moment <= now - operand
        if holds:
            return True
    return False


def next_change(operator: Operator, values: list[Any], now: int, zone: str) -> int | None:
    """The first time after `now` at which the answer of `time_test` may change; None: never."""
    name, operand = operator.name, operator.operand
    if name == "anniversary":
        turns = [next_turn(value, operand, now, zone) for value in values]
        return min((turn for turn in turns if turn is not None), default=None)
    if name not in MOVING_OPERATORS:
        return None
    shifts = (1 - operand, 1) if name == "within_next" else (0, operand)
    changes = [moment + shift for moment in _instants(values, zone) for shift in shifts]
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
        case "version_at_least" | "version_less_than":
            bound, newer = version(operand) or (), name == "version_at_least"
            return lambda value: (found := version(value)) is not None and (found >= bound) is newer
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
    """A value whose type no option has compares false, as with `is_not`."""
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
    hint = "; for a missing value write `exists: false`" if value is None else ""
    if isinstance(value, list):
        hint = f"; for one of several write `in: {node.written}`"
    problems.add(node, f"expected text, a number, true or false; found {node.kind}{hint}")
    return None


def _scalars(node: Node, problems: Problems) -> tuple[Any, ...] | None:
    items = problems.sequence(node, "values", "" if isinstance(node.value, list | dict) else f"[{node.written}]")
    if items is None:
        return None
    values = [_scalar(item, problems) for item in items]
    if any(value is None for value in values):
        return None
    # Sorted and without repetition, so that the same set is the same condition. As text, since 1 is not true.
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
    if len(values) != 2 or not _same_kind(*values):
        problems.add(node, f"expected [low, high] of one type; found {quoted(node.plain())}")
        return None
    if values[0] > values[1]:
        problems.add(node, f"can never hold: {quoted(values[0])} is above {quoted(values[1])}")
        return None
    return tuple(values)


def version(value: object) -> tuple[int, ...] | None:
    """The numbers of a dotted version, without trailing zeros (2 is 2.0); None for anything else."""
    if not isinstance(value, str) or not _VERSION.fullmatch(value):
        return None
    parts = [int(part) for part in value.split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _version_text(node: Node, problems: Problems) -> str | None:
    parts = version(node.value)
    if parts is None:
        hint = "; a number needs quotes, since 2.10 would be 2.1" if isinstance(node.value, int | float) else ""
        problems.add(node, f'expected a version such as "2.10.1"; found {quoted(node.plain())}{hint}')
        return None
    return ".".join(str(part) for part in parts or (0,))


def _days_before(node: Node, problems: Problems) -> int | None:
    """`true` (the day itself), or {before: D}."""
    if node.value is True:
        return 0
    if node.value is False:
        problems.add(node, "expected true or {before: D}; for every other day write `not:`")
        return None
    fields = problems.mapping(node, ("before",), required=("before",))
    if not fields:
        return None
    age = read_duration(fields["before"], problems)
    if age is not None and (age % DAY or age > 365 * DAY):
        problems.add(fields["before"], f"expected whole days, at most 365d; found {quoted(fields['before'].plain())}")
        return None
    return None if age is None else age // DAY


def _pattern_text(node: Node, problems: Problems) -> str | None:
    text = problems.text(node)
    if text is not None and (fault := _pattern_fault(text)):
        problems.add(node, f"not an RE2 pattern: {fault}")
        return None
    return text


def canonical_number(value: float) -> int | float:
    """5.0 as 5, so that equal conditions have one key."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_READERS: dict[str, Callable[[Node, Problems], Any]] = {
    "is": _scalar,
    "is_not": _scalar,
    "in": _scalars,
    "not_in": _scalars,
    "exists": lambda node, problems: problems.boolean(node),
    "at_least": _comparable,
    "at_most": _comparable,
    "more_than": _comparable,
    "less_than": _comparable,
    "between": _range,
    "contains": _scalar,
    "starts_with": lambda node, problems: problems.text(node),
    "ends_with": lambda node, problems: problems.text(node),
    "matches": _pattern_text,
    "version_at_least": _version_text,
    "version_less_than": _version_text,
    "before": read_moment,
    "after": read_moment,
    "within": read_duration,
    "older_than": read_duration,
    "within_next": read_duration,
    "anniversary": _days_before,
}
