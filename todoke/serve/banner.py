"""What `todoke serve` says when it starts: where to send, with which key, and what a first event does."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from todoke.serve.options import ServeOptions
from transforms.campaigns.definitions import Campaign
from transforms.campaigns.load import Definitions, check
from transforms.events.plain import counted
from transforms.identity.channels import channels
from transforms.messages.needs import Need
from transforms.segments.conditions import ANY, EventFilter
from transforms.segments.operators import Operator

__all__ = ["FirstEvent", "Shown", "curl_line", "first_event", "started_lines"]

#: Who sends the first event.
USER = "ada"
#: What is known of them anyway, and what a channel may ask besides.
TRAITS = {"first_name": "Ada", "email": "ada@example.com"}
ADDRESSES = {"phone": "+12025550123", "line_id": "U" + "1" * 32}
#: Values that templates have of every user.
OWN = {"id", "context"}
#: Operators that hold of their own operand.
_VALUES = ("is", "at_least", "at_most")
#: How consent is said (docs/reference/users.md).
CONSENT = "Consent Changed"


class Shown(NamedTuple):
    """Where it answers, and the key to show; None where the user has set keys, which are nobody's to show."""

    url: str
    key: str | None


class FirstEvent(NamedTuple):
    """The name of an event, what it concerns, and without which consent, traits and properties nothing comes of it.

    Where any value will do it is 1: a number is a text as well, and can be counted with.
    """

    name: str
    concerns: str = ""
    grants: Sequence[dict[str, Any]] = ()
    traits: Mapping[str, Any] = {}
    properties: Mapping[str, Any] = {}


def started_lines(options: ServeOptions, definitions: Definitions, shown: Shown) -> list[str]:
    """All that is said, line by line."""
    what = [
        counted(len(definitions.segments), "segment"),
        counted(len(definitions.campaigns), "campaign"),
        counted(len(definitions.messages), "message"),
    ]
    lines = [
        f"todoke serves {options.definitions}: {', '.join(what)}",
        f"  send to   {shown.url}   with any SDK of Segment or RudderStack",
        f"  look at   {shown.url}/",
        f"  data      {options.data}",
    ]
    if shown.key is not None:
        lines.insert(2, f"  write key {shown.key}")
    first = first_event(definitions)
    lines += ["", f"A first event, `{first.name}`{first.concerns}:", "", *curl_line(first, shown), ""]
    lines.append(f"  todoke user {USER} --store {shlex.quote(options.store)}   shows what became of it.")
    lines.append(f"  Messages of channels that were not named are written to {options.outbox}/.")
    return lines


def curl_line(first: FirstEvent, shown: Shown) -> list[str]:
    """A command that introduces a user, gives the consent that is needed, and sends an event: for a shell."""
    batch: list[dict[str, Any]] = [
        {
            "type": "identify",
            "userId": USER,
            "traits": {**TRAITS, **first.traits},
            "context": {"device": {"token": "ada-phone", "type": "android"}},
        },
        *({"type": "track", "userId": USER, "event": CONSENT, "properties": grant} for grant in first.grants),
        {"type": "track", "userId": USER, "event": first.name}
        | ({"properties": first.properties} if first.properties else {}),
    ]
    key = shlex.quote(f"{shown.key}:") if shown.key is not None else '"$WRITE_KEY:"'
    calls = ",\n  ".join(json.dumps(call, ensure_ascii=False) for call in batch)
    body = shlex.quote(f'{{"batch": [\n  {calls}]}}')
    return f"curl -u {key} {shown.url}/v1/batch -d {body}".splitlines()


def first_event(definitions: Definitions) -> FirstEvent:
    """An event that does something by these definitions: best is one that begins a campaign at once."""
    at_once, later = [], []
    for campaign in definitions.campaigns.values():
        trigger = campaign.trigger
        said = f", concerns the campaign {campaign.id}", *_asked(definitions, campaign)
        if trigger.kind == "event" and trigger.events is not None:
            at_once.append(_triggering(trigger.events, FirstEvent(trigger.events.name, *said)))
        elif trigger.kind == "enters":
            later += [FirstEvent(event, *said) for event in _events_of(definitions, trigger.segment)]
    for segment in definitions.segments:
        later += [FirstEvent(event, f", concerns the segment {segment}") for event in _events_of(definitions, segment)]
    return next((each for each in (*at_once, *later) if each.name != ANY), FirstEvent("Visited"))


def _triggering(events: EventFilter, first: FirstEvent) -> FirstEvent:
    """An event with the properties that `where` asks for, as far as its operands are values themselves."""
    asked = {
        path: test.operand
        for path, test in events.where
        if isinstance(test, Operator) and test.name in _VALUES and "." not in path and "[" not in path
    }
    said = first.concerns
    if len(asked) < len(events.where):
        said = f", with the properties that its `where` asks for{said}"
    return first._replace(concerns=said, properties={**first.properties, **asked})


def _events_of(definitions: Definitions, segment: str) -> list[str]:
    return sorted(definitions.only(segment).index.events)


def _asked(definitions: Definitions, campaign: Campaign) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """The consent, traits and properties that a campaign's messages need."""
    sent = {message for step in campaign.every_step for message in step.all_messages}
    used = {name: channels()[name] for name in sorted({definitions.messages[message].channel for message in sent})}
    grants = [
        {"topic": campaign.consent, "channel": name, "granted": True}
        for name, channel in used.items()
        if campaign.consent is not None and not channel.granted
    ]
    needs: list[Need] = []
    check(definitions.texts, needs)
    named = sorted({(need.root, need.name) for need in needs if need.message in sent})
    traits: dict[str, Any] = {name: 1 for root, name in named if root == "user" and name not in {*OWN, *TRAITS}}
    reads = {fact for channel in used.values() for fact in channel.reads}
    traits |= {name: value for name, value in ADDRESSES.items() if name in reads}
    return grants, traits, {name: 1 for root, name in named if root == "event"}
