"""Dead letters as the messages that they were, to be published again with their own ids, so that none counts twice."""

from typing import Any

import msgspec

from transforms.events.calls import call_of
from transforms.events.event import Event
from transforms.events.wire import TYPES
from transforms.storage.rows import DeadLetterRow

__all__ = ["CONTROL", "CUT", "Unreplayable", "message_of"]

#: Why a letter cannot be published again as an event: it was no event but a message of the control topic, or an input
#: between parts of the product; or only its beginning is kept.
CONTROL, CUT = "control", "cut"

#: The source of what the state machine refused, which had been decoded.
_ADVANCE = "advance"
#: The kinds of messages of the control topic, by `type`.
_CONTROL_TYPES = ("inputs", "receipt")


class Unreplayable(Exception):
    """A letter that is no message of the events' topic; `why` is `CONTROL` or `CUT`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def message_of(letter: DeadLetterRow) -> bytes:
    """The message of a letter: byte for byte if it could not be read, else the call that was made of it.

    A message without an id is known by its bytes, so these must not change.

    Raises:
      Unreplayable: it is none that may be published with events.
    """
    if letter.size > len(letter.payload):
        raise Unreplayable(CUT)
    if letter.source == _ADVANCE:
        return _message_of_event(letter.payload)
    if letter.source == CONTROL or _type_of(letter.payload) in _CONTROL_TYPES:
        raise Unreplayable(CONTROL)
    return letter.payload


def _message_of_event(payload: bytes) -> bytes:
    """What the state machine refused, which stands in the letter as the event that had been decoded."""
    try:
        said: dict[str, Any] = msgspec.json.decode(payload, type=dict[str, Any])
        event = msgspec.convert(["event", *(said.get(name, "") for name in Event.__struct_fields__)], Event)
    except msgspec.MsgspecError:
        raise Unreplayable(CONTROL) from None
    call = call_of(event) if event.type in TYPES.values() else None
    if call is None:
        raise Unreplayable(CONTROL)
    return msgspec.json.encode(call)


class _Typed(msgspec.Struct):
    type: Any = None


def _type_of(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload, type=_Typed).type
    except (msgspec.MsgspecError, RecursionError):
        return None
