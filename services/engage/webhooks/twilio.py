"""What Twilio tells of text messages: what became of one, and what somebody replied.

https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
https://www.twilio.com/docs/messaging/guides/webhook-request
"""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from services.engage.webhooks.provider_events import BadSignature, ProviderEvent
from transforms.channels.references import REFERENCE
from transforms.channels.sms.replies import is_from_twilio

__all__ = ["NO_REPLY", "SIGNATURE", "read_form", "told_by_twilio", "verify_twilio"]

SIGNATURE = "x-twilio-signature"
#: The answer to a reply: nothing is to be said (https://www.twilio.com/docs/messaging/twiml).
NO_REPLY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'

#: By code why no text message will ever reach a number: https://www.twilio.com/docs/api/errors
_BAD_NUMBERS = {"21211", "21214", "21265", "21614", "21635", "30005", "30006"}
#: The number has replied STOP: https://www.twilio.com/docs/api/errors/21610
_STOPPED = "21610"
#: What Twilio itself did not hand on: https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
_FAILED = "failed"
_MOST_FIELDS = 200


def read_form(body: bytes) -> dict[str, str]:
    """The fields of a form; Twilio names each once.

    Raises:
      BadSignature: it is none of Twilio's, who signs forms.
    """
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="surrogateescape"
        )
    except ValueError:
        raise BadSignature("the body is no form") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise BadSignature("a field is there twice")
    return form


def verify_twilio(url: str, form: Mapping[str, str], signature: str, tokens: Sequence[str]) -> None:
    """See that a form was signed with one of the auth tokens for this address.

    Raises:
      BadSignature: it was not.
    """
    if not any(is_from_twilio(url, form, signature, token) for token in tokens):
        raise BadSignature("the signature is not genuine")


def told_by_twilio(form: Mapping[str, str], query: Mapping[str, str], now: int) -> ProviderEvent | None:
    """What a status tells; None for one on the way. Twilio says no time, so it is when the request came."""
    status, code = form.get("MessageStatus") or form.get("SmsStatus", ""), form.get("ErrorCode", "")
    if status in ("delivered", "read"):
        kind = "delivered"
    elif status not in ("undelivered", _FAILED):
        return None
    elif code in _BAD_NUMBERS:
        kind = "bounced"
    elif code == _STOPPED:
        kind = "unsubscribed"
    else:
        kind = "failed" if status == _FAILED else "soft_bounced"
    return ProviderEvent(
        id=f"twilio:{form.get('MessageSid', '')}:{kind}",
        kind=kind,
        channel="sms",
        time=now,
        reference=query.get(REFERENCE, ""),
        address=form.get("To", ""),
        topic="all" if kind == "unsubscribed" else "",
        reason=code,
    )
