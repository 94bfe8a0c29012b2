"""Decoded events as the calls that they were, in the form that is read."""

from typing import Any

from transforms.events.event import Event
from transforms.events.times import write_time

__all__ = ["OBJECTS", "call_of"]

#: The fields of a call that are objects of any content.
OBJECTS = ("properties", "traits", "context", "integrations")


def call_of(event: Event) -> dict[str, Any] | None:
    """An event as the call that it was, with its arrival; None for an alias that does not say of whom.

    The time is as it was corrected when the call was decoded: it stands in `timestamp`, and nothing corrects it again.
    """
    call: dict[str, Any] = {
        "type": event.type,
        "messageId": event.id,
        "userId": event.user,
        "anonymousId": event.anonymous,
        "groupId": event.group,
    }
    if event.type == "alias":
        if event.previous is None:
            return None
        call["previousId"] = event.previous
    elif event.name:
        call["name" if event.type in ("page", "screen") else "event"] = event.name
    contents = {name: getattr(event, name) for name in OBJECTS}
    if event.type == "alias":
        del contents["properties"]
    call |= {name: said for name, said in contents.items() if said or (name == "integrations" and said is not None)}
    call |= {"timestamp": write_time(event.time), "arrival": write_time(event.arrival)}
    call |= {"historical": True} if event.historical else {}
    return {name: said for name, said in call.items() if said is not None}
