"""Campaigns, and definition files as a whole, as JSON Schema (draft 2020-12).

It describes what this version accepts, so it refuses the forms of the whole language that `todoke validate` refuses by
name.
"""

from transforms.campaigns.definitions import (
    EXITS,
    LOCAL_TIME_FORM,
    ON_UNKNOWN,
    REENTRIES,
    STATUSES,
    STEPS,
    TRIGGERS,
)
from transforms.messages.schema import message_schemas
from transforms.segments.schema import DURATION, ID, TEXT, Schema, condition_schemas, event_filter, has, mapping, ref
from transforms.segments.schema import one_key as exactly_one

__all__ = ["definitions_schema"]

_ONLY_WITH_EVENT: Schema = {"if": {"not": has("event")}, "then": {"properties": {"type": False, "where": False}}}
_TRANSACTIONAL: Schema = {"properties": {"transactional": {"const": True}}, **has("transactional")}


def definitions_schema() -> Schema:
    """The schema of one definitions file; of a folder, of each of its files."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Todoke definitions",
        "description": "Segments, campaigns, messages and policies. `todoke validate` checks what no schema can say.",
        **mapping(
            {
                "segments": {**_by_id("segment"), "description": "who is in"},
                "campaigns": {**_by_id("campaign"), "description": "what happens when"},
                "messages": {**_by_id("message"), "description": "what is said"},
                "policies": {**ref("policies"), "description": "what holds for all campaigns"},
            }
        ),
        "$defs": {**condition_schemas(), **_campaign_schemas(), **message_schemas(), "policies": _policies()},
    }


def _by_id(name: str) -> Schema:
    return {"type": "object", "propertyNames": ID, "additionalProperties": ref(name)}


def _campaign_schemas() -> dict[str, Schema]:
    fields: dict[str, Schema] = {
        "owner": {**TEXT, "description": "who answers for it"},
        "status": {"enum": list(STATUSES), "description": "default: live"},
        "trigger": {**ref("trigger"), "description": "what lets a user in"},
        "audience": {**ref("condition"), "description": "who may enter; asked at entry"},
        "steps": _steps(),
        "exit": {
            "description": "what ends a journey: one, or a list",
            "if": {"type": "array"},
            "then": {"items": ref("exit")},
            "else": ref("exit"),
        },
        "reenter": {
            "description": "whether who was in may enter again; must be written for an event trigger",
            "anyOf": [{"enum": list(REENTRIES)}, mapping({"after": DURATION}, ["after"])],
        },
        "consent": {**TEXT, "not": {"const": "all"}, "description": "the topic"},
        "transactional": {"type": "boolean", "description": "true: asks for no consent and has no quiet hours"},
        "quiet_hours": mapping({"from": _LOCAL_TIME, "to": _LOCAL_TIME}, ["from", "to"]),
        "max_delay": {**DURATION, "description": "how late a send may be; default: 24h"},
        "max_event_age": {**DURATION, "description": "how old a trigger may be when it arrives; default: the policy's"},
        "on_unknown": {"enum": list(ON_UNKNOWN)},
    }
    return {
        "campaign": mapping(
            fields,
            ["owner", "trigger", "steps"],
            allOf=[
                {"if": _TRANSACTIONAL, "then": {"properties": {"consent": False}}, "else": has("consent")},
                {"if": {"properties": {"trigger": has("event")}, **has("trigger")}, "then": has("reenter")},
            ],
        ),
        "trigger": _event_or_segment(TRIGGERS),
        "exit": _event_or_segment(EXITS),
    }


_LOCAL_TIME: Schema = {"type": "string", "pattern": f"^{LOCAL_TIME_FORM}$", "description": 'such as "21:00"'}


def _event_or_segment(kinds: tuple[str, ...]) -> Schema:
    """One of these keys: `event`, with what may stand beside it, or others that name a segment."""
    segments = {kind: TEXT for kind in kinds if kind != "event"}
    return mapping({**event_filter(every=False), **segments}, allOf=[_ONLY_WITH_EVENT], **exactly_one(kinds))


def _steps() -> Schema:
    kinds: dict[str, Schema] = {
        "send": {
            "description": "a message, or a list of which the first that reaches is sent",
            "anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}],
        },
        "wait": {**DURATION, "description": "counts from the decision before"},
    }
    step_id = {"type": "string", **ID, "description": "what running journeys remember the step by"}
    step = mapping({"id": step_id, **{kind: kinds[kind] for kind in STEPS}}, **exactly_one(STEPS))
    return {"type": "array", "items": step, "minItems": 1, "contains": has("send")}


def _policies() -> Schema:
    return mapping(
        {
            "default_zone": {**TEXT, "description": "of the IANA database; default: UTC"},
            "default_locale": {**TEXT, "description": "default: en"},
            "max_event_age": {**DURATION, "description": "how old a trigger may be when it arrives; default: 1h"},
            "sessions": {
                **mapping({"gap": DURATION}, ["gap"]),
                "description": "calls less than a gap apart end in an event `Session Ended`; default: no sessions",
            },
        }
    )
