"""What comes out of the state machine about one user. Times are microseconds since the epoch, UTC."""

import msgspec

from transforms.campaigns.effects import CampaignEntered, Converted, Send, Suppressed
from transforms.events.event import Event
from transforms.users.user import Input

__all__ = [
    "OUTCOMES",
    "Account",
    "Deleted",
    "Effect",
    "Faulted",
    "Forward",
    "Linked",
    "Merged",
    "ProfileChanged",
    "Recorded",
    "Redeliver",
    "SegmentEntered",
    "SegmentLeft",
    "Truncated",
]

#: How a message that was read can end; every one ends as exactly one of them (`later` only with an as-of time).
OUTCOMES = ("applied", "duplicate", "deleted", "dead_letter", "later")


class SegmentEntered(msgspec.Struct, frozen=True, tag="segment_entered", gc=False):
    """A user became a member. `cause` is event, time, historical, merge, token, seed, definition, step or truncated."""

    segment: str
    user: str
    at: int
    cause: str


class SegmentLeft(msgspec.Struct, frozen=True, tag="segment_left", gc=False):
    """A user is a member no longer."""

    segment: str
    user: str
    at: int
    cause: str


class ProfileChanged(msgspec.Struct, frozen=True, tag="profile_changed", gc=False):
    """Facts about a user changed; `names` are those of attributes, `#reachable` and `#consent`."""

    user: str
    at: int
    names: tuple[str, ...]


class Linked(msgspec.Struct, frozen=True, tag="linked", gc=False):
    """An anonymous id, former user id, token or address is this user's. `time` is that of the registering event."""

    kind: str
    value: str
    user: str
    time: int


class Merged(msgspec.Struct, frozen=True, tag="merged", gc=False):
    """The state of another id became part of a user's."""

    user: str
    source: str
    at: int


class Deleted(msgspec.Struct, frozen=True, tag="deleted", gc=False):
    """A user is to be forgotten: every row of `users` (the user and all merged ids) goes, but for tombstones.

    If a past comes after its deletion, `users` are the ids of that past.

    `time` is that of the deletion, `at` when it was carried out.
    """

    user: str
    at: int
    users: tuple[str, ...]
    segments: tuple[str, ...]
    identities: tuple[tuple[str, str], ...]
    time: int = 0


class Recorded(msgspec.Struct, frozen=True, tag="recorded", gc=False):
    """An event became part of a user's history and belongs into the archive."""

    user: str
    event: Event


class Account(msgspec.Struct, frozen=True, tag="account", gc=False):
    """How one message ended: one of `OUTCOMES`; a dead letter comes with its cause and the event.

    `control` is set for messages of the control topic, which have accounts of their own.
    """

    outcome: str
    message: str
    cause: str = ""
    event: Event | None = None
    control: bool = False


class Truncated(msgspec.Struct, frozen=True, tag="truncated", gc=False):
    """How many things of one kind were dropped from a user's state, since it was too large (see `size_limit`)."""

    user: str
    kind: str
    count: int
    at: int


class Faulted(msgspec.Struct, frozen=True, tag="faulted", gc=False):
    """Something failed when its time came, and was dropped: a leaf, a wait, an occurrence or a session."""

    user: str
    what: str
    at: int


class Forward(msgspec.Struct, frozen=True, tag="forward", gc=False):
    """An input that goes on to the user into whom this id was merged."""

    user: str
    input: Input


class Redeliver(msgspec.Struct, frozen=True, tag="again", gc=False):
    """An open send that was decided before is given out once more."""

    send: Send


Effect = (
    Account
    | Recorded
    | ProfileChanged
    | Linked
    | SegmentEntered
    | SegmentLeft
    | CampaignEntered
    | Converted
    | Send
    | Suppressed
    | Merged
    | Deleted
    | Forward
    | Redeliver
    | Truncated
    | Faulted
)
