"""LINE messages by the Messaging API (https://developers.line.biz/en/reference/messaging-api/#send-push-message).

LINE knows a request again by its retry key, for a day: the key is made of the send, so that LINE itself lets no send
through twice.
"""

import uuid
from typing import Any

import msgspec

from transforms.campaigns.effects import Send
from transforms.channels.address import Server
from transforms.channels.channel import Opening, OutboxLine, Transport, line_head
from transforms.channels.http import Answer, Http, refusal
from transforms.channels.line.message import RenderedLine
from transforms.channels.line.settings import LINE_TOKEN, parse_line
from transforms.channels.outcome import Outcome
from transforms.channels.settings import MailSettings, header_secret
from transforms.messages.render import Rendered

__all__ = ["TRANSPORT", "Line", "LineLine"]

#: Makes retry keys of send ids; any constant serves.
_NAMESPACE = uuid.UUID("3f0c8f9a-6b1e-5d6c-9a53-7a4d3c1b2e10")


class Line:
    """The LINE channel of one official account.

    Args:
      server: of the Messaging API.
      token: the channel access token.
      timeout: seconds to connect, and to wait for LINE's answer.
    """

    def __init__(self, server: Server, token: str, *, timeout: float = 10.0) -> None:
        self._url = f"{server.url}/v2/bot/message/push"
        self._token = token.strip()  # a line break at its end, as files have, cannot stand in a header
        self._http = Http(timeout)

    def make(self, send: Send, rendered: Rendered) -> bytes:
        """The body of a request."""
        if not isinstance(rendered, RenderedLine):
            raise TypeError(f"send {send.id}: it is no LINE message")
        return msgspec.json.encode({"to": send.address, "messages": rendered.messages})

    async def send(self, send: Send, made: bytes) -> Outcome:
        """Hand one message to LINE."""
        headers = {
            "authorization": f"Bearer {self._token}",
            "content-type": "application/json",
            "x-line-retry-key": str(uuid.uuid5(_NAMESPACE, send.id)),
        }
        answer = await self._http.post(self._url, made, headers)
        return answer if isinstance(answer, Outcome) else _outcome(answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


class LineLine(OutboxLine, frozen=True, kw_only=True):
    """One line of `line*.jsonl`; `to` is the LINE id."""

    to: str
    messages: list[dict[str, Any]]


def _open(opening: Opening) -> Line:
    return Line(parse_line(opening.told["line"][0]), header_secret(opening.environment, LINE_TOKEN))


def _show(send: Send, message: RenderedLine, _settings: MailSettings) -> LineLine:
    return LineLine(**line_head(send), to=send.address, messages=message.messages)


TRANSPORT = Transport(_open, _show)


def _outcome(answer: Answer) -> Outcome:
    if answer.status == 200:
        return Outcome.handed_off(answer.headers.get("x-line-request-id", ""))
    if answer.status == 409:  # the retry key was accepted before
        return Outcome.handed_off(answer.headers.get("x-line-accepted-request-id", ""))
    said = answer.said
    failure = said.text("message") if said else answer.text
    details = (f"{detail.text('property')} {detail.text('message')}" for detail in said.parts("details"))
    message = "; ".join([failure, *details])
    if answer.status == 400 and failure.startswith("The property, 'to',"):
        return Outcome.failed("bad_address", message)
    return refusal(answer, message)
