"""Webhooks: a POST to the server that a message names, signed as Standard Webhooks says.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: the receiver knows by
`webhook-id`, which is the send's, whether it has taken a call before.
"""

import base64
import time
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from standardwebhooks import Webhook as Signer
from standardwebhooks.webhooks import EmptyWebhookSecretError
from yarl import URL

from transforms.campaigns.effects import Send
from transforms.channels.channel import Opening, OutboxLine, Transport, line_head
from transforms.channels.hosts import Allowed, canonical_host, is_address, is_inside, parse_allowed
from transforms.channels.http import REFUSED, Answer, Http, refusal
from transforms.channels.outcome import Outcome
from transforms.channels.settings import MailSettings, secret_of
from transforms.channels.webhook.message import Called, RenderedWebhook
from transforms.channels.webhook.settings import WEBHOOK_SECRET
from transforms.messages.render import Rendered

__all__ = ["TRANSPORT", "Webhook", "WebhookCall", "WebhookLine", "check_secret"]

_NOTHING = Allowed()


class WebhookCall(NamedTuple):
    """A call that is to be made.

    `named`: its host may be called wherever its name leads. `private`: it carries secrets, so that nothing is told of
    it but the status of the answer.
    """

    url: URL
    named: bool
    headers: dict[str, str]
    body: str
    private: bool


class Webhook:
    """The webhook channel.

    Args:
      secret: `whsec_` and base64, as `check_secret` takes it; empty: calls are not signed.
      allowed: what may be called beside public addresses.
      timeout: seconds to connect, and to wait for the answer.
    """

    def __init__(self, secret: str, allowed: Allowed = _NOTHING, *, timeout: float = 10.0) -> None:
        self._signer = Signer(secret) if secret else None
        self._allowed = allowed
        self._public = Http(timeout, allowed)
        self._named = Http(timeout)

    def make(self, send: Send, rendered: Rendered) -> WebhookCall | Outcome:
        """The call of a message; `failed` where its URL is none, or names an address that must not be called."""
        if not isinstance(rendered, RenderedWebhook):
            raise TypeError(f"send {send.id}: it is no webhook")
        called = rendered.called or Called(rendered.url, rendered.headers)
        try:
            url = URL(called.url)
            host, port = canonical_host(url.raw_host or ""), url.port
            url = url.with_host(host)
        except ValueError:
            return Outcome.failed("rejected", "url: it is no URL")
        if url.scheme not in ("http", "https") or port is None:
            return Outcome.failed("rejected", "url: expected https://…")
        named = self._allowed.has_name(host, port)
        if not named and is_address(host) and not self._allowed.has_address(host, port):
            return REFUSED
        if rendered.called is not None and url.scheme == "http" and not (named or is_inside(host)):
            why = "over http:// all could read its secrets: expected https://…, or a host that --webhook-allow names"
            return Outcome.failed("rejected", f"url: {why}")
        headers = {"content-type": "application/json" if rendered.json else "text/plain; charset=utf-8"}
        headers |= {name.lower(): value for name, value in called.headers.items()}
        return WebhookCall(url, named, headers, rendered.body, rendered.called is not None)

    async def send(self, send: Send, made: WebhookCall) -> Outcome:
        """Make one call."""
        now = datetime.fromtimestamp(int(time.time()), UTC)
        headers = made.headers | {"webhook-id": send.id, "webhook-timestamp": str(int(now.timestamp()))}
        if self._signer is not None:
            headers["webhook-signature"] = self._signer.sign(send.id, now, made.body)
        http = self._named if made.named else self._public
        try:
            answer = await http.post(made.url, made.body.encode(), headers)
        except Exception as error:
            if not made.private:
                raise
            fault = type(error).__name__
        else:
            return _outcome(answer, private=made.private)
        raise RuntimeError(f"{fault} in a call with secrets")  # without the error itself, which may quote them

    async def close(self) -> None:
        """Close the connections."""
        await self._public.close()
        await self._named.close()


def _outcome(answer: Answer | Outcome, *, private: bool) -> Outcome:
    if isinstance(answer, Outcome):
        return msgspec.structs.replace(answer, detail="") if private else answer
    if 200 <= answer.status < 300:
        return Outcome.handed_off(str(answer.status))
    refused = refusal(answer, answer.text)
    return msgspec.structs.replace(refused, detail=str(answer.status)) if private else refused


class WebhookLine(OutboxLine, frozen=True, kw_only=True):
    """One line of `webhook*.jsonl`: the call that was not made."""

    url: str
    headers: dict[str, str]
    body: str


def _open(opening: Opening) -> Webhook:
    allowed = parse_allowed(opening.told.get("webhook-allow", ()))
    return Webhook(secret_of(opening.environment, WEBHOOK_SECRET), allowed)


def _show(send: Send, call: RenderedWebhook, _settings: MailSettings) -> WebhookLine:
    return WebhookLine(**line_head(send), url=call.url, headers=call.headers, body=call.body)


TRANSPORT = Transport(_open, _show)


def check_secret(secret: str) -> None:
    """See that a secret can sign.

    Raises:
      ValueError: it cannot; the text does not show it.
    """
    try:
        base64.b64decode(secret.removeprefix("whsec_"), validate=True)  # the signer passes over what is no base64
        Signer(secret).sign("id", datetime.now(UTC), "")
    except (ValueError, EmptyWebhookSecretError) as error:
        raise ValueError("expected whsec_ and base64") from error
