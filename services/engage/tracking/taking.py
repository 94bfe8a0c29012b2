"""Taking touches: each is durable before its reader is sent on, and no reader waits long for that."""

import asyncio
import os

from starlette.requests import Request

from services.engage.desk import Desk
from services.engage.tracking.receipts import hand_off_of, touch_receipt
from services.engage.tracking.touches import VISITED, Touch, encode_touch
from services.engage.tracking.verdicts import judged
from services.problems import HttpProblem
from services.rates import Rates
from services.sink import KeyedPayload
from transforms.channels.references import SendReference
from transforms.segments.values import SECOND

__all__ = ["TouchTaker"]

#: A reader waits no longer for the note, in seconds.
NOTE_SECONDS = 2.0
#: How often one link is noted: so many at once, and one more each second.
AT_ONCE, PER_SECOND = 20, 1.0
#: So many links are told apart.
_LINKS = 20_000


class TouchTaker:
    """Notes touches in the desk's journal; without one, each gets its verdict at once, by itself."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._rates: Rates[tuple[str, str, str]] = Rates(_LINKS)

    async def note(self, request: Request, kind: str, send: SendReference, link: str = "", of: int = 0) -> None:
        """Note a touch; it is durable when this returns, but for what is counted as `lost` or `skipped`."""
        at = self._desk.clock()
        by = self._desk.machines.word(request.method, request.headers, self._desk.proxy.address(request))
        if self._rates.take((kind, send.send, link), 1, PER_SECOND, AT_ONCE, at / SECOND):
            self._count(kind, "skipped")
            return
        touch = Touch(kind, send, link, of, at, by, os.urandom(9).hex())
        try:
            async with asyncio.timeout(NOTE_SECONDS):
                await self._keep(touch)
        except (HttpProblem, TimeoutError):
            self._count(kind, "lost")
        else:
            self._count(kind, "noted")

    async def _keep(self, touch: Touch) -> None:
        desk, send = self._desk, touch.send
        if desk.touches is not None:
            await desk.touches.publish([KeyedPayload(encode_touch(touch), send.user)])
        elif touch.kind != VISITED:
            handed_off = await desk.view.ask(lambda reader: hand_off_of(reader, send.user, send.send))
            [machine] = judged([touch], handed_off)
            await desk.receive([touch_receipt(touch, machine)])

    def _count(self, kind: str, outcome: str) -> None:
        self._desk.counts.add("touches", kind=kind, outcome=outcome)
