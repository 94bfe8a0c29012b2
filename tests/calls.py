"""Calls of a user `u` as plain data, and the oracle's answer to one condition about them."""

from collections.abc import Iterable
from typing import Any

from oracle import instant, memberships

__all__ = ["DAY", "HOUR", "NOON", "at", "call", "consent", "identify", "is_member", "track"]

Plain = dict[str, Any]

NOON = "2026-03-10T12:00:00Z"
HOUR = 3_600_000_000
DAY = 24 * HOUR


def at(text: str) -> int:
    moment = instant(text)
    assert moment is not None
    return moment


def call(type_: str, time: str, /, **fields: Any) -> Plain:
    """A message of user `u`, arriving when it happens, unless `fields` say otherwise."""
    whose = {} if "anonymousId" in fields else {"userId": "u"}
    message_id = f"{type_}-{time}-{fields.get('event', '')}"
    return {"type": type_, "messageId": message_id, "timestamp": time, "arrival": time} | whose | fields


def track(name: str, time: str = NOON, /, **fields: Any) -> Plain:
    return call("track", time, event=name, **fields)


def identify(traits: Plain, time: str = NOON, /, **fields: Any) -> Plain:
    return call("identify", time, traits=traits, **fields)


def consent(topic: str, channel: str, granted: bool, time: str = NOON, /, **fields: Any) -> Plain:
    properties = {"topic": topic, "channel": channel, "granted": granted}
    return track("Consent Changed", time, properties=properties, **fields)


def is_member(
    condition: Plain, history: Iterable[Plain], as_of: int | str = NOON, zone: str = "UTC", profile: str = "u"
) -> bool:
    rules = {"segments": {"s": {"members": condition}}, "policies": {"default_zone": zone}}
    now = at(as_of) if isinstance(as_of, str) else as_of
    return "s" in memberships(rules, list(history), now)[profile]
