"""Conditions and segments as JSON Schema (draft 2020-12), made from the tables that read them.

It lets an editor show what may be written where. `todoke validate` finds what a schema cannot say
(docs/how-to/editor.md). Of the newer keywords, only those are used that an editor may ignore without refusing anything
right.
"""

from collections.abc import Collection, Mapping
from typing import Any

from transforms.events.channels import installed
from transforms.identity.profile import CONTEXT_NAMES
from transforms.segments.conditions import ANY
from transforms.segments.document import ID_FORM
from transforms.segments.grammar import FARTHEST_KM, FORMS, LOCATION
from transforms.segments.grammar_events import AGGREGATES, AMOUNTS, COMPARISONS, EVENT_TYPES, MAX_COUNT, MAX_EXACT
from transforms.segments.grammar_where import WHERE_OPERATORS
from transforms.segments.leaf_stamps import MAX_DISTINCT
from transforms.segments.operators import OPERATORS, VERSION_FORM
from transforms.segments.values import DATE_FORM, DURATION_FORM, PATH_FORM, TIME_FORM

__all__ = [
    "DURATION",
    "ID",
    "MOMENT",
    "PATH",
    "TEXT",
    "Schema",
    "condition_schemas",
    "event_filter",
    "has",
    "mapping",
    "one_key",
    "ref",
    "whole",
]

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
#: The form of ids.
ID: Schema = {"pattern": f"^{ID_FORM}$"}
DURATION: Schema = {
    "type": "string",
    "pattern": f"^(?!0+[a-z]$){DURATION_FORM}$",
    "description": "such as 30s, 15m, 2h, 7d or 4w; a day is 24 hours",
}

PATH: Schema = {
    "type": "string",
    "pattern": f"^{PATH_FORM}$",
    "description": "such as revenue or products[].category: dots descend, [] means any element",
}
MOMENT: Schema = {
    "type": "string",
    "pattern": f"^({TIME_FORM}|{DATE_FORM})$",
    "description": "ISO 8601 with a zone; a date alone is the start of that day in the user's zone",
}
_MOMENT_WITH_ZONE: Schema = {"type": "string", "pattern": f"^{TIME_FORM}$", "description": "ISO 8601 with a zone"}
_BOOLEAN: Schema = {"type": "boolean"}
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}
_ORDERED: Schema = {"type": ["string", "number"]}
_VERSION: Schema = {
    "type": "string",
    "pattern": f"^{VERSION_FORM}$",
    "description": 'dotted numbers, in quotes: "2.10"',
}
#: Dates alone before 1973, when some zones were not a full quarter of an hour from UTC.
_EARLY_DATE = "^(0|1[0-8]|19[0-6]|197[0-2])[0-9]*-[0-9]{2}-[0-9]{2}$"


def mapping(properties: Mapping[str, Schema], required: Collection[str] = (), **more: Any) -> Schema:
    """A mapping with these keys and no others."""
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": dict(properties), **needed, "additionalProperties": False, **more}


def ref(name: str) -> Schema:
    """A reference to what is defined under a name."""
    return {"$ref": f"#/$defs/{name}"}


def has(*keys: str) -> Schema:
    """A mapping with all these keys."""
    return {"required": list(keys)}


def one_key(keys: Collection[str]) -> Schema:
    """A mapping with exactly one of these keys."""
    return {"oneOf": [has(key) for key in keys]}


def event_filter() -> dict[str, Schema]:
    """The keys of an event filter."""
    return {
        "event": {**TEXT, "description": f"its name, or {ANY}: every track, page and screen call"},
        "type": {"enum": list(EVENT_TYPES)},
        "where": ref("where"),
    }


def condition_schemas() -> dict[str, Schema]:
    """The schemas of segments, conditions and all their parts, by name."""
    return {
        "segment": mapping(
            {
                "name": {**TEXT, "description": "for people"},
                "owner": {**TEXT, "description": "who answers for it"},
                "members": {**ref("condition"), "description": "who is in"},
            },
            ["owner", "members"],
        ),
        "condition": _condition("", [form for form in FORMS if form not in _CAMPAIGN_FORMS]),
        "campaign_condition": _condition("campaign_", list(FORMS)),
        **{f"{form}_condition": _FORMS[form][1] for form in FORMS},
        **{f"campaign_{form}_condition": schema for form, (_, schema) in _nested("campaign_condition").items()},
        "where": {
            "type": "object",
            "description": "of its properties: {PATH: {operator: value}}; under PATH[] also what one element has",
            "minProperties": 1,
            "propertyNames": {"pattern": PATH["pattern"]},
            "patternProperties": {r"\[\]$": {"anyOf": [_OF_PROPERTIES, ref("where")]}},
            "additionalProperties": _OF_PROPERTIES,
        },
    }


def _condition(prefix: str, forms: Collection[str]) -> Schema:
    """One of these forms; forms that hold conditions are defined under a prefix."""
    places = {form: f"{prefix if form in _nested('') else ''}{form}_condition" for form in forms}
    return {
        "type": "object",
        "properties": {form: {"description": _FORMS[form][0]} for form in forms},
        **one_key(forms),
        "allOf": [{"if": has(form), "then": ref(places[form])} for form in forms],
    }


def _nested(inner: str) -> dict[str, tuple[str, Schema]]:
    """The forms that hold conditions."""
    return {
        "all": ("every part holds", mapping({"all": _items(ref(inner))})),
        "any": ("one part holds at least", mapping({"any": _items(ref(inner))})),
        "not": ("the part does not hold; so it is with users never seen, too", mapping({"not": ref(inner)})),
    }


def _pair(item: Schema) -> Schema:
    return {"type": "array", "items": item, "minItems": 2, "maxItems": 2, "description": "[low, high], both included"}


def _items(item: Schema) -> Schema:
    return {"type": "array", "items": item, "minItems": 1}


_OPERANDS: dict[str, Schema] = {
    "is": _SCALAR,
    "is_not": {**_SCALAR, "description": "false where there is no value; `not:` with `is` takes these in"},
    "in": _items(_SCALAR),
    "not_in": {**_items(_SCALAR), "description": "false where there is no value; `not:` with `in` takes these in"},
    "exists": _BOOLEAN,
    "at_least": _ORDERED,
    "at_most": _ORDERED,
    "more_than": _ORDERED,
    "less_than": _ORDERED,
    "between": {"anyOf": [_pair({"type": "number"}), _pair({"type": "string"})]},
    "contains": {**_SCALAR, "description": "an element of a list, or a part of a text"},
    "starts_with": TEXT,
    "ends_with": TEXT,
    "matches": {**TEXT, "description": "an RE2 pattern, found anywhere"},
    "version_at_least": _VERSION,
    "version_less_than": _VERSION,
    "before": MOMENT,
    "after": MOMENT,
    "within": {**DURATION, "description": "a time in the past, less than that ago"},
    "older_than": {**DURATION, "description": "a time in the past, that long ago or longer"},
    "within_next": {**DURATION, "description": "a time from now on, less than that ahead"},
    "anniversary": {
        "description": "today is the month and day of that time, or whole days before it",
        "anyOf": [{"const": True}, mapping({"before": DURATION}, ["before"])],
    },
}
#: An event is tested once, so a date alone is not allowed: it begins at a different time in each zone.
_IN_WHERE = {"before": _MOMENT_WITH_ZONE, "after": _MOMENT_WITH_ZONE}


_OF_PROPERTIES = mapping({name: _IN_WHERE.get(name, _OPERANDS[name]) for name in WHERE_OPERATORS}, minProperties=1)


def whole(least: int, most: int) -> Schema:
    """A whole number, both bounds included."""
    return {"type": "integer", "minimum": least, "maximum": most}


def _whole_comparisons(most: int, *, counted: int | None = None) -> dict[str, Schema]:
    """Comparisons with whole numbers up to `most`; there can never be more than `counted`."""
    found = {name: whole(0, most) for name in COMPARISONS}
    found["between"] = _pair(whole(0, most))
    found["less_than"] = whole(1, most)
    if counted is not None:
        found["more_than"] = whole(0, counted - 1)
    return found


def _aggregate(name: str) -> Schema:
    of = {"of": {**PATH, "description": "the path of the property"}}
    if name == "count":
        return mapping(_whole_comparisons(MAX_COUNT), minProperties=1, maxProperties=1)
    if name == "distinct":
        return mapping({**of, **_whole_comparisons(MAX_DISTINCT, counted=MAX_DISTINCT)}, ["of"], **_ONE_BESIDE)
    if name in AMOUNTS:
        numbers = {op: _pair({"type": "number"}) if op == "between" else {"type": "number"} for op in COMPARISONS}
        return mapping({**of, **numbers}, ["of"], **_ONE_BESIDE)
    if name == "missing":
        return mapping({**event_filter(), "within": DURATION, "same": PATH}, ["event", "within"])
    return mapping({"within": DURATION, "older_than": DURATION}, minProperties=1, maxProperties=1)


#: Exactly one key besides the required one.
_ONE_BESIDE = {"minProperties": 2, "maxProperties": 2}

_MEANINGS = {
    "count": "how many there are; without it, at least one",
    "sum": "what the numbers at a path add up to",
    "average": "their average; of nothing, false",
    "minimum": "the least of them; of nothing, false",
    "maximum": "the greatest of them; of nothing, false",
    "distinct": "how many different values a path has",
    "first": "how long ago the first of all time was",
    "last": "how long ago the last of all time was",
    "missing": "the newest is that old, and no event of these came at its time or later",
}


def _event_condition() -> Schema:
    bucketed = {"since": {"not": {"pattern": _EARLY_DATE}}}
    big = {"count": {"not": {"additionalProperties": {"maximum": MAX_EXACT, "items": {"maximum": MAX_EXACT}}}}}
    return mapping(
        {
            **event_filter(),
            "within": {**DURATION, "description": "only those less than that ago"},
            "since": {**MOMENT, "description": "only those at or after that time"},
            "same": {**PATH, "description": "separately for each value of this path"},
            **{name: {**_aggregate(name), "description": _MEANINGS[name]} for name in AGGREGATES},
        },
        oneOf=[{"not": {"anyOf": [has(name) for name in AGGREGATES]}}, *(has(name) for name in AGGREGATES)],
        **{"not": has("within", "since")},
        allOf=[
            _if_any(("first", "last"), {"within": False, "since": False}),
            _if_any([name for name in AGGREGATES if name not in ("count", "sum")], {"same": False}),
            _if_any(AMOUNTS, bucketed),
            {"if": {"required": ["count"], "properties": big}, "then": {"properties": bucketed}},
        ],
    )


def _if_any(keys: Collection[str], then: Mapping[str, Schema | bool]) -> Schema:
    return {"if": {"anyOf": [has(key) for key in keys]}, "then": {"properties": dict(then)}}


def _sequence_condition() -> Schema:
    later = mapping({**event_filter(), "within": DURATION}, ["event"])
    first = {"properties": {"within": False}}
    steps = {"type": "array", "items": later, "minItems": 2, "allOf": [{"prefixItems": [first]}]}
    return mapping({"sequence": steps, "within": {**DURATION, "description": "the last is less than that ago"}})


def _attribute_condition() -> Schema:
    path = {
        **PATH,
        "anyOf": [
            {"not": {"pattern": r"^context\."}},
            {"enum": list(CONTEXT_NAMES)},
            {"pattern": rf"^{LOCATION.replace('.', '[.]')}[.]"},
        ],
    }
    operators = {name: _OPERANDS[name] for name in OPERATORS}
    return mapping({"attribute": path, **operators}, ["attribute"], **_ONE_BESIDE)


def _near_condition() -> Schema:
    path = {**PATH, "anyOf": [{"not": {"pattern": r"^context\."}}, {"const": LOCATION}]}
    fields = {
        "attribute": path,
        "latitude": {"type": "number", "minimum": -90, "maximum": 90},
        "longitude": {"type": "number", "minimum": -180, "maximum": 180},
        "within_km": {"type": "number", "minimum": 0, "maximum": FARTHEST_KM},
    }
    return mapping({"near": mapping(fields, list(fields))})


def _bucket_condition() -> Schema:
    share = {"type": "number", "minimum": 0, "maximum": 100}
    fields = {"salt": TEXT, "from": share, "below": share}
    return mapping({"bucket": mapping(fields, list(fields))})


def _consented_condition() -> Schema:
    fields = {"topic": TEXT, "channel": {"enum": list(installed())}}
    return mapping({"consented": mapping(fields, list(fields))})


#: What each form means, in one line, and what it looks like.
_FORMS: dict[str, tuple[str, Schema]] = {
    **_nested("condition"),
    "attribute": ("an attribute satisfies an operator", _attribute_condition()),
    "event": ("what somebody did, in a window or ever", _event_condition()),
    "sequence": ("events one after another; others may come between", _sequence_condition()),
    "segment": ("they are in that segment", mapping({"segment": TEXT})),
    "identified": ("there is a user id", mapping({"identified": _BOOLEAN})),
    "reachable": ("there is a live address on the channel", mapping({"reachable": {"enum": list(installed())}})),
    "consented": ("the topic may use the channel", _consented_condition()),
    "bucket": ("their stable percentile for the salt is in [from, below)", _bucket_condition()),
    "near": ("a place is at most so far away", _near_condition()),
    "variant": ("they got that variant of the campaign", mapping({"variant": TEXT})),
}
#: Forms that only conditions inside a campaign's steps may have.
_CAMPAIGN_FORMS = ("variant",)
