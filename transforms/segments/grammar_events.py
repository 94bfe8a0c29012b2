"""Conditions on events read from a definition file: which events count, in which window, and what is asked of them."""

from datetime import date

from transforms.events.channels import installed
from transforms.events.plain import quoted
from transforms.segments.conditions import (
    Condition,
    Count,
    Distinct,
    EventFilter,
    FirstLast,
    Missing,
    Sequence,
    SequenceStep,
    Since,
    Total,
)
from transforms.segments.document import Document, Node, Problems
from transforms.segments.grammar_where import in_order, read_where
from transforms.segments.leaf_stamps import MAX_DISTINCT
from transforms.segments.operators import (
    Operator,
    read_duration,
    read_moment,
    read_operator,
    read_path,
)

__all__ = [
    "AGGREGATES",
    "AMOUNTS",
    "COMPARISONS",
    "EVENT_TYPES",
    "MACHINE",
    "MAX_COUNT",
    "MAX_EXACT",
    "read_event",
    "read_filter",
    "read_sequence",
]

#: LANGUAGE: counts up to a thousand are exact, greater ones keep buckets.
MAX_EXACT = 1000
#: Nobody does anything more often.
MAX_COUNT = 1_000_000_000

EVENT_TYPES = ("track", "page", "screen")
AMOUNTS = ("sum", "average", "minimum", "maximum")
AGGREGATES = ("count", *AMOUNTS, "distinct", "first", "last", "missing")
_FILTER = ("event", "type", "where")
COMPARISONS = ("is", "at_least", "at_most", "more_than", "less_than", "between")
#: What proxies and scanners do to messages, too: their receipts have the property `MACHINE`.
_BY_MACHINES = ("Opened", "Clicked")
MACHINE = "machine"
_PEOPLE = (MACHINE, Operator("exists", False))
#: Before this year some zones were not a full quarter of an hour from UTC.
_FULL_QUARTERS = 1973

_Range = tuple[int, int | None]
_Window = tuple[int | None, Since]
#: A window and `same`.
_Frame = tuple[int | None, Since, str | None]


def read_event(node: Node, problems: Problems, _place: object) -> Condition | None:
    """Read a condition on an event and the aggregate beside it."""
    fields = problems.mapping(node, (*_FILTER, "within", "since", "same", *AGGREGATES))
    if fields is None:
        return None
    aggregates = [key for key in AGGREGATES if key in fields]
    if len(aggregates) > 1:
        problems.add(node, f"expected one aggregate; found {' and '.join(aggregates)}")
        return None
    aggregate = aggregates[0] if aggregates else "count"
    events = read_filter(fields, problems, "{any: [{event: …}, …]}")
    same = _read_same(aggregate, fields, problems)
    if aggregate in ("first", "last"):
        return _read_first_last(aggregate, events, fields, problems)
    window = _read_window(fields, problems)
    if aggregate == "missing":
        return _read_missing(events, window, fields["missing"], problems)
    if aggregate == "distinct":
        return _read_distinct(events, window, fields["distinct"], problems)
    condition: Condition | None
    if aggregate == "count":
        condition = _read_count(events, (*window, same), fields.get("count"), problems)
    else:
        condition = _read_amount(aggregate, events, (*window, same), fields[aggregate], problems)
    if isinstance(condition, Total) and isinstance(condition.since, date) and condition.since.year < _FULL_QUARTERS:
        problems.add(fields["since"], f"before {_FULL_QUARTERS} a date is not exact here; write a time with a zone")
    return condition


def read_sequence(node: Node, problems: Problems, _place: object) -> Condition | None:
    """Read events that follow each other."""
    fields = problems.mapping(node, ("sequence", "within"))
    items = problems.sequence(node.value["sequence"], "events, one after another")
    within = read_duration(fields["within"], problems) if fields and "within" in fields else None
    steps = [_read_step(number, item, problems) for number, item in enumerate(items or ())]
    if len(steps) == 1:
        problems.add(node.value["sequence"], "a sequence needs two events; one alone is {event: …}")
    return Sequence(tuple(step for step in steps if step is not None), within)


def read_filter(fields: Document, problems: Problems, several: str = "one name") -> EventFilter:
    """Read `event`, `type` and `where` of a mapping whose keys were checked.

    `several` says what to write instead of a list of names. Receipts such as `Email Opened` count where a person caused
    them, unless `where` asks for `machine`.
    """
    name = _read_name(fields["event"], several, problems) if "event" in fields else None
    kind = problems.choice(fields["type"], EVENT_TYPES) if "type" in fields else None
    where = read_where(fields["where"], problems) if "where" in fields else ()
    if kind is None and _is_by_machines(name or "") and not any(path == MACHINE for path, _ in where):
        where = in_order((*where, _PEOPLE))
    return EventFilter(name or "", kind, where)


def _is_by_machines(name: str) -> bool:
    channel, _, what = name.partition(" ")
    return what in _BY_MACHINES and channel.lower() in installed() and channel == channel.capitalize()


def _read_name(node: Node, several: str, problems: Problems) -> str | None:
    return problems.text(node, several if isinstance(node.value, list) else "")


def _read_same(aggregate: str, fields: Document, problems: Problems) -> str | None:
    if "same" not in fields:
        return None
    if aggregate == "missing":
        problems.add(fields["same"], "`same` stands inside `missing`")
    elif aggregate not in ("count", "sum"):
        problems.add(fields["same"], f"`same` goes with `count`, `sum` and `missing`, not with `{aggregate}`")
    return read_path(fields["same"], problems)


def _read_window(fields: Document, problems: Problems) -> _Window:
    within = read_duration(fields["within"], problems) if "within" in fields else None
    since = read_moment(fields["since"], problems) if "since" in fields else None
    if "since" in fields and within is not None:
        problems.add(fields["since"], "`within` and `since` do not go together")
    return within, since


def _read_first_last(key: str, events: EventFilter, fields: Document, problems: Problems) -> Condition | None:
    for window in ("within", "since"):
        if window in fields:
            problems.add(fields[window], f"`{key}` is of all time; `{window}` beside it means nothing")
    written = fields[key].written if isinstance(fields[key].value, str) else "7d"
    instead = f"{{within: {written}}} or {{older_than: {written}}}"
    inner = problems.mapping(fields[key], ("within", "older_than"), instead=instead)
    name = problems.one_key(fields[key], inner, ("within", "older_than")) if inner is not None else None
    age = read_duration(inner[name], problems) if inner is not None and name else None
    return None if age is None else FirstLast(events, key == "last", name == "older_than", age)


def _read_missing(events: EventFilter, window: _Window, node: Node, problems: Problems) -> Condition | None:
    instead = f"{{event: {node.written if isinstance(node.value, str) else '…'}, within: 1h}}"
    fields = problems.mapping(node, (*_FILTER, "within", "same"), required=("event", "within"), instead=instead)
    if fields is None:
        return None
    missing = read_filter(fields, problems)
    age = read_duration(fields["within"], problems) if "within" in fields else None
    same = read_path(fields["same"], problems) if "same" in fields else None
    within, since = window
    if age is not None and within is not None and age >= within:
        problems.add(node, "can never hold: the event leaves its window before the missing one is overdue")
    return None if age is None else Missing(events, missing, age, within, since, same)


def _read_count(events: EventFilter, frame: _Frame, node: Node | None, problems: Problems) -> Condition:
    if node is None:
        return Count(events, 1, None, *frame)
    fields = problems.mapping(node, COMPARISONS, instead=_comparison_with(node))
    low, high, most = _read_range(node, fields, MAX_COUNT, problems)
    if most <= MAX_EXACT:
        return Count(events, low, high, *frame)
    if high is None:
        return Total(events, "count", "", Operator("at_least", low), *frame)
    operator = Operator("at_most", high) if low == 0 else Operator("between", (low, high))
    return Total(events, "count", "", operator, *frame)


def _read_distinct(events: EventFilter, window: _Window, node: Node, problems: Problems) -> Condition | None:
    fields = problems.mapping(node, ("of", *COMPARISONS), required=("of",), instead=_amount_of(node))
    low, high, _ = _read_range(node, fields, MAX_DISTINCT, problems)
    path = read_path(fields["of"], problems) if fields and "of" in fields else None
    if low > MAX_DISTINCT:
        problems.add(node, f"can never hold: the newest {MAX_DISTINCT:,} values are counted")
    if high == MAX_DISTINCT:  # as many as are ever counted
        high = None
    return None if path is None else Distinct(events, path, low, high, *window)


def _read_amount(
    aggregate: str, events: EventFilter, frame: _Frame, node: Node, problems: Problems
) -> Condition | None:
    fields = problems.mapping(node, ("of", *COMPARISONS), required=("of",), instead=_amount_of(node))
    if fields is None:
        return None
    path = read_path(fields["of"], problems) if "of" in fields else None
    name = problems.one_key(node, fields, COMPARISONS)
    operator = _read_comparison(name, fields[name], problems) if name else None
    if path is None or operator is None:
        return None
    return Total(events, aggregate, path, operator, *frame)


def _comparison_with(node: Node) -> str:
    """A hint for a number, or a pair of numbers: what may have been meant."""
    if isinstance(node.value, list):
        return f"{{between: {node.written}}}"
    return f"{{at_least: {node.written if isinstance(node.value, int | float) else 3}}}"


def _amount_of(node: Node) -> str:
    """A hint for a path, or a number: what may have been meant."""
    path = node.written if isinstance(node.value, str) else "revenue"
    return f"{{of: {path}, {_comparison_with(node)[1:]}"


def _read_comparison(name: str, node: Node, problems: Problems) -> Operator | None:
    """A comparison with numbers."""
    nodes = [node] if name != "between" else problems.sequence(node, "two numbers, low and high") or []
    if any(isinstance(each.value, bool) or not isinstance(each.value, int | float) for each in nodes):
        problems.add(
            node, f"expected {'two numbers' if name == 'between' else 'a number'}; found {quoted(node.plain())}"
        )
        return None
    operator = read_operator(name, node, problems) if nodes else None
    if operator is None or name != "is":
        return operator
    return Operator("between", (operator.operand, operator.operand))


def _read_range(node: Node, fields: Document | None, limit: int, problems: Problems) -> tuple[int, int | None, int]:
    """The range that a comparison with whole numbers allows, and the greatest number that it is written with."""
    name = problems.one_key(node, fields, COMPARISONS) if fields is not None else None
    if fields is None or name is None:
        return 1, None, 1
    operand = fields[name]
    if name == "between":
        low, high = _bounds(operand, limit, problems) or (1, 1)
        return low, high, high
    number = problems.integer(operand, 0, limit)
    if number is None:
        return 1, None, 1
    if name == "less_than" and number == 0:
        problems.add(operand, "can never hold: no count is below zero")
    ranges: dict[str, _Range] = {
        "is": (number, number),
        "at_least": (number, None),
        "at_most": (0, number),
        "more_than": (number + 1, None),
        "less_than": (0, number - 1),
    }
    return *ranges[name], number


def _bounds(node: Node, limit: int, problems: Problems) -> tuple[int, int] | None:
    items = problems.sequence(node, "two whole numbers")
    if items is None:
        return None
    bounds = [problems.integer(item, 0, limit) for item in items]
    if len(bounds) != 2:
        problems.add(node, f"expected [low, high]; found {quoted(node.plain())}")
        return None
    low, high = bounds
    if low is None or high is None:
        return None
    if low > high:
        problems.add(node, f"can never hold: {low} is above {high}")
    return low, high


def _read_step(number: int, node: Node, problems: Problems) -> SequenceStep | None:
    instead = f"{{event: {node.written}}}" if isinstance(node.value, str) else ""
    fields = problems.mapping(node, (*_FILTER, "within"), required=("event",), instead=instead)
    if fields is None:
        return None
    events = read_filter(fields, problems)
    within = read_duration(fields["within"], problems) if "within" in fields else None
    if "within" in fields and number == 0:
        problems.add(fields["within"], "nothing comes before the first event; `within` of all stands beside `sequence`")
    return SequenceStep(events, within)
