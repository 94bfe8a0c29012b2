"""From the bytes of one message to an `Event`, or to the reason why not.

Times are microseconds since the epoch, UTC.
"""

from collections.abc import Callable
from enum import StrEnum
from hashlib import blake2b
from typing import Any

import msgspec

from transforms.events.consent import CONSENT_CHANGED, read_consent
from transforms.events.event import Event
from transforms.events.ids import refused_id
from transforms.events.plain import quoted
from transforms.events.records import read_record
from transforms.events.times import FIRST_TIME, read_time
from transforms.events.wire import (
    TYPES,
    AliasCall,
    Call,
    DeleteCall,
    GroupCall,
    Id,
    IdentifyCall,
    PageCall,
    ScreenCall,
    TrackCall,
)

__all__ = ["BOM", "MAX_DEPTH", "MAX_PAYLOAD_BYTES", "SKEW", "Cause", "Refused", "decode", "decode_announced"]

#: Larger messages are dead letters. Segment takes 32 KB a call (segment.com/docs/connections/sources/catalog/libraries/
#: server/http-api, "Max request size"); sixteen times as much leaves room for other senders, and bounds the work.
MAX_PAYLOAD_BYTES = 512 * 1024

#: The byte order mark that some programs write before UTF-8; it is skipped.
BOM = b"\xef\xbb\xbf"

#: Objects and arrays inside `properties`, `traits`, `context` or `integrations` may be nested this deep, counting that
#: object. Encoders exhaust Python's stack only at some hundred levels, wherever they are called from.
MAX_DEPTH = 64

#: Device clocks that are ahead by more than this are counted.
SKEW = 5 * 60 * 1_000_000

_MAX_MESSAGE_ID_BYTES = 256
_WIRE = msgspec.json.Decoder(Call)


class Cause(StrEnum):
    """Why a message is a dead letter."""

    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    INVALID = "invalid"
    UNKNOWN_TYPE = "unknown_type"
    UNSUPPORTED = "unsupported"
    NO_EVENT = "no_event"
    NO_ID = "no_id"
    REFUSED_ID = "refused_id"
    BAD_TIME = "bad_time"
    NO_TIME = "no_time"


class Refused(Exception):
    """A message that cannot become an event. `cause` is one of a few words, `detail` says what was found."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(cause, detail)
        self.cause = cause
        self.detail = detail


def decode(payload: bytes, arrival: int | None = None, *, nobody: bool = False) -> tuple[Event, bool]:
    """Decode one Segment call; returns also whether the device's clock was ahead of `arrival` by more than `SKEW`.

    `arrival` is when the message reached us (Pub/Sub's publish time), or None for a line of a file. Then it is the
    line's `arrival` (an export of the archive has it), else `receivedAt`, else `timestamp`, else `originalTimestamp`.

    `time` is timestamp + (receivedAt - sentAt) where all three are there (segment.com/docs/connections/spec/common,
    "Timestamps"), else timestamp, else originalTimestamp, corrected likewise, else the arrival, and never after the
    arrival. Where there is an originalTimestamp, its writer has corrected timestamp already. A message without an id
    gets the hash of its bytes, so a copy of it gets the same. Every event that is returned can be encoded as JSON and
    as msgpack.

    With `nobody` a track call may have no ids: it is for everybody, as announcements are.

    Raises:
      Refused: and nothing else, whatever the bytes.
    """
    if payload.startswith(BOM):
        payload = payload.removeprefix(BOM)
    try:
        call = _read(payload)
    except Refused as refused:
        if arrival is None and refused.cause is Cause.UNKNOWN_TYPE and (record := _record(payload)) is not None:
            return record, False
        raise
    name, properties, traits = _content(call)
    user, anonymous, previous = _ids(call, nobody=nobody)
    time, arrival, skewed = _when(call, arrival)
    context = call.context or {}
    integrations = call.integrations
    _check_values(payload, properties, traits, context, {} if integrations is None else {"": integrations})
    event = Event(
        _message_id(call, payload),
        TYPES[call.__class__],
        name,
        time,
        arrival,
        user,
        anonymous,
        previous,
        properties,
        traits,
        context,
        call.historical is True,
        group=_id(call.group_id) if isinstance(call, GroupCall) else None,
        integrations=integrations,
    )
    return event, skewed


def _record(payload: bytes) -> Event | None:
    """The event of a line that only an export of the archive has; None for a call."""
    if (record := read_record(payload)) is not None:
        for text in filter(None, (record.user, record.anonymous)):
            if reason := refused_id(text):
                raise Refused(Cause.REFUSED_ID, f"`userId` or `anonymousId`: {reason}")
        _check_values(payload, record.properties, record.traits)
    return record


def decode_announced(payload: bytes, arrival: int | None, announced: Callable[[str], bool]) -> tuple[Event, bool]:
    """As `decode`; a track call without ids is an event too, where `announced` says so of its name.

    Raises:
      Refused: and nothing else, whatever the bytes.
    """
    try:
        return decode(payload, arrival)
    except Refused as refused:
        if refused.cause is not Cause.NO_ID:
            raise
        event, ahead = decode(payload, arrival, nobody=True)
        if not announced(event.name):
            raise
        return event, ahead


def _read(payload: bytes) -> Call:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Refused(Cause.TOO_LARGE, f"{len(payload):,} bytes; at most {MAX_PAYLOAD_BYTES:,} are read")
    try:
        payload.decode()  # msgspec does not check the fields that it skips
        call: Call = _WIRE.decode(payload)
        return call
    except UnicodeDecodeError as error:
        raise Refused(Cause.NOT_UTF8, str(error)) from None
    except msgspec.ValidationError as error:
        raise Refused(*_mismatch(payload, str(error))) from None
    except msgspec.DecodeError as error:
        raise Refused(Cause.NOT_JSON, str(error)) from None
    except RecursionError as error:
        raise Refused(Cause.TOO_DEEP, str(error)) from None


def _mismatch(payload: bytes, detail: str) -> tuple[Cause, str]:
    """Why a payload is no call: msgspec stops at the first wrong value, so this looks at the rest."""
    try:
        message = msgspec.json.decode(payload)
    except msgspec.ValidationError:  # a number beyond what a float can hold
        return Cause.INVALID, detail
    except msgspec.DecodeError as error:
        return Cause.NOT_JSON, str(error)
    except RecursionError as error:
        return Cause.TOO_DEEP, str(error)
    word = message.get("type") if isinstance(message, dict) else None
    if not isinstance(message, dict) or (isinstance(word, str) and word in TYPES.values()):
        return Cause.INVALID, detail
    if word is None:
        batch = ": a batch is not taken apart, write each of its calls by itself" if "batch" in message else ""
        return Cause.UNKNOWN_TYPE, f"there is no `type`{batch}"
    return Cause.UNKNOWN_TYPE, f"`type` is {quoted(word)}" if isinstance(word, str) else "`type` is not text"


def _content(call: Call) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The name, properties and traits of a call, by its kind."""
    match call:
        case TrackCall():
            if not call.event:
                raise Refused(Cause.NO_EVENT, "a track call needs `event`, its name")
            properties = call.properties or {}
            if call.event == CONSENT_CHANGED:
                _check_consent(properties)
            return call.event, properties, {}
        case PageCall() | ScreenCall():
            return call.name or "", call.properties or {}, {}
        case IdentifyCall():
            return "", {}, _traits(call)
        case GroupCall():
            if _id(call.group_id) is None:
                raise Refused(Cause.NO_ID, "a group call needs `groupId`")
            return "", {}, call.traits or {}
        case AliasCall() | DeleteCall():
            return "", {}, {}


def _check_consent(properties: dict[str, Any]) -> None:
    try:
        read_consent(properties)
    except ValueError as error:
        raise Refused(Cause.INVALID, f"{CONSENT_CHANGED}: {error}") from None


def _traits(call: IdentifyCall) -> dict[str, Any]:
    """The traits of an identify call. Some SDKs (RudderStack's for browsers and Python) put them into the context."""
    traits, elsewhere = call.traits or {}, (call.context or {}).get("traits")
    return elsewhere | traits if isinstance(elsewhere, dict) else traits


def _id(value: Id) -> str | None:
    """An id as text; an empty one means none, since SDKs for browsers send it for visitors."""
    return str(value) if value or value == 0 else None


def _ids(call: Call, *, nobody: bool) -> tuple[str | None, str | None, str | None]:
    """The user id, the anonymous id, and the previous id of an alias; refuses a call that does not say whose it is."""
    user, anonymous, previous = _id(call.user_id), _id(call.anonymous_id), None
    if isinstance(call, AliasCall):
        previous = _id(call.previous_id)
        if user is None or previous is None:
            raise Refused(Cause.NO_ID, "an alias call needs `userId` and `previousId`")
    elif user is None and isinstance(call, DeleteCall):
        raise Refused(Cause.NO_ID, "a delete call needs `userId`")
    elif user is None and anonymous is None and not (nobody and isinstance(call, TrackCall)):
        raise Refused(Cause.NO_ID, "neither `userId` nor `anonymousId`")
    for field, text in (("userId", user), ("anonymousId", anonymous), ("previousId", previous)):
        if text is not None and (reason := refused_id(text)):
            raise Refused(Cause.REFUSED_ID, f"`{field}`: {reason}")
        if text is not None and field != "anonymousId" and text.startswith("~"):
            raise Refused(Cause.REFUSED_ID, f"`{field}`: `~` begins the keys of anonymous users")
    return user, anonymous, previous


def _when(call: Call, arrival: int | None) -> tuple[int, int, bool]:
    """The time, the arrival, and whether the device's clock was far ahead of it."""
    stamped, original = _time("timestamp", call.timestamp), _time("originalTimestamp", call.original_timestamp)
    time = original if stamped is None else stamped
    sent, received = _time("sentAt", call.sent_at), _time("receivedAt", call.received_at)
    if arrival is None:
        arrival = _arrival_in_file(call, received, time)
    if time is None:
        return arrival, arrival, False
    final = stamped is not None and original is not None
    if sent is not None and received is not None and not final:
        time += received - sent
        if time < FIRST_TIME:
            raise Refused(Cause.BAD_TIME, "the time + (`receivedAt` - `sentAt`) lies before the year 1")
    if time > arrival:
        return arrival, arrival, time - arrival > SKEW
    return time, arrival, False


def _arrival_in_file(call: Call, received: int | None, time: int | None) -> int:
    for moment in (_time("arrival", call.arrival), received, time):
        if moment is not None:
            return moment
    raise Refused(Cause.NO_TIME, "none of `arrival`, `receivedAt`, `timestamp` and `originalTimestamp`")


def _time(field: str, text: object) -> int | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise Refused(Cause.BAD_TIME, f"`{field}` is not text")
    try:
        return read_time(text)
    except ValueError as error:
        raise Refused(Cause.BAD_TIME, f"`{field}`: {error}") from None


def _message_id(call: Call, payload: bytes) -> str:
    """The message's id: the hash of its bytes if it has none, or of the id if that is too long for a row key."""
    text = _id(call.message_id)
    if text is None:
        return blake2b(payload, digest_size=16).hexdigest()
    if len(text) * 4 > _MAX_MESSAGE_ID_BYTES and len(encoded := text.encode()) > _MAX_MESSAGE_ID_BYTES:
        return blake2b(encoded, digest_size=16).hexdigest()
    return text


def _check_values(payload: bytes, *objects: dict[str, Any]) -> None:
    """Refuse what JSON can say but our encoders cannot: integers beyond 64 bits, and nesting without end."""
    # Most payloads have too few brackets to be deep; counting them is faster than descending.
    if payload.count(b"{") + payload.count(b"[") > MAX_DEPTH and any(_deeper(values, MAX_DEPTH) for values in objects):
        raise Refused(Cause.TOO_DEEP, f"nested more than {MAX_DEPTH} deep")
    try:
        for values in objects:
            if values:
                msgspec.msgpack.encode(values)
    except OverflowError:
        raise Refused(Cause.UNSUPPORTED, "an integer beyond 64 bits") from None


def _deeper(value: Any, levels: int) -> bool:
    """Whether objects and arrays are nested beyond a number of levels."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return levels == 0 or any(_deeper(inner, levels - 1) for inner in value)
