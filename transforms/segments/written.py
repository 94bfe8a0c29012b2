"""Conditions as people write them: from records back to the language, for people who ask why.

`grammar` reads the same condition from it again. Forms that mean the same became one when they were read, so the form
may differ from the one that was first written.
"""

import io
from datetime import date
from typing import Any

from ruamel.yaml import YAML

from transforms.events.times import write_time
from transforms.segments.conditions import (
    All,
    Any_,
    Attribute,
    Bucket,
    Condition,
    Consented,
    Count,
    Distinct,
    EventFilter,
    FirstLast,
    Identified,
    Missing,
    Near,
    Not,
    Reachable,
    SegmentRef,
    Sequence,
    Since,
    Total,
    Where,
)
from transforms.segments.grammar_events import MAX_EXACT
from transforms.segments.operators import Operator
from transforms.segments.values import DAY, HOUR, SECOND

__all__ = ["condition_text", "plain_condition"]

Plain = dict[str, Any]

_UNITS = (("d", DAY), ("h", HOUR), ("m", 60 * SECOND), ("s", SECOND))
_AGES = ("within", "older_than", "within_next")


def condition_text(condition: Condition) -> str:
    """A condition on one line of YAML, without the braces around it."""
    return _flow_yaml(plain_condition(condition))


def plain_condition(condition: Condition) -> Plain:
    """A condition as the mapping that a definition file has, durations and times as text."""
    match condition:
        case All(parts):
            return {"all": [plain_condition(part) for part in parts]}
        case Any_(parts):
            return {"any": [plain_condition(part) for part in parts]}
        case Not(part):
            return {"not": plain_condition(part)}
        case SegmentRef(segment):
            return {"segment": segment}
        case Count() | Total() | Distinct() | FirstLast() | Missing() | Sequence():
            return _on_events(condition)
    return _on_facts(condition)


def _on_facts(condition: Attribute | Identified | Reachable | Consented | Bucket | Near) -> Plain:
    match condition:
        case Attribute(name, path, operator):
            return {"attribute": path or name, **_operator(operator)}
        case Reachable(channel):
            return {"reachable": channel}
        case Consented(topic, channel):
            return {"consented": {"topic": topic, "channel": channel}}
        case Bucket(salt, low, high):
            return {"bucket": {"salt": salt, "from": low, "below": high}}
        case Near(name, path, latitude, longitude, within_km):
            place = {"latitude": latitude, "longitude": longitude, "within_km": within_km}
            return {"near": {"attribute": path or name, **place}}
    return {"identified": True}


def _on_events(condition: Count | Total | Distinct | FirstLast | Missing | Sequence) -> Plain:
    match condition:
        case Count(events, low, high, within, since, same):
            count = _range(low, high)
            asked: Plain = {} if count == {"at_least": 1} else {"count": count}
            return {**_filter(events), **asked, **_window(within, since), **_same(same)}
        case Total(events, aggregate, of, operator, within, since, same):
            asked = _amount(aggregate, of, operator)
            return {**_filter(events), aggregate: asked, **_window(within, since), **_same(same)}
        case Distinct(events, of, low, high, within, since):
            return {**_filter(events), "distinct": {"of": of, **_range(low, high)}, **_window(within, since)}
        case FirstLast(events, last, older, age):
            asked = {"older_than" if older else "within": _duration(age)}
            return {**_filter(events), "last" if last else "first": asked}
        case Missing(events, missing, age, within, since, same):
            awaited = {**_filter(missing), "within": _duration(age), **_same(same)}
            return {**_filter(events), "missing": awaited, **_window(within, since)}
    steps = [{**_filter(step.events), **_window(step.within, None)} for step in condition.steps]
    return {"sequence": steps, **_window(condition.within, None)}


def _filter(events: EventFilter) -> Plain:
    kind = {} if events.type is None else {"type": events.type}
    return {"event": events.name, **kind, **({"where": _where(events.where)} if events.where else {})}


def _where(asked: Where) -> Plain:
    where: dict[str, Plain] = {}
    for path, test in asked:
        where.setdefault(path, {}).update(_operator(test) if isinstance(test, Operator) else _where(test.where))
    return where


def _window(within: int | None, since: Since) -> Plain:
    if within is not None:
        return {"within": _duration(within)}
    return {} if since is None else {"since": _time(since)}


def _same(path: str | None) -> Plain:
    return {} if path is None else {"same": path}


def _range(low: int, high: int | None) -> Plain:
    if high is None:
        # A count that is written with a number beyond a thousand keeps buckets; this one does not.
        return {"at_least": low} if low <= MAX_EXACT else {"more_than": low - 1}
    if low == high:
        return {"is": low}
    return {"at_most": high} if low == 0 else {"between": [low, high]}


def _amount(aggregate: str, of: str, operator: Operator) -> Plain:
    name, operand = operator.name, operator.operand
    if aggregate != "count":
        single = name == "between" and operand[0] == operand[1]
        return {"of": of, **({"is": operand[0]} if single else _operator(operator))}
    # A count that keeps buckets was written with a number beyond a thousand.
    return {"less_than": operand + 1} if name == "at_most" and operand <= MAX_EXACT else _operator(operator)


def _operator(operator: Operator) -> Plain:
    name, operand = operator.name, operator.operand
    if name in _AGES:
        return {name: _duration(operand)}
    if name in ("before", "after"):
        return {name: _time(operand)}
    if name == "anniversary":
        return {name: {"before": f"{operand}d"} if operand else True}
    return {name: list(operand) if isinstance(operand, tuple) else operand}


def _duration(length: int) -> str:
    """Microseconds as `90d`, `36h`, `15m` or `30s`; the language knows nothing shorter."""
    unit, size = next((unit, size) for unit, size in _UNITS if length % size == 0)
    return f"{length // size}{unit}"


def _time(moment: int | date) -> str:
    return moment.isoformat() if isinstance(moment, date) else write_time(moment)


def _flow_yaml(plain: Plain) -> str:
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.allow_unicode = True
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 1 << 30
    stream = io.StringIO()
    yaml.dump(plain, stream)
    return stream.getvalue().strip().removesuffix("...").strip()[1:-1]
