"""What `todoke serve` says when it starts: where to send, with which key, and what a first event does."""

import json
import shlex
from collections.abc import Sequence, Set
from typing import Any, NamedTuple

from todoke.serve.options import ServeOptions
from transforms.campaigns.definitions import Campaign
from transforms.campaigns.load import Definitions, check
from transforms.events.plain import counted
from transforms.identity.channels import channels
from transforms.messages.needs import Need
from transforms.segments.conditions import ANY

__all__ = ["FirstEvent", "Shown", "curl_line", "first_event", "started_lines"]

#: Who sends the first event.
USER = "ada"
#: How consent is said (docs/reference/users.md).
CONSENT = "Consent Changed"


class Shown(NamedTuple):
    """Where it answers, and the key to show; None where the user has set keys, which are nobody's to show."""

    url: str
    key: str | None


class FirstEvent(NamedTuple):
    """The name of an event, what it concerns, and without which consent and properties nothing would come of it."""

    name: str
    concerns: str = ""
    grants: Sequence[dict[str, Any]] = ()
    needs: Sequence[str] = ()


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
            "traits": {"first_name": "Ada", "email": "ada@example.com"},
            "context": {"device": {"token": "ada-phone", "type": "android"}},
        },
        *({"type": "track", "userId": USER, "event": CONSENT, "properties": grant} for grant in first.grants),
        {"type": "track", "userId": USER, "event": first.name} | _properties(first),
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
        sent = {message for step in campaign.every_step for message in step.all_messages}
        said = f", concerns the campaign {campaign.id}", _grants(definitions, campaign, sent), _needs(definitions, sent)
        if trigger.kind == "event" and trigger.events is not None:
            at_once.append(FirstEvent(trigger.events.name, *said))
        elif trigger.kind == "enters":
            later += [FirstEvent(event, *said) for event in _events_of(definitions, trigger.segment)]
    for segment in definitions.segments:
        later += [FirstEvent(event, f", concerns the segment {segment}") for event in _events_of(definitions, segment)]
    return next((each for each in (*at_once, *later) if each.name != ANY), FirstEvent("Visited"))


def _events_of(definitions: Definitions, segment: str) -> list[str]:
    return sorted(definitions.only(segment).index.events)


def _grants(definitions: Definitions, campaign: Campaign, sent: Set[str]) -> list[dict[str, Any]]:
    """Consent for the channels of a campaign's messages that need it said."""
    used = sorted({definitions.messages[message].channel for message in sent})
    asked = [channel for channel in used if campaign.consent is not None and not channels()[channel].granted]
    return [{"topic": campaign.consent, "channel": channel, "granted": True} for channel in asked]


def _needs(definitions: Definitions, sent: Set[str]) -> list[str]:
    """The properties of events that some of these messages cannot be made without."""
    needs: list[Need] = []
    check(definitions.texts, needs)
    return sorted({need.name for need in needs if need.root == "event" and need.message in sent})


def _properties(first: FirstEvent) -> dict[str, Any]:
    """Values for them: a number is a text as well, and can be counted with."""
    return {"properties": dict.fromkeys(first.needs, 1)} if first.needs else {}
