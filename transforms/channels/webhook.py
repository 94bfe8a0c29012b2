"""Webhooks: a POST to the server that a message names, signed as Standard Webhooks says.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: the receiver knows by
`webhook-id`, which is the send's, whether it has taken a call before.
"""

import time
from datetime import UTC, datetime

from standardwebhooks import Webhook as Signer
from standardwebhooks.webhooks import EmptyWebhookSecretError

from transforms.campaigns.effects import Send
from transforms.channels.http import Http, refusal
from transforms.channels.outcome import Outcome
from transforms.messages.render import Rendered, RenderedWebhook

__all__ = ["Webhook", "check_secret"]


class Webhook:
    """The webhook channel.

    Args:
      secret: `whsec_` and base64, as `check_secret` takes it; empty: calls are not signed.
      timeout: seconds to connect, and to wait for the answer.
    """

    def __init__(self, secret: str, *, timeout: float = 10.0) -> None:
        self._signer = Signer(secret) if secret else None
        self._http = Http(timeout)

    async def send(self, send: Send, rendered: Rendered) -> Outcome:
        """Make one call."""
        if not isinstance(rendered, RenderedWebhook):
            raise TypeError(f"send {send.id}: it is no webhook")
        now = datetime.fromtimestamp(int(time.time()), UTC)
        headers = {"content-type": "application/json" if rendered.json else "text/plain; charset=utf-8"}
        headers |= {name.lower(): value for name, value in rendered.headers.items()}
        headers |= {"webhook-id": send.id, "webhook-timestamp": str(int(now.timestamp()))}
        if self._signer is not None:
            headers["webhook-signature"] = self._signer.sign(send.id, now, rendered.body)
        answer = await self._http.post(rendered.url, rendered.body.encode(), headers)
        if isinstance(answer, Outcome):
            return answer
        return Outcome.handed_off(str(answer.status)) if 200 <= answer.status < 300 else refusal(answer, answer.text)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


def check_secret(secret: str) -> None:
    """See that a secret can sign.

    Raises:
      ValueError: it cannot; the text does not show it.
    """
    try:
        Signer(secret).sign("id", datetime.now(UTC), "")
    except (ValueError, EmptyWebhookSecretError) as error:
        raise ValueError("expected whsec_ and base64") from error
