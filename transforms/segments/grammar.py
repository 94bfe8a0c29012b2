"""The condition language: conditions read from a definition file, every mistake noted at its place."""

from collections.abc import Callable
from datetime import date

import msgspec

from transforms.identity.profile import CHANNELS, CONTEXT_NAMES
from transforms.segments.conditions import (
    All,
    Any_,
    Attribute,
    Condition,
    Consented,
    Count,
    EventFilter,
    FirstLast,
    Identified,
    Missing,
    Not,
    Reachable,
    SegmentRef,
)
from transforms.segments.document import Document, Node, Problems
from transforms.segments.operators import LATER, OPERATORS, Operator, read_duration, read_operator
from transforms.segments.values import compile_path, written_time

__all__ = ["MAX_COUNT", "MAX_DEPTH", "read_condition", "read_filter"]

#: LANGUAGE: conditions nest at most 32 deep.
MAX_DEPTH = 32
#: Exact counts keep that many newest events; larger ones need buckets, which this version does not have.
MAX_COUNT = 1000

_EVENT_TYPES = ("track", "page", "screen")
_EVENT_LATER = ("sum", "average", "minimum", "maximum", "distinct", "same")


def read_condition(node: Node, problems: Problems, depth: int = 1) -> Condition | None:
    """Read one condition and everything inside it, noting every mistake; None if there was one."""
    if depth > MAX_DEPTH:
        problems.add(node, f"conditions nest at most {MAX_DEPTH} deep")
        return None
    if not isinstance(node.value, dict):
        problems.add(node, f"expected a condition such as {{event: Order Completed}}; found {node.kind}")
        return None
    forms = [key for key in node.value if key in _FORMS]
    later = [key for key in node.value if key in ("sequence", "bucket", "near")]
    if later:
        problems.add(node.value[later[0]], f"`{later[0]}` is part of the language but not supported by this version")
        return None
    if len(forms) != 1:
        found = " and ".join(f"`{key}`" for key in forms or node.value) or "nothing"
        problems.add(node, f"expected one of {', '.join(_FORMS)}; found {found}")
        return None
    before = problems.mistakes
    condition = _FORMS[forms[0]](node, problems, depth)
    return condition if problems.mistakes == before else None


def read_filter(fields: Document, problems: Problems) -> EventFilter:
    """Read `event`, `type` and `where` of a mapping whose keys were checked."""
    name = problems.text(fields["event"]) if "event" in fields else None
    if name == "any":
        problems.add(fields["event"], "`event: any` is part of the language but not supported by this version")
    kind = problems.choice(fields["type"], _EVENT_TYPES) if "type" in fields else None
    where = _read_where(fields["where"], problems) if "where" in fields else ()
    return EventFilter(name or "", kind, where)


def _read_where(node: Node, problems: Problems) -> tuple[tuple[str, Operator], ...]:
    if not isinstance(node.value, dict) or not node.value:
        problems.add(node, f"expected {{PATH: {{operator: value}}}}; found {node.kind}")
        return ()
    tests: list[tuple[str, Operator]] = []
    for path, inner in node.value.items():
        _check_path(path, inner, problems)
        fields = problems.mapping(inner, OPERATORS, later=LATER)
        if fields is not None and not inner.value:
            problems.add(inner, "expected an operator")
        for name, operand in (fields or {}).items():
            operator = _read_where_operator(name, operand, problems)
            if operator is not None:
                tests.append((path, operator))
    return tuple(sorted(tests, key=lambda test: msgspec.json.encode([test[0], *test[1].canonical])))


def _read_where_operator(name: str, node: Node, problems: Problems) -> Operator | None:
    if name in ("within", "older_than"):
        problems.add(node, f"`{name}` moves with the clock and is not for `where`; use the event's own window")
        return None
    operator = read_operator(name, node, problems)
    if operator is not None and isinstance(operator.operand, date):
        problems.add(node, "in `where` a time needs a zone, since an event is tested once; a date alone has none")
        return None
    return operator


def _check_path(path: str, node: Node, problems: Problems) -> None:
    try:
        compile_path(path)
    except ValueError as error:
        problems.add(node, str(error))


def _read_parts(node: Node, problems: Problems, depth: int, key: str) -> tuple[Condition, ...]:
    problems.mapping(node, (key,))
    items = problems.sequence(node.value[key], "conditions") or []
    parts = [read_condition(item, problems, depth + 1) for item in items]
    return tuple(part for part in parts if part is not None)


def _read_all(node: Node, problems: Problems, depth: int) -> Condition | None:
    return All(_read_parts(node, problems, depth, "all"))


def _read_any(node: Node, problems: Problems, depth: int) -> Condition | None:
    return Any_(_read_parts(node, problems, depth, "any"))


def _read_not(node: Node, problems: Problems, depth: int) -> Condition | None:
    problems.mapping(node, ("not",))
    part = read_condition(node.value["not"], problems, depth + 1)
    return None if part is None else Not(part)


def _read_segment(node: Node, problems: Problems, _depth: int) -> Condition | None:
    problems.mapping(node, ("segment",))
    name = problems.text(node.value["segment"])
    return None if name is None else SegmentRef(name)


def _read_identified(node: Node, problems: Problems, _depth: int) -> Condition | None:
    problems.mapping(node, ("identified",))
    value = problems.boolean(node.value["identified"])
    return Identified() if value or value is None else Not(Identified())


def _read_reachable(node: Node, problems: Problems, _depth: int) -> Condition | None:
    problems.mapping(node, ("reachable",))
    channel = problems.choice(node.value["reachable"], CHANNELS)
    return None if channel is None else Reachable(channel)


def _read_consented(node: Node, problems: Problems, _depth: int) -> Condition | None:
    problems.mapping(node, ("consented",))
    fields = problems.mapping(node.value["consented"], ("topic", "channel"), required=("topic", "channel"))
    if not fields or len(fields) != 2:
        return None
    topic, channel = problems.text(fields["topic"]), problems.choice(fields["channel"], CHANNELS)
    return None if topic is None or channel is None else Consented(topic, channel)


def _read_attribute(node: Node, problems: Problems, _depth: int) -> Condition | None:
    fields = problems.mapping(node, ("attribute", *OPERATORS), later=LATER)
    path = problems.text(node.value["attribute"])
    chosen = problems.one_key(node, fields or {}, OPERATORS)
    operator = read_operator(chosen, node.value[chosen], problems) if chosen else None
    if path is None or operator is None:
        return None
    _check_path(path, node.value["attribute"], problems)
    name, inner = _split_attribute(path)
    if not inner and name not in CONTEXT_NAMES and not name.startswith("context.location."):
        known = ", ".join((*CONTEXT_NAMES, "context.location.*"))
        problems.add(node.value["attribute"], f"not kept of the context; kept are {known}")
    return Attribute(name, inner, operator)


def _split_attribute(path: str) -> tuple[str, str]:
    """`context.app.version` is one attribute; of a trait the first step is the attribute, the rest a path inside."""
    if path.startswith("context."):
        return path, ""
    name = path.split(".", 1)[0].removesuffix("[]")
    return name, path


def _read_event(node: Node, problems: Problems, _depth: int) -> Condition | None:
    allowed = ("event", "type", "where", "within", "since", "count", "first", "last", "missing")
    fields = problems.mapping(node, allowed, later=_EVENT_LATER)
    if fields is None:
        return None
    aggregates = [key for key in ("count", "first", "last", "missing") if key in fields]
    if len(aggregates) > 1:
        problems.add(node, f"expected one aggregate; found {' and '.join(aggregates)}")
        return None
    events = read_filter(fields, problems)
    if aggregates and aggregates[0] in ("first", "last"):
        return _read_first_last(aggregates[0], events, fields, problems)
    within, since = _read_window(fields, problems)
    if aggregates == ["missing"]:
        return _read_missing(events, within, since, fields["missing"], problems)
    low, high = _read_count(fields["count"], problems) if "count" in fields else (1, None)
    return Count(events, low, high, within, since)


def _read_window(fields: Document, problems: Problems) -> tuple[int | None, int | date | None]:
    within = read_duration(fields["within"], problems) if "within" in fields else None
    since: int | date | None = None
    if "since" in fields:
        text = fields["since"].plain()
        since = written_time(text) if isinstance(text, str) else None
        if since is None:
            problems.add(fields["since"], f"expected an ISO 8601 time with a zone, or a date; found {text!r}")
        if within is not None:
            problems.add(fields["since"], "`within` and `since` do not go together")
    return within, since


def _read_first_last(key: str, events: EventFilter, fields: Document, problems: Problems) -> Condition | None:
    for window in ("within", "since"):
        if window in fields:
            problems.add(fields[window], f"`{key}` is of all time; `{window}` beside it means nothing")
    inner = problems.mapping(fields[key], ("within", "older_than"))
    name = problems.one_key(fields[key], inner, ("within", "older_than")) if inner is not None else None
    age = read_duration(inner[name], problems) if inner is not None and name else None
    return None if age is None else FirstLast(events, key == "last", name == "older_than", age)


def _read_missing(
    events: EventFilter, within: int | None, since: int | date | None, node: Node, problems: Problems
) -> Condition | None:
    fields = problems.mapping(node, ("event", "type", "where", "within"), later=("same",), required=("event", "within"))
    if fields is None:
        return None
    missing = read_filter(fields, problems)
    age = read_duration(fields["within"], problems) if "within" in fields else None
    if age is not None and within is not None and age >= within:
        problems.add(node, "can never hold: the event leaves its window before the missing one is overdue")
    return None if age is None else Missing(events, missing, age, within, since)


def _read_count(node: Node, problems: Problems) -> tuple[int, int | None]:
    operators = ("is", "at_least", "at_most", "more_than", "less_than", "between")
    fields = problems.mapping(node, operators)
    name = problems.one_key(node, fields, operators) if fields is not None else None
    if fields is None or name is None:
        return 1, None
    operand = fields[name]
    if name == "between":
        bounds = _range_of_counts(operand, problems)
        return bounds or (1, None)
    number = _count(operand, problems)
    if number is None:
        return 1, None
    if name == "less_than" and number == 0:
        problems.add(operand, "can never hold: no count is below zero")
    ranges: dict[str, tuple[int, int | None]] = {
        "is": (number, number),
        "at_least": (number, None),
        "at_most": (0, number),
        "more_than": (number + 1, None),
        "less_than": (0, number - 1),
    }
    return ranges[name]


def _count(node: Node, problems: Problems) -> int | None:
    value = node.value
    if isinstance(value, int) and not isinstance(value, bool) and value > MAX_COUNT:
        problems.add(node, f"a count above {MAX_COUNT:,} is part of the language but not supported by this version")
        return None
    return problems.integer(node, 0, MAX_COUNT)


def _range_of_counts(node: Node, problems: Problems) -> tuple[int, int] | None:
    items = problems.sequence(node, "two whole numbers")
    if items is None:
        return None
    bounds = [_count(item, problems) for item in items]
    if len(bounds) != 2:
        problems.add(node, f"expected [low, high]; found {node.plain()!r}")
        return None
    low, high = bounds
    if low is None or high is None:
        return None
    if low > high:
        problems.add(node, f"can never hold: {low} is above {high}")
    return low, high


_FORMS: dict[str, Callable[[Node, Problems, int], Condition | None]] = {
    "all": _read_all,
    "any": _read_any,
    "not": _read_not,
    "attribute": _read_attribute,
    "event": _read_event,
    "segment": _read_segment,
    "identified": _read_identified,
    "reachable": _read_reachable,
    "consented": _read_consented,
}
