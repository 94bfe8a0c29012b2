"""The calls of the Segment spec on the wire: JSON objects, distinguished by `type`.

Source: segment.com/docs/connections/spec (common fields, track, identify, group, alias, page, screen); `delete` is ours
and deletes the user. Unknown fields are ignored. Null counts as absent. Times are kept as they came, for `decode` to
read, so that an unreadable one has its own cause. docs/reference/events.md says what becomes of each field.
"""

from typing import Any

import msgspec

__all__ = [
    "TYPES",
    "AliasCall",
    "Call",
    "DeleteCall",
    "GroupCall",
    "Id",
    "IdentifyCall",
    "PageCall",
    "ScreenCall",
    "TrackCall",
    "WireCall",
]


#: An id: an integer is its decimal text.
Id = str | int | None


class WireCall(msgspec.Struct, rename="camel", tag_field="type", frozen=True):
    """What all calls have.

    `arrival` and `historical` are not in the spec: an export of the archive has them.
    """

    message_id: Id = None
    user_id: Id = None
    anonymous_id: Id = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None
    received_at: Any = None
    arrival: Any = None
    historical: bool | None = None
    context: dict[str, Any] | None = None
    integrations: Any = None


class TrackCall(WireCall, tag="track", frozen=True):
    """Somebody did something."""

    event: str | None = None
    properties: dict[str, Any] | None = None


class PageCall(WireCall, tag="page", frozen=True):
    """Somebody saw a page of a web site."""

    name: str | None = None
    properties: dict[str, Any] | None = None


class ScreenCall(WireCall, tag="screen", frozen=True):
    """Somebody saw a screen of an app."""

    name: str | None = None
    properties: dict[str, Any] | None = None


class IdentifyCall(WireCall, tag="identify", frozen=True):
    """Who somebody is, and what is known about them."""

    traits: dict[str, Any] | None = None


class GroupCall(WireCall, tag="group", frozen=True):
    """The group that somebody belongs to, such as a company, and what is known about it."""

    group_id: Id = None
    traits: dict[str, Any] | None = None


class AliasCall(WireCall, tag="alias", frozen=True):
    """Two ids belong to one user."""

    previous_id: Id = None


class DeleteCall(WireCall, tag="delete", frozen=True):
    """Everything about a user is to be deleted."""


Call = TrackCall | PageCall | ScreenCall | IdentifyCall | GroupCall | AliasCall | DeleteCall

#: The `type` of each kind of call; a message with any other `type` is a dead letter.
TYPES: dict[type[Call], str] = {
    TrackCall: "track",
    PageCall: "page",
    ScreenCall: "screen",
    IdentifyCall: "identify",
    GroupCall: "group",
    AliasCall: "alias",
    DeleteCall: "delete",
}
