"""Service levels and their owners as JSON Schema, made of the tables that read them."""

from transforms.events.channels import installed
from transforms.segments.schema import DURATION, ID, TEXT, Schema, has, mapping, one_key, whole
from transforms.slos.definitions import AT_LEAST, KINDS, SERVICES, SINCE, STATUSES_OF_LEVELS, WINDOWS
from transforms.slos.grammar import LEVEL_REQUIRED, MILLISECONDS_FORM, MOST_EVENTS
from transforms.slos.owners import OWNER_REQUIRED, URL_FORM

__all__ = ["level_schema", "owners_schema"]

_BELOW: Schema = {
    "type": "string",
    "pattern": f"^({MILLISECONDS_FORM}|{DURATION['pattern'][1:-1]})$",
    "description": "a bound of histograms, such as 500ms, 60s, 5m or 1h",
}


def owners_schema() -> Schema:
    """`policies.owners`."""
    fields: dict[str, Schema] = {
        "name": {**TEXT, "description": "for people"},
        "contact": {**TEXT, "description": "whom to ask"},
        "page": {"type": "string", "pattern": f"^{URL_FORM}$", "description": "the URL that alerts are sent to"},
        "escalation": {**TEXT, "description": "who is next"},
    }
    return {
        "type": "object",
        "minProperties": 1,
        "propertyNames": ID,
        "additionalProperties": mapping(fields, OWNER_REQUIRED),
    }


def level_schema() -> Schema:
    """One service level."""
    hold = mapping({"hold_below_priority": whole(1, 100)}, ["hold_below_priority"])
    fields: dict[str, Schema] = {
        "name": {**TEXT, "description": "for people"},
        "owner": {**TEXT, "description": "who answers for it: one of policies.owners"},
        "indicator": {
            "description": "what is counted",
            "if": {"type": "object"},
            "then": mapping(_indicators(), **one_key(KINDS)),
            "else": {"enum": ["accounting", "correctness"]},
        },
        "objective": {
            "type": "number",
            "exclusiveMinimum": 0,
            "exclusiveMaximum": 100,
            "description": "percent of events that are good",
        },
        "window": {"enum": list(WINDOWS), "description": "default: 28d"},
        "status": {"enum": list(STATUSES_OF_LEVELS), "description": "default: trial, which alerts nobody"},
        "at_least": {
            **whole(1, MOST_EVENTS),
            "description": f"events in an alert's long window, below which it does not fire; default: {AT_LEAST}",
        },
        "on_exhausted": {"if": {"type": "object"}, "then": hold, "else": {"const": "warn"}},
    }
    return mapping(fields, LEVEL_REQUIRED)


def _indicators() -> dict[str, Schema]:
    service: Schema = {"enum": list(SERVICES)}
    sent: dict[str, Schema] = {"channel": {"enum": list(installed())}, "campaign": TEXT}
    requests = mapping({"service": service, "below": _BELOW}, ["service", "below"])
    sends = mapping(
        {"from": {"enum": list(SINCE)}, "to": {"const": "handed_off"}, **sent, "below": _BELOW},
        ["from", "below"],
    )
    fresh = {"segment": TEXT, "job": {"const": True}, "below": _BELOW}
    return {
        "latency": {"if": has("service"), "then": requests, "else": sends},
        "success": mapping(sent),
        "freshness": mapping(fresh, ["below"], **one_key(("segment", "job"))),
        "accounting": mapping({}),
        "correctness": mapping({}),
        "availability": mapping({"service": service}, ["service"]),
    }
