"""One behaviour event, after decoding: the shape that every later step works on."""

from typing import Any

import msgspec

__all__ = ["CALLS", "GROUP", "RECEIPT", "SESSION", "SESSION_ENDED", "SET", "TOKEN_LOST", "Event"]

#: The types that `event: any` counts, and of which sessions are made.
CALLS = ("track", "page", "screen")

#: The type that says to which group a user belongs; `event: any` does not count it.
GROUP = "group"

#: The type of what became of a send, told as an event of its user; `event: any` does not count it.
RECEIPT = "receipt"
#: The type and the name of what the state machine says at the end of a session; `event: any` does not count it.
SESSION = "session"
SESSION_ENDED = "Session Ended"
#: What else the archive holds, so that a user can be made of it; no condition counts these: attributes that a step of a
#: campaign set (`traits`), and a device token (`token` of the properties) that somebody else registered.
SET, TOKEN_LOST = "set", "token_lost"


class Event(msgspec.Struct, frozen=True, tag="event", tag_field="input", array_like=True, gc=False):
    """A decoded Segment call.

    Times are integer microseconds since the Unix epoch, UTC. `time` is when it happened (corrected for the
    device's clock, never after `arrival`); `arrival` is when it reached us (Pub/Sub's publish time; in files
    see `decode`).

    `name` is the event's name for track, page and screen, and empty for identify, group, alias and delete.
    `user` is None for an anonymous-only call, `anonymous` is None where the call has no anonymous id; one of
    them is always there, but in announcements, which concern no user. `previous` is alias's previousId; of another
    call it is the user who asks whether a copy of it counts elsewhere (see `users.advance`).
    """

    id: str
    type: str
    name: str
    time: int
    arrival: int
    user: str | None = None
    anonymous: str | None = None
    previous: str | None = None
    properties: dict[str, Any] = {}
    traits: dict[str, Any] = {}
    context: dict[str, Any] = {}
    #: True for backfilled and imported events: they change state and never send.
    historical: bool = False
    #: With what a live run on one machine acknowledges the message (see `live.inflight`), else empty.
    handle: str = ""
    #: The groupId of a group call, whose `traits` are the group's.
    group: str | None = None
    #: What the call says of other services: nothing here reads it, and the archive keeps it.
    integrations: Any = None
