"""What `todoke serve` says when it starts: where to send, with which key, and what a first event does."""

import json
import shlex
from typing import Any, NamedTuple

from todoke.serve.options import ServeOptions
from transforms.campaigns.load import Definitions
from transforms.events.plain import counted
from transforms.segments.conditions import ANY

__all__ = ["Shown", "curl_line", "first_event", "started_lines"]

#: Who sends the first event.
USER = "ada"


class Shown(NamedTuple):
    """Where it answers, and the key to show; None where the user has set keys, which are nobody's to show."""

    url: str
    key: str | None


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
    event, then = first_event(definitions)
    lines += ["", f"A first event, `{event}`{then}:", "", *curl_line(event, shown), ""]
    lines.append(f"  todoke user {USER} --store {shlex.quote(options.store)}   shows what became of it.")
    lines.append(f"  Messages of channels that were not named are written to {options.outbox}/.")
    return lines


def curl_line(event: str, shown: Shown) -> list[str]:
    """A command that introduces a user and sends an event, to be pasted into a shell."""
    batch: list[dict[str, Any]] = [
        {
            "type": "identify",
            "userId": USER,
            "traits": {"first_name": "Ada", "email": "ada@example.com"},
            "context": {"device": {"token": "ada-phone", "type": "android"}},
        },
        {"type": "track", "userId": USER, "event": event},
    ]
    key = shlex.quote(f"{shown.key}:") if shown.key is not None else '"$WRITE_KEY:"'
    calls = ",\n  ".join(json.dumps(call, ensure_ascii=False) for call in batch)
    body = shlex.quote(f'{{"batch": [\n  {calls}]}}')
    return [*f"curl -u {key} {shown.url}/v1/batch -d {body}".splitlines()]


def first_event(definitions: Definitions) -> tuple[str, str]:
    """The name of an event that does something by these definitions, and what: a campaign is better than a segment."""
    found = [
        (event, f", concerns the segment {segment.id}")
        for segment in definitions.segments.values()
        for event in _events_of(definitions, segment.id)
    ]
    for campaign in definitions.campaigns.values():
        trigger = campaign.trigger
        said = f", concerns the campaign {campaign.id}"
        if trigger.kind == "event" and trigger.events is not None:
            return trigger.events.name, said
        if trigger.kind == "enters":
            found = [(event, said) for event in _events_of(definitions, trigger.segment)[:1]] + found
    return next(iter(found), ("Visited", ""))


def _events_of(definitions: Definitions, segment: str) -> list[str]:
    return sorted(event for event in definitions.only(segment).index.events if event != ANY)
