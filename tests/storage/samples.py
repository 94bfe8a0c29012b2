"""Rows with everything filled in, and ids that a careless key would mix up."""

from typing import Any

from transforms.storage.rows import (
    DeadLetterRow,
    EventRow,
    IdentityRow,
    InboxRow,
    LeaseRow,
    LedgerRow,
    MemberRow,
    UserRow,
)

__all__ = ["HOSTILE", "NOW", "event", "identity", "inbox", "lease", "letter", "member", "sent", "user"]

#: 2026-02-25T06:13:20Z.
NOW = 1_772_000_000_000_000

#: Separators, escapes, NUL, wildcards, prefixes of each other, the longest ids that are accepted.
HOSTILE = [
    "a",
    "a#",
    "a#b",
    "a##b",
    "ab",
    "#",
    "##",
    "\0",
    "a\0",
    "a\0b",
    "$",
    "a$c",
    "a$cb",
    "$@",
    "~a",
    " a",
    "a ",
    "a\n",
    "%",
    "_",
    "a*",
    "a/b",
    "A",
    "'); DROP TABLE users; --",
    "é",
    "e\u0301",
    "届け",
    "\U0010ffff",
    "x" * 255,
    "x" * 256,
    "語" * 85,
    "\0" * 256,
    "#" * 256,
]


def user(name: str, version: int = 1, **changes: Any) -> UserRow:
    fields = {"state": f"state {version} of {name}".encode() + b"\0\xff", "profile": b"{}", "deadline": None}
    return UserRow(user=name, version=version, **{**fields, **changes})


def event(name: str, time: int = NOW, message: str = "m1", **changes: Any) -> EventRow:
    fields = {"arrival": time + 5, "type": "track", "source": "live", "payload": b'{"a": 1}'}
    return EventRow(user=name, time=time, id=message, name="Order Completed", **{**fields, **changes})


def inbox(name: str, at: int = NOW, send: str = "s1", **changes: Any) -> InboxRow:
    texts = {"campaign": "gift", "step": "one", "title": "A gift", "body": "", "image": "", "deep_link": ""}
    return InboxRow(user=name, at=at, send=send, **{**texts, "data": b"{}", "expires": 0, **changes})


def identity(value: str, owner: str, version: int = 1, kind: str = "anonymous") -> IdentityRow:
    return IdentityRow(kind, value, owner, version)


def lease(token: str, until: int = NOW) -> LeaseRow:
    return LeaseRow("a live job", "host/boot/processes", 7, "1234", token, NOW - 5, until)


def letter(number: int = 1, name: str = "", time: int = NOW, **changes: Any) -> DeadLetterRow:
    fields: dict[str, Any] = {
        "arrived": time - 7,
        "source": "events.jsonl",
        "cause": "invalid",
        "detail": "no id",
        "payload": b'{"a": 1}',
        "size": 8,
    }
    return DeadLetterRow(time=time, id=changes.pop("id", f"l{number:05}"), user=name, **{**fields, **changes})


def member(segment: str, name: str, version: int = 1, *, active: bool = True) -> MemberRow:
    return MemberRow(segment, name, NOW, version, active)


def sent(name: str, send: str = "s1", state: str = "claimed", **changes: Any) -> LedgerRow:
    fields = {"campaign": "win_back", "step": "push", "channel": "push", "decided_at": NOW, "at": NOW}
    return LedgerRow(user=name, send=send, state=state, **{**fields, **changes})
