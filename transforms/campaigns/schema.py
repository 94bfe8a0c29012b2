"""Campaigns, and definition files as a whole, as JSON Schema (draft 2020-12).

It describes what this version accepts; what it cannot say (see docs/how-to/editor.md) `todoke validate` says.
"""

from transforms.campaigns.definitions import MAX_DELAY, TRIGGERS
from transforms.campaigns.effects import HOLDOUT
from transforms.campaigns.grammar import MAX_RATE, ON_UNKNOWN, REQUIRED, STATUSES
from transforms.campaigns.grammar_steps import STEPS, WAITS
from transforms.campaigns.grammar_triggers import EXITS, LOCAL_FORM, LOCAL_TIME_FORM, REENTRIES
from transforms.campaigns.policies import MAX_CAPPED, NO_QUIET
from transforms.campaigns.recommend import AT_LEAST_USERS, LISTED, MOST_LISTED, MOST_USERS, RECOMMEND_REQUIRED
from transforms.events.channels import installed
from transforms.messages.definitions import LOCALE_FORM
from transforms.messages.preferences import preferences_schema
from transforms.messages.schema import message_schemas
from transforms.messages.scope import RESERVED
from transforms.messages.tracking import TRACKING_SCHEMA, tracking_policy_schema
from transforms.segments.schema import (
    DURATION,
    ID,
    MOMENT,
    PATH,
    TEXT,
    Schema,
    condition_schemas,
    event_filter,
    has,
    mapping,
    ref,
    whole,
)
from transforms.segments.schema import one_key as exactly_one
from transforms.segments.values import HOUR, TIME_FORM
from transforms.slos.grammar import TAKEN
from transforms.slos.schema import level_schema, owners_schema

__all__ = ["definitions_schema"]

_LOCAL_TIME: Schema = {"type": "string", "pattern": f"^{LOCAL_TIME_FORM}$", "description": 'such as "21:00"'}
_ZONE: Schema = {**TEXT, "description": "user (the user's own), or one of the IANA database"}
_ONE_VALUE: Schema = {**PATH, "not": {"pattern": r"\[\]"}}
_QUIET: Schema = mapping({"from": _LOCAL_TIME, "to": _LOCAL_TIME}, ["from", "to"])
_PERCENT: Schema = {"type": "number", "minimum": 0, "maximum": 100}
#: A message, or a list of which the first that reaches is sent.
_MESSAGES: Schema = {"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]}


def definitions_schema() -> Schema:
    """The schema of one definitions file; of a folder, of each of its files."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Todoke definitions",
        "description": "Segments, campaigns, messages, policies, service levels, and recommendations. `todoke "
        "validate` checks what no schema can say.",
        **mapping(
            {
                "segments": {**_by_id("segment"), "description": "who is in"},
                "campaigns": {**_by_id("campaign"), "description": "what happens when"},
                "messages": {**_by_id("message"), "description": "what is said"},
                "policies": {**ref("policies"), "description": "what holds for all campaigns"},
                "slos": {
                    **_by_id("service_level"),
                    "propertyNames": {**ID, "not": {"enum": list(TAKEN)}},
                    "description": "what is promised, and by whom",
                },
                "recommend": {**_recommend(), "description": "what messages see as `recommendations`"},
            }
        ),
        "$defs": {
            **condition_schemas(),
            "campaign": _campaign(),
            "trigger": _trigger(),
            "exit": _event_or_segment({**event_filter(), "same": _ONE_VALUE}, EXITS),
            "steps": {"type": "array", "items": ref("step"), "minItems": 1},
            "step": _step(),
            "sending": {"contains": {"anyOf": [has("send"), _inside("then"), _inside("else")]}},
            **message_schemas(),
            "policies": _policies(),
            "service_level": level_schema(),
        },
    }


def _recommend() -> Schema:
    fields: dict[str, Schema] = {
        **event_filter(),
        "product": {**PATH, "description": "where the event has ids of products, such as products[].product_id"},
        "within": {**DURATION, "description": "how far back events count"},
        "at_least": {**whole(1, MOST_USERS), "description": f"users that a pair has; default: {AT_LEAST_USERS}"},
        "at_most": {**whole(1, MOST_LISTED), "description": f"products that a message gets; default: {LISTED}"},
        "segments": {
            **{"type": "array", "items": TEXT, "minItems": 1, "uniqueItems": True},
            "description": "which have lists of their own",
        },
        "leave_out_owned": {"type": "boolean", "description": "whether what a user has is left out; default: false"},
        "expires": {**DURATION, "description": "when lists are too old to be shown; default: 7d"},
    }
    return mapping(fields, RECOMMEND_REQUIRED)


def _by_id(name: str) -> Schema:
    return {"type": "object", "propertyNames": ID, "additionalProperties": ref(name)}


def _campaign() -> Schema:
    fields: dict[str, Schema] = {
        "name": {**TEXT, "description": "for people"},
        "owner": {**TEXT, "description": "who answers for it"},
        "status": {"enum": list(STATUSES), "description": "default: live"},
        "starts": {**MOMENT, "description": "nobody enters before"},
        "ends": {**MOMENT, "description": "nobody enters then, or later"},
        "trigger": {**ref("trigger"), "description": "what lets a user in"},
        "audience": {**ref("condition"), "description": "who may enter; asked at entry"},
        "holdout": {**_PERCENT, "description": "so many percent are measured and never sent to"},
        "variants": {**_named(_PERCENT, HOLDOUT), "description": "by percent of the treated, 100 in all"},
        "with": {
            **_named(mapping({"last": TEXT}, ["last"]), *sorted(RESERVED)),
            "description": "what templates get the newest event of",
        },
        "steps": {**ref("steps"), "allOf": [ref("sending")]},
        "exit": {
            "description": "what ends a journey: one, or a list",
            "if": {"type": "array"},
            "then": {"items": ref("exit")},
            "else": ref("exit"),
        },
        "reenter": {
            "description": "whether who was in may enter again; must be written for events and schedules",
            "anyOf": [
                {"enum": list(REENTRIES)},
                mapping({"after": DURATION}, ["after"]),
                mapping({"each": _ONE_VALUE}, ["each"]),
            ],
        },
        "consent": {**TEXT, "not": {"const": "all"}, "description": "the topic"},
        "transactional": {"type": "boolean", "description": "true: asks for no consent, and nothing holds it back"},
        "quiet_hours": {
            "description": "when nothing is sent, by the user's clock; none, or default: the policy's",
            **_either("object", _QUIET, {"const": NO_QUIET}),
        },
        "max_delay": {**DURATION, "description": f"how late a send may be; default: {MAX_DELAY // HOUR}h"},
        "max_event_age": {**DURATION, "description": "how old a trigger may be when it arrives; default: the policy's"},
        "priority": {"type": "integer", "minimum": 0, "maximum": 100, "description": "what goes first; default: 50"},
        "on_unknown": {"enum": list(ON_UNKNOWN), "description": "what nobody knows to have gone out; default: skip"},
        "rate": mapping({"at_most": whole(1, MAX_RATE), "per": DURATION}, ["at_most", "per"]),
        "goals": {**_named(_goal()), "description": "what it is for"},
        "include_current": {"type": "boolean", "description": "the same as in the trigger"},
        "tracking": {**TRACKING_SCHEMA, "description": "opens and clicks; default: the policy's"},
        "critical": {"type": "boolean", "description": "true: it must have a service level"},
    }
    many = {"properties": {"trigger": {"anyOf": [has("schedule"), has("announcement")]}}}
    asked = {"properties": {"trigger": {"anyOf": [has("event"), has("schedule")]}}, **has("trigger")}
    current = {"properties": {"include_current": {"const": True}}, **has("include_current")}
    transactional = {"properties": {"transactional": {"const": True}}, **has("transactional")}
    return mapping(
        fields,
        REQUIRED,
        allOf=[
            {
                "if": transactional,
                "then": {"properties": {"consent": False, "holdout": False}},
                "else": has("consent"),
            },
            {"if": asked, "then": has("reenter")},
            {"if": {**many, **has("trigger")}, "then": has("audience"), "else": {"properties": {"rate": False}}},
            {"if": {"properties": {"trigger": current}, **has("trigger")}, "then": has("starts")},
            {"if": current, "then": has("starts")},
            {"if": has("include_current"), "then": {"properties": {"trigger": has("enters")}}},
        ],
    )


def _named(schema: Schema, *taken: str) -> Schema:
    """By names that are ids, without those that are taken."""
    names = {**ID, "not": {"enum": list(taken)}} if taken else ID
    return {"type": "object", "minProperties": 1, "propertyNames": names, "additionalProperties": schema}


def _goal() -> Schema:
    fields = {
        **event_filter(),
        "within": {**DURATION, "description": "how long it may take"},
        "after": {**DURATION, "description": "how long after the entry that begins"},
        "value": {**PATH, "description": "the path of what is added up"},
    }
    return mapping(fields, ["event", "within"])


def _programme_goal() -> Schema:
    return mapping({**event_filter(), "value": {**PATH, "description": "the path of what is added up"}}, ["event"])


def _trigger() -> Schema:
    event = event_filter()
    schedule = mapping(
        {"at": {"type": "string", "pattern": f"^({TIME_FORM}|{LOCAL_FORM})$"}, "cron": TEXT, "zone": _ZONE},
        if_={"properties": {"at": {"type": "string", "pattern": f"^{TIME_FORM}$"}}, **has("at")},
        then={"properties": {"zone": False}},
        **exactly_one(("at", "cron")),
    )
    schedule["if"] = schedule.pop("if_")
    fields = {**event, "announcement": event["event"], "schedule": schedule, "include_current": {"type": "boolean"}}
    with_event = {"anyOf": [has("event"), has("announcement")]}
    return _event_or_segment(
        fields,
        tuple(TRIGGERS),
        with_event,
        {"if": {"not": has("enters")}, "then": {"properties": {"include_current": False}}},
    )


def _event_or_segment(
    fields: dict[str, Schema], kinds: tuple[str, ...], with_event: Schema | None = None, *more: Schema
) -> Schema:
    """One of these keys; those without a schema of their own name a segment. What goes with events stands by one."""
    segments = {kind: TEXT for kind in kinds if kind not in fields}
    beside = {key: False for key in ("type", "where", "same") if key in fields}
    only = {"if": {"not": with_event or has("event")}, "then": {"properties": beside}}
    return mapping({**fields, **segments}, allOf=[only, *more], **exactly_one(kinds))


def _step() -> Schema:
    awaited = mapping({**event_filter(), "same": _ONE_VALUE}, ["event"])
    wait = mapping(
        {"until": _LOCAL_TIME, "zone": _ZONE, "for": awaited, "at_most": DURATION},
        **exactly_one(WAITS),
        allOf=[_beside("until", "zone"), _beside("for", "at_most"), {"if": has("for"), "then": has("at_most")}],
    )
    values = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": r"^(?!context\.|group\.|#)[\s\S]"},
        "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
    }
    by_variant = {"type": "object", "additionalProperties": _MESSAGES}
    fields: dict[str, Schema] = {
        "id": {"type": "string", **ID, "description": "what running journeys remember the step by"},
        "send": {
            "description": "a message, or a list of which the first that reaches is sent; or these by variant",
            **_either("object", by_variant, _MESSAGES),
        },
        "unless": {**ref("campaign_condition"), "description": "not sent where it holds"},
        "wait": {
            "description": "counts from the decision before; or until a time of the day, or for an event",
            **_either("object", wait, DURATION),
        },
        "if": ref("campaign_condition"),
        "then": ref("steps"),
        "else": ref("steps"),
        "set": {**values, "description": "attributes with their values"},
        "end": {"const": True},
    }
    beside = [_beside("send", "unless"), _beside("if", "then"), _beside("if", "else")]
    return mapping(fields, **exactly_one(STEPS), allOf=[*beside, {"if": has("if"), "then": has("then")}])


def _either(kind: str, one: Schema, other: Schema) -> Schema:
    """The first for values of a kind, the second for all others; so an editor says what is wrong with the one meant."""
    return {"if": {"type": kind}, "then": one, "else": other}


def _beside(key: str, other: str) -> Schema:
    return {"if": {"not": has(key)}, "then": {"properties": {other: False}}}


def _inside(key: str) -> Schema:
    """A step that sends something by one of those inside it."""
    return {"type": "object", "properties": {key: {"type": "array", **ref("sending")}}, **has(key)}


def _policies() -> Schema:
    channels = {"type": "array", "items": {"enum": list(installed())}, "minItems": 1}
    cap = {"channels": channels, "at_most": whole(1, MAX_CAPPED), "per": DURATION}
    return mapping(
        {
            "default_zone": {**TEXT, "description": "of the IANA database; default: UTC"},
            "default_locale": {"type": "string", "pattern": f"^{LOCALE_FORM}$", "description": "default: en"},
            "default_region": {
                "type": "string",
                "pattern": "^[A-Z]{2}$",
                "description": "of phone numbers that name none, such as JP; default: such numbers are no addresses",
            },
            "max_event_age": {**DURATION, "description": "how old a trigger may be when it arrives; default: 1h"},
            "settling": {
                "anyOf": [DURATION, {"const": "0s"}],
                "description": "how long what a new user lacks is waited for; default: 30s, and 0s not at all",
            },
            "retention": {**DURATION, "description": "how long the archive keeps events; default: for ever"},
            "sessions": {
                **mapping({"gap": DURATION}, ["gap"]),
                "description": "calls less than a gap apart end in an event `Session Ended`; default: no sessions",
            },
            "quiet_hours": {**_QUIET, "description": "those of campaigns that say nothing; default: none"},
            "global_holdout": {
                **mapping({"percent": _PERCENT, "salt": TEXT, "goals": _named(_programme_goal())}, ["percent", "salt"]),
                "description": "so many percent get nothing that is not transactional",
            },
            "frequency_caps": {
                "type": "array",
                "items": mapping(cap, list(cap)),
                "minItems": 1,
                "description": "how many messages somebody gets at most in any such time",
            },
            "preferences": {**preferences_schema(), "description": "the page on which people choose topics"},
            "tracking": {**tracking_policy_schema(), "description": "opens and clicks; default: neither"},
            "owners": {**owners_schema(), "description": "who answers for service levels"},
        }
    )
