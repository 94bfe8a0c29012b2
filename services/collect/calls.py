"""From a call as an SDK sent it to the message that is published, or to the reason why not.

Times are microseconds since the epoch, UTC. What a call says stays as it is, byte for byte, but for the fields that
stand here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec

from services.collect.request import CALL_BYTES, KINDS, Body
from services.sink import KeyedPayload
from transforms.events.decode import Cause, Refused, decode_announced
from transforms.events.times import time_text

__all__ = ["Bad", "Sent", "never", "prepared"]

#: An empty one of these is none: SDKs for browsers send an empty userId for visitors.
_MAY_BE_EMPTY = (
    "messageId",
    "userId",
    "anonymousId",
    "groupId",
    "previousId",
    "timestamp",
    "originalTimestamp",
    "sentAt",
)
_EMPTY = (b'""', b"null")
#: What is told at a glance to be no delete.
_KINDS = frozenset(f'"{kind}"'.encode() for kind in KINDS.values())
#: What is ours to say, or nobody's to know.
_NOT_THEIRS = ("writeKey", "arrival", "receivedAt")
#: The name that RudderStack's SDK for Go gives itself; so does Segment's, which sends `timestamp`.
_GO = "analytics-go"

_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Sent(NamedTuple):
    """How calls came: the path's kind (None: each says it), what stood around them, the source, and when, twice."""

    kind: str | None
    around: Body
    source: str
    received: int
    at: str

    @classmethod
    def now(cls, kind: str | None, around: Body, source: str, received: int) -> "Sent":
        """With the time as text, which no two requests share."""
        return cls(kind, around, source, received, time_text(received))


class Bad(NamedTuple):
    """A refused call: the cause (`decode.Cause`), what was found, and what is kept as a dead letter, if anything."""

    cause: str
    detail: str
    payload: bytes | None


def never(_: str) -> bool:
    """No event is announced to everybody."""
    return False


def prepared(raw: bytes, sent: Sent, announced: Callable[[str], bool] = never) -> KeyedPayload | Bad:
    """A call as the message that is published.

    Fields of the batch are merged down, where a call's own win. `messageId` is made where there is none; `receivedAt`
    and `context.source` are ours. Of two times `timestamp` is the call's, for the job to correct by `sentAt`: what
    comes from an SDK was not corrected by anybody, though `originalTimestamp` beside it would say so.

    Args:
      announced: says of an event's name whether it may come without ids, for everybody.
    """
    try:
        call: dict[str, Any] = dict(_fields(raw))
    except msgspec.DecodeError as error:
        return Bad(Cause.INVALID, str(error), bytes(raw))
    except RecursionError as error:
        return Bad(Cause.TOO_DEEP, str(error), bytes(raw))
    try:
        return _message(call, len(raw), sent, announced)
    except Refused as refused:
        return Bad(refused.cause, refused.detail, _letter(call, raw))


def _message(call: dict[str, Any], size: int, sent: Sent, announced: Callable[[str], bool]) -> KeyedPayload | Bad:
    for name in _NOT_THEIRS:
        call.pop(name, None)
    if sent.kind is not None:
        call["type"] = sent.kind
    elif _is_delete(call.get("type")):  # keys of browsers are public; nor may a letter of it be sent again
        return Bad(Cause.UNKNOWN_TYPE, "a delete is not taken here: `todoke users delete` deletes", None)
    if size > CALL_BYTES:
        raise Refused(Cause.TOO_LARGE, f"{size:,} bytes; a call has at most {CALL_BYTES:,}")
    _merge(call, sent.around)
    for name in _MAY_BE_EMPTY:
        if (value := call.get(name)) is not None and isinstance(value, msgspec.Raw) and bytes(value) in _EMPTY:
            del call[name]
    context = _with_source(call, sent.source)
    finished = call | {"context": context, "receivedAt": sent.at}
    if "messageId" not in finished:
        finished["messageId"] = uuid4().hex
    if "timestamp" in call:
        finished.pop("originalTimestamp", None)
    elif "anonymousId" in call and "userId" in call and _is_go(context):
        del finished["anonymousId"]  # it makes a new one for each call
    payload = _encoded(finished)
    event, _ = decode_announced(payload, sent.received, announced)
    user = event.user if event.user is not None else f"~{event.anonymous}" if event.anonymous is not None else ""
    return KeyedPayload(payload, user)


def _encoded(call: dict[str, Any]) -> bytes:
    try:
        return _encode(call)
    except OverflowError:
        raise Refused(Cause.UNSUPPORTED, "an integer beyond 64 bits") from None
    except RecursionError as error:
        raise Refused(Cause.TOO_DEEP, str(error)) from None


def _letter(call: dict[str, Any], raw: bytes) -> bytes:
    """What is kept: the call as far as it was made, so that it can be sent again; as it came if that has no form."""
    try:
        return _encoded(call)
    except Refused:
        return bytes(raw)


def _merge(call: dict[str, Any], around: Body) -> None:
    if around.sent_at and bytes(call.get("sentAt", b"null")) in _EMPTY:
        call["sentAt"] = around.sent_at
    for name, outer in (("context", around.context), ("integrations", around.integrations)):
        if outer is None:
            continue
        own = _value(call.get(name))
        if own is None:
            call[name] = outer
        elif isinstance(own, dict) and isinstance(outer, dict):
            call[name] = outer | own


def _with_source(call: dict[str, Any], source: str) -> Any:
    """The context with the source's name; one that is no object stays, and is refused."""
    context = _value(call.get("context"))
    if context is None:
        return {"source": source}
    return context | {"source": source} if isinstance(context, dict) else context


def _is_go(context: Any) -> bool:
    library = context.get("library") if isinstance(context, dict) else None
    return isinstance(library, dict) and library.get("name") == _GO


def _value(said: Any) -> Any:
    """What a field says.

    Raises:
      Refused: it cannot be read.
    """
    if not isinstance(said, msgspec.Raw):
        return said
    try:
        return msgspec.json.decode(said)
    except msgspec.DecodeError as error:
        raise Refused(Cause.INVALID, str(error)) from None
    except RecursionError as error:
        raise Refused(Cause.TOO_DEEP, str(error)) from None


def _is_delete(said: Any) -> bool:
    """Whether a type is that of a delete, however it is escaped."""
    return said is not None and bytes(said) not in _KINDS and _value(said) == "delete"
