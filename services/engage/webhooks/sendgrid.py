"""What SendGrid tells of mails: the signed event webhook.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

from base64 import b64decode
from collections.abc import Iterator, Sequence

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from services.engage.webhooks.provider_events import BadSignature, ProviderEvent, UnreadEvent, each_told, seconds
from transforms.channels.references import REFERENCE

__all__ = ["SIGNATURE", "TIMESTAMP", "TOLERANCE", "SendgridKeys", "told_by_sendgrid"]

SIGNATURE, TIMESTAMP = "x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp"
#: SendGrid tries again for a day. In microseconds.
TOLERANCE = 25 * 3_600_000_000

#: Why SendGrid itself did not send a mail, where that says something of the address.
_DROPPED = {
    "Bounced Address": "bounced",
    "Invalid": "bounced",
    "Spam Reporting Address": "complained",
    "Unsubscribed Address": "unsubscribed",
}
_KINDS = {
    "delivered": "delivered",
    "spamreport": "complained",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
    "group_resubscribe": "resubscribed",
}
_ALL = "all"


class _Event(msgspec.Struct):
    """`timestamp` is in seconds."""

    event: str
    email: str
    timestamp: float
    sg_event_id: str
    reason: str = ""
    type: str = ""
    reference: str = msgspec.field(default="", name=REFERENCE)


class SendgridKeys:
    """Verifies requests with the public keys of event webhooks.

    Args:
      keys: as SendGrid shows them: base64 of DER.
      name: where they come from, for the error.

    Raises:
      ValueError: one is none.
    """

    def __init__(self, keys: Sequence[str], name: str = "keys") -> None:
        self._keys: list[EllipticCurvePublicKey] = []
        for number, text in enumerate(keys, 1):
            try:
                key = load_der_public_key(b64decode(text, validate=True))
            except (ValueError, UnsupportedAlgorithm):
                key = None
            if not isinstance(key, EllipticCurvePublicKey):
                raise ValueError(f"{name}: part {number} is no verification key of SendGrid's")
            self._keys.append(key)

    def verify(self, body: bytes, signature: str, timestamp: str, now: int) -> None:
        """See that SendGrid signed a body, not long ago.

        Raises:
          BadSignature: it did not.
        """
        if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
            raise BadSignature("the time is none")
        if abs(now - int(timestamp) * 1_000_000) > TOLERANCE:
            raise BadSignature("the request is too old, or of the future")
        try:
            signed = b64decode(signature, validate=True)
        except ValueError:
            raise BadSignature("the signature is none") from None
        if not any(_is_by(key, signed, timestamp.encode() + body) for key in self._keys):
            raise BadSignature("the signature is not genuine")


def told_by_sendgrid(events: Sequence[msgspec.Raw]) -> Iterator[ProviderEvent | UnreadEvent]:
    """What events tell. Opens and clicks of SendGrid's own tracking are not ours."""
    return each_told(events, _told, _Event)


def _told(event: _Event) -> Iterator[ProviderEvent]:
    kind = _KINDS.get(event.event)
    if event.event == "bounce":
        kind = "soft_bounced" if event.type == "blocked" else "bounced"
    elif event.event == "dropped":
        kind = _DROPPED.get(event.reason, "failed")
    if kind is None:
        return
    # What SendGrid dropped for it, and its own unsubscribe link, are of all that it sends; a group is of one topic.
    topic = _ALL if kind == "unsubscribed" and event.event != "group_unsubscribe" else ""
    yield ProviderEvent(
        id=f"sendgrid:{event.sg_event_id}",
        kind=kind,
        channel="email",
        time=seconds(event.timestamp),
        reference=event.reference,
        address=event.email,
        topic=topic,
        reason=event.event,
    )


def _is_by(key: EllipticCurvePublicKey, signed: bytes, message: bytes) -> bool:
    try:
        key.verify(signed, message, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
