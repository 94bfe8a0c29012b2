"""One behaviour event, after decoding: the shape that every later step works on."""

from typing import Any

import msgspec

__all__ = ["CALLS", "GROUP", "RECEIPT", "SESSION", "SESSION_ENDED", "SET", "TOKEN_LOST", "Event"]

#: The types that `event: any` counts, and that make sessions.
CALLS = ("track", "page", "screen")

#: The type that says which group a user belongs to; `event: any` does not count it.
GROUP = "group"

#: The type of a receipt, what became of a send, as an event of its user; `event: any` does not count it.
RECEIPT = "receipt"
#: The type and the name of the event at the end of a session; `event: any` does not count it.
SESSION = "session"
SESSION_ENDED = "Session Ended"
#: Types that only the archive holds, so that a user can be made from it; no condition counts them: attributes that a
#: campaign's step set (`traits`), and a device token that somebody else registered (`token` of the properties).
SET, TOKEN_LOST = "set", "token_lost"


class Event(msgspec.Struct, frozen=True, tag="event", tag_field="input", array_like=True, gc=False):
    """A decoded Segment call.

    Times are integer microseconds since the Unix epoch, UTC. `time` is when it happened (corrected for the
    device's clock, never after `arrival`); `arrival` is when it reached us (Pub/Sub's publish time; in files
    see `decode`).

    `name` is the event's name for track, page and screen, and empty for identify, group, alias and delete.
    `user` is None for an anonymous-only call, `anonymous` is None where the call has no anonymous id; one of them is
    always there, except in announcements, which concern no user. `previous` is the previousId of an alias; in another
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
    #: By this a live job on one machine acknowledges the message (see `live.inflight`); else empty.
    handle: str = ""
    #: The groupId of a group call, whose `traits` are the group's.
    group: str | None = None
    #: What the call says about other services: nothing here reads it, and the archive keeps it.
    integrations: Any = None
