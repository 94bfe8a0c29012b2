"""What travels on the control topic: everything for a user that is not an event of theirs.

Receipts are documented JSON, since other systems send them too (one that learns that a mail was opened):

    {"type": "receipt", "id": "…", "userId": "ada", "kind": "opened", "channel": "email", "send": "…", "campaign": "…",
     "step": "…", "message": "…", "address": "ada@example.com", "topic": "offers", "time": "2026-03-10T12:00:00Z"}

`kind` is one of `KINDS`. All but `type`, `userId`, `kind`, `channel` and `time` may be left out. `machine` is true of
what a proxy or a scanner did, and `link` is the name of the link that was clicked. Everything else is private to the
product, and opaque: `{"type": "inputs", "userId": …, "data": …}`, inputs of the state machine.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from transforms.events.channels import installed
from transforms.events.consent import folded_channel
from transforms.events.decode import Cause, Refused
from transforms.events.event import RECEIPT, Event
from transforms.events.ids import refused_id
from transforms.events.plain import quoted
from transforms.events.times import read_time, write_time
from transforms.identity.profile import FOLLOWED, UNFOLLOWED
from transforms.users.user import ANONYMOUS, Input, decode_inputs, encode_inputs

__all__ = ["KINDS", "Receipt", "decode_control", "encode_inputs_control", "encode_receipt", "receipt_event"]

#: What can become of a send, and the word for it in the name of the event: `Push Opened`, `Email Bounced`, …
KINDS = {
    "accepted": "Accepted",
    "failed": "Failed",
    "unknown": "Unknown",
    "expired": "Expired",
    "suppressed": "Suppressed",
    "dead_token": "Token Expired",
    "delivered": "Delivered",
    "bounced": "Bounced",
    "soft_bounced": "Soft Bounced",
    "opened": "Opened",
    "clicked": "Clicked",
    "dismissed": "Dismissed",
    "complained": "Complained",
    "unsubscribed": "Unsubscribed",
    "resubscribed": "Resubscribed",
    FOLLOWED: "Followed",
    UNFOLLOWED: "Unfollowed",
}


class Receipt(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="receipt"):
    """What became of a send.

    An integer `user_id` is its decimal text. `time` is when, ISO 8601; `send` is its id; `reason` is the channel's
    word. `machine`: a proxy or a scanner did it, and no person. `link` is the name of the link that was clicked.
    """

    user_id: str | int
    kind: str
    channel: str
    time: str
    id: str = ""
    send: str = ""
    campaign: str = ""
    step: str = ""
    message: str = ""
    variant: str | None = None
    address: str = ""
    topic: str | None = None
    reason: str = ""
    machine: bool | UnsetType = UNSET
    link: str | UnsetType = UNSET


class _Inputs(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="inputs"):
    user_id: str
    data: str


_decoder = msgspec.json.Decoder(Receipt | _Inputs)


def encode_receipt(receipt: Receipt) -> bytes:
    """A receipt as its message."""
    return msgspec.json.encode(receipt)


def encode_inputs_control(user: str, inputs: list[Input]) -> bytes:
    """Inputs for a user (or `~` and an anonymous id) as a message."""
    return msgspec.json.encode(_Inputs(user, b64encode(encode_inputs(inputs)).decode()))


def decode_control(payload: bytes, arrival: int | None) -> tuple[str, list[Input]]:
    """The key and the inputs in a message that arrived at `arrival` (microseconds UTC; None: when a receipt was made).

    Raises:
      Refused: and nothing else, whatever the bytes.
    """
    try:
        message = _decoder.decode(payload)
        if isinstance(message, Receipt):
            return str(message.user_id), [receipt_event(message, arrival)]
        return message.user_id, decode_inputs(b64decode(message.data, validate=True))
    except (msgspec.MsgspecError, Base64Error, RecursionError, UnicodeDecodeError) as error:
        raise Refused(Cause.INVALID, str(error)) from None


def receipt_event(receipt: Receipt, arrival: int | None) -> Event:
    """A receipt as the event that segments and campaigns see.

    Raises:
      Refused: the receipt says nothing that could be applied.
    """
    if receipt.kind not in KINDS:
        raise Refused(Cause.INVALID, f"`kind` is {quoted(receipt.kind)}; expected one of {', '.join(KINDS)}")
    receipt = msgspec.structs.replace(receipt, channel=folded_channel(receipt.channel))
    if receipt.channel not in installed():
        raise Refused(
            Cause.INVALID, f"`channel` is {quoted(receipt.channel)}; expected one of {', '.join(installed())}"
        )
    user = str(receipt.user_id)
    if reason := refused_id(user):
        raise Refused(Cause.REFUSED_ID, f"`userId`: {reason}")
    try:
        time = read_time(receipt.time)
    except ValueError as error:
        raise Refused(Cause.BAD_TIME, f"`time`: {error}") from None
    anonymous = user.startswith(ANONYMOUS)
    said = msgspec.structs.asdict(receipt)
    properties: dict[str, Any] = {
        name: said[name] for name in said if name not in ("user_id", "id", "time") and said[name]
    }
    return Event(
        id=receipt.id or _id_of(receipt),
        type=RECEIPT,
        name=f"{receipt.channel.capitalize()} {KINDS[receipt.kind]}",
        time=time if arrival is None else min(time, arrival),
        arrival=time if arrival is None else arrival,
        user=None if anonymous else user,
        anonymous=user.removeprefix(ANONYMOUS) if anonymous else None,
        properties=properties,
    )


def _id_of(receipt: Receipt) -> str:
    """The same for the same receipt, however often it comes."""
    parts = [str(receipt.user_id), receipt.send, receipt.channel, receipt.kind, receipt.address]
    if not receipt.send:
        parts.append(write_time(read_time(receipt.time)))
    return f"receipt:{blake2b(chr(31).join(parts).encode(), digest_size=12).hexdigest()}"
