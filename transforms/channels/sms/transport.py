"""Text messages handed over: to Twilio (https://www.twilio.com/docs/messaging/api/message-resource), or as JSON.

Twilio knows no request again: what was cut off is unknown, and goes out once more only where a campaign says so
(`on_unknown`). Other providers get the send's id as `Idempotency-Key`
(https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/), which those that know it go by.
"""

from base64 import b64encode
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec

from transforms.campaigns.effects import Send
from transforms.channels.channel import Opening, OutboxLine, Sender, Transport, line_head
from transforms.channels.http import Answer, Http, refusal
from transforms.channels.outcome import Outcome
from transforms.channels.references import REFERENCE
from transforms.channels.settings import MailSettings, header_secret
from transforms.channels.sms.message import RenderedSms
from transforms.channels.sms.replies import TWILIO_STATUS
from transforms.channels.sms.settings import SMS_FROM, SMS_TOKEN, SmsAddress, parse_sms

__all__ = ["TRANSPORT", "JsonSms", "Sms", "SmsLine", "TwilioSms"]

#: What Twilio says of a number to which no text message can ever go, by code (https://www.twilio.com/docs/api/errors):
#: no number, not a mobile one, a short code, a landline.
_BAD_NUMBERS = {21211, 21614, 21265, 21635}
#: The number has replied STOP: https://www.twilio.com/docs/api/errors/21610
_STOPPED = 21610
#: It counts by the second; "wait for a short period of time": https://www.twilio.com/docs/api/errors/20429
_QUOTA_SECONDS = 1.0


class _Made(NamedTuple):
    body: bytes
    headers: dict[str, str]


class Sms:
    """What senders of text messages have in common.

    Args:
      address: where messages are posted.
      token: the secret that says who we are.
      sender: who messages are from that do not say so; empty: nobody.
      settings: for what leads back to a send, and where Twilio tells what became of it.
      timeout: seconds to connect, and to wait for the answer.
    """

    def __init__(
        self,
        address: SmsAddress,
        token: str,
        sender: str = "",
        *,
        settings: MailSettings | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._address = address
        self._token = token.strip()  # a line break at its end, as files have, cannot stand in a header
        self._sender = sender
        self._settings = settings or MailSettings()
        self._http = Http(timeout)

    def sender_of(self, send: Send, rendered: RenderedSms) -> str:
        """Who a message is from; empty for nobody."""
        if not isinstance(rendered, RenderedSms):
            raise TypeError(f"send {send.id}: it is no text message")
        return rendered.sender or self._sender

    async def post(self, made: _Made) -> Answer | Outcome:
        """Post once."""
        return await self._http.post(self._address.url, made.body, made.headers)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


class TwilioSms(Sms):
    """Text messages by Twilio's Messages API."""

    def make(self, send: Send, rendered: RenderedSms) -> _Made | Outcome:
        """The form that is posted; `failed` where nobody is the sender."""
        sender = self.sender_of(send, rendered)
        if not sender:
            return Outcome.failed("rejected", f"nobody is the sender: give the message a `from`, or set {SMS_FROM}")
        named = "MessagingServiceSid" if sender.startswith("MG") and len(sender) == 34 else "From"
        fields = {"To": send.address, named: sender, "Body": rendered.text}
        links = self._settings.links
        if links is not None and links.base.startswith("https://"):  # Twilio takes no other address
            url = f"{links.base}{TWILIO_STATUS}?{REFERENCE}={self._settings.reference_to(send)}"
            fields["StatusCallback"] = url
        form = urlencode(fields)
        who = b64encode(f"{self._address.account}:{self._token}".encode()).decode()
        headers = {"authorization": f"Basic {who}", "content-type": "application/x-www-form-urlencoded"}
        return _Made(form.encode(), headers)

    async def send(self, send: Send, made: _Made) -> Outcome:  # noqa: ARG002
        """Hand one message to Twilio."""
        answer = await self.post(made)
        return answer if isinstance(answer, Outcome) else _twilio_outcome(answer)


class JsonSms(Sms):
    """Text messages by a provider that takes them as JSON (docs/reference/messages.md)."""

    def make(self, send: Send, rendered: RenderedSms) -> _Made:
        """The JSON that is posted."""
        sender = self.sender_of(send, rendered)
        body: dict[str, str] = {"id": send.id, "to": send.address, "text": rendered.text}
        if reference := self._settings.reference_to(send):
            body["reference"] = reference
        headers = {"content-type": "application/json", "idempotency-key": f'"{send.id}"'}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        return _Made(msgspec.json.encode(body | {"from": sender} if sender else body), headers)

    async def send(self, send: Send, made: _Made) -> Outcome:  # noqa: ARG002
        """Hand one message to the provider."""
        answer = await self.post(made)
        return answer if isinstance(answer, Outcome) else _json_outcome(answer)


def _twilio_outcome(answer: Answer) -> Outcome:
    """Errors: https://www.twilio.com/docs/usage/twilios-response#response-formats-exceptions"""
    said = answer.said
    if 200 <= answer.status < 300:
        if sid := said.text("sid"):
            return Outcome.handed_off(sid)
        return Outcome.unknown("server_error", f"{answer.status} without the name of a message: {answer.text}")
    code, message = said.number("code"), said.text("message") if said else answer.text
    if code:
        message = f"{code} {message}"
    if answer.status == 400 and code == _STOPPED:
        return Outcome.failed("unsubscribed", message)
    if answer.status == 400 and code in _BAD_NUMBERS:
        return Outcome.failed("bad_address", message)
    if answer.status == 429:
        return Outcome.retry("quota", _QUOTA_SECONDS if answer.after is None else answer.after, message)
    return refusal(answer, message)


def _json_outcome(answer: Answer) -> Outcome:
    """`id` of what was taken, `reason` and `message` of what was not."""
    said = answer.said
    if 200 <= answer.status < 300:
        return Outcome.handed_off(said.text("id") or str(answer.status))
    reason, message = said.text("reason"), said.text("message") if said else answer.text
    if 400 <= answer.status < 500 and reason in ("bad_address", "unsubscribed"):
        return Outcome.failed(reason, message)
    return refusal(answer, message)


class SmsLine(OutboxLine, frozen=True, kw_only=True):
    """One line of `sms*.jsonl`; `to` is the number, `from` null where the sender's default applies."""

    to: str
    sender: str | None = msgspec.field(name="from")
    text: str
    alphabet: str
    segments: int


def _open(opening: Opening) -> Sender:
    address, environment = parse_sms(opening.told["sms"][0]), opening.environment
    kind = TwilioSms if address.account else JsonSms
    return kind(
        address,
        header_secret(environment, SMS_TOKEN),
        environment.get(SMS_FROM, ""),
        settings=opening.settings,
    )


def _show(send: Send, message: RenderedSms, _settings: MailSettings) -> SmsLine:
    alphabet, number = message.segments
    return SmsLine(
        **line_head(send), to=send.address, sender=message.sender, text=message.text, alphabet=alphabet, segments=number
    )


TRANSPORT = Transport(_open, _show)
