"""Dead letters as rows of the store: named by what was refused, with the user if one can be read."""

import re
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
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
#: So many bytes of a payload that is no JSON are searched for ids, and of each name so many places at most.
_SEARCHED, _MATCHES = 10_000_000, 1_000

#: The prefix of the key of an anonymous id.
_ANONYMOUS = "~"


class _Named(msgspec.Struct, rename="camel"):
    """Whom a message names: a call, an input of the control topic, or (without `Id`) an event that was decoded once."""

    user_id: Any = None
    anonymous_id: Any = None
    previous_id: Any = None
    user: Any = None
    anonymous: Any = None
    previous: Any = None


_decoder = msgspec.json.Decoder(_Named | str)
#: What names somebody, behind the name of the field, in text that is no JSON, or only begins as JSON.
_SAID = re.compile(rb'\s{0,64}:\s{0,64}("(?:[^"\\]|\\.){1,1024}"|-?\d{1,20}(?![\d.eE]))')
_VISITOR = b"anonymousId"
_NAMES = (b"userId", _VISITOR, b"previousId")
#: How an escape of JSON begins that may stand for a letter of a name.
_ESCAPE = b"\\u00"
#: The names where some of their letters are escapes.
_ESCAPED = {
    name: re.compile(b'"%b"' % b"".join(rb"(?:%c|\\u00(?i:%02x))" % (letter, letter) for letter in name))
    for name in _NAMES
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

    A message that names nobody where it should is searched for the names of the fields, within bounds; the outermost
    counts.
    """
    try:
        found = _decoder.decode(payload.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _searched(payload)
    if isinstance(found, str):  # JSON within JSON
        return _searched(found.encode())
    ids = (found.user_id, found.anonymous_id, found.previous_id)
    return _key(*ids) or _key(found.user, found.anonymous, found.previous) or _searched(payload)


def _searched(payload: bytes) -> str:
    payload = payload[:_SEARCHED]
    for name in _NAMES:
        if text := _outermost(payload, name):
            return _ANONYMOUS + text if name == _VISITOR else text
    return ""


def _outermost(payload: bytes, name: bytes) -> str:
    """The outermost id that text says after a name, the first of several; empty where it says none."""
    found, least, depth, counted_to = "", 0, 0, 0
    for place, end in islice(_places(payload, name), _MATCHES):
        if not (text := _id_said(payload, end)):
            continue
        # Of brackets within texts nobody can be sure, where it is no JSON.
        depth += sum(payload.count(mark, counted_to, place) for mark in (b"{", b"["))
        depth -= sum(payload.count(mark, counted_to, place) for mark in (b"}", b"]"))
        counted_to = place
        if not found or depth < least:
            found, least = text, depth
        if depth <= 1:
            break
    return found


def _places(payload: bytes, name: bytes) -> Iterator[tuple[int, int]]:
    """Where a name stands in quotes: where that begins, and ends."""
    if _ESCAPE in payload:
        for found in _ESCAPED[name].finditer(payload):
            yield found.span()
        return
    said, end = b'"%b"' % name, 0
    while (place := payload.find(said, end)) >= 0:
        end = place + len(said)
        yield place, end


def _id_said(payload: bytes, start: int) -> str:
    said = _SAID.match(payload, start)
    try:
        return "" if said is None else _id(msgspec.json.decode(said[1]))
    except ValueError:  # msgspec's own errors are, and the one for bytes that are no UTF-8
        return ""


def _key(user: Any, anonymous: Any, previous: Any) -> str:
    """The key by ids as they are said; that of an alias which says only whose it was is theirs."""
    visitor = _id(anonymous)
    return _id(user) or (_ANONYMOUS + visitor if visitor else _id(previous))


def _id(said: Any) -> str:
    """An id as text; empty if it names nobody."""
    text = _text(str(said)) if isinstance(said, str | int) and not isinstance(said, bool) else ""
    return text if len(text.encode()) <= MAX_ID_BYTES else ""


def _text(said: str) -> str:
    """Text that stores take: a file's name may have bytes that are no text."""
    return said.encode(errors="replace").decode()
