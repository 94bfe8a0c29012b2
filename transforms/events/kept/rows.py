"""Dead letters as rows of the store: named by what was refused, with the user if one can be read."""

import re
from hashlib import blake2b
from typing import Any

import msgspec

from transforms.events.dead_letter import DeadLetter
from transforms.events.ids import MAX_ID_BYTES
from transforms.storage.rows import DeadLetterRow

__all__ = ["BEGINNING", "WHOLE", "kept", "named_user"]

#: A payload of at most this many bytes is kept whole; an event cannot be larger (`decode`). A larger payload is cut.
WHOLE, BEGINNING = 1_000_000, 64_000
#: How many characters are kept of a detail, which may be a traceback: the last ones.
_DETAIL = 8_000

#: Sources that are parts of the product: what comes from there is no message of the events' topic, and is not replayed
#: as such.
_NOT_OUTSIDE = ("advance", "control")

#: The prefix of the key of an anonymous id.
_ANONYMOUS = "~"


class _Named(msgspec.Struct, rename="camel"):
    """Whom a message names: a call, an input of the control topic, or (without `Id`) an event that was decoded once."""

    user_id: Any = None
    anonymous_id: Any = None
    user: Any = None
    anonymous: Any = None


_decoder = msgspec.json.Decoder(_Named)
#: The same in text that is no JSON, or only begins as JSON.
_NAMED = {
    name: re.compile(rb'"%s"\s*:\s*("(?:[^"\\]|\\.){1,1024}"|-?\d{1,20})' % name.encode())
    for name in ("userId", "anonymousId")
}


def kept(letter: DeadLetter, now: int) -> DeadLetterRow:
    """A letter as its row, refused at `now` (microseconds UTC); of the same id for the same refusal of the same
    message, however often that happens, and from wherever it comes: what was replayed comes from elsewhere."""
    payload, source, cause = letter.payload, _text(letter.source), _text(letter.cause)
    name = blake2b(digest_size=12)
    for part in ((source if source in _NOT_OUTSIDE else "").encode(), cause.encode(), payload):
        name.update(len(part).to_bytes(8, "big") + part)
    return DeadLetterRow(
        time=now,
        id=name.hexdigest(),
        arrived=letter.time,
        user=named_user(payload),
        source=source,
        cause=cause,
        detail=_text(letter.detail[-_DETAIL:]),
        payload=payload if len(payload) <= WHOLE else payload[:BEGINNING],
        size=len(payload),
    )


def named_user(payload: bytes) -> str:
    """The key of the user whom a message names, `~` and an anonymous id for a visitor; empty if none can be read.

    A payload that is no JSON is searched for the names of the fields.
    """
    payload = payload if len(payload) <= WHOLE else payload[:BEGINNING]
    try:
        found = _decoder.decode(payload.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        user, anonymous = (_searched(pattern, payload) for pattern in _NAMED.values())
    else:
        user, anonymous = _id(found.user_id) or _id(found.user), _id(found.anonymous_id) or _id(found.anonymous)
    return user or (_ANONYMOUS + anonymous if anonymous else "")


def _searched(pattern: re.Pattern[bytes], payload: bytes) -> str:
    match = pattern.search(payload)
    try:
        return "" if match is None else _id(msgspec.json.decode(match[1]))
    except ValueError:  # msgspec's own errors are, and the one for bytes that are no UTF-8
        return ""


def _id(said: Any) -> str:
    """An id as text; empty if it names nobody."""
    text = _text(str(said)) if isinstance(said, str | int) and not isinstance(said, bool) else ""
    return text if len(text.encode()) <= MAX_ID_BYTES else ""


def _text(said: str) -> str:
    """Text that stores take: a file's name may have bytes that are no text."""
    return said.encode(errors="replace").decode()
