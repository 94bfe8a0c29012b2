"""Pages handed over: one POST each, which is never repeated by itself."""

import msgspec

from todoke_pager.message import RenderedPage
from todoke_pager.settings import PAGER_KEY, parse_gateway
from transforms.campaigns.effects import Send
from transforms.channels.channel import Opening, OutboxLine, Transport, line_head
from transforms.channels.http import Http, refusal
from transforms.channels.outcome import Outcome
from transforms.channels.settings import MailSettings, secret_of

__all__ = ["TRANSPORT", "PageLine", "Pager"]


class Pager:
    """Hands pages to a gateway."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._http = Http(timeout=10.0)

    def make(self, send: Send, rendered: RenderedPage) -> bytes:
        """The JSON that is posted."""
        page = {"id": send.id, "pager": send.address, "text": rendered.text, "urgent": rendered.urgent}
        return msgspec.json.encode(page)

    async def send(self, send: Send, made: bytes) -> Outcome:  # noqa: ARG002
        """Hand one page over."""
        answer = await self._http.post(self._url, made, self._headers)
        if isinstance(answer, Outcome):  # nobody answered
            return answer
        if 200 <= answer.status < 300:
            return Outcome.handed_off(answer.text)
        return refusal(answer, answer.text)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


class PageLine(OutboxLine, frozen=True, kw_only=True):
    """One line of `pager*.jsonl`."""

    pager: str
    text: str
    urgent: bool


def _open(opening: Opening) -> Pager:
    return Pager(parse_gateway(opening.told["pager"][0]), secret_of(opening.environment, PAGER_KEY))


def _show(send: Send, page: RenderedPage, _settings: MailSettings) -> PageLine:
    return PageLine(**line_head(send), pager=send.address, text=page.text, urgent=page.urgent)


TRANSPORT = Transport(_open, _show)
