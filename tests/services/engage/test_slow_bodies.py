"""Bodies of engage come in time, and together take no more memory than there is for them, whoever sends them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from engage_service import KEYS, Service, serving
from touched_shop import DEFINITIONS, links, path, sent

from services.collect.keys import Keys, keys_of_text
from services.collect.limits import Limits
from services.engage.access import EngageAccess
from services.engage.app import engage

ACCESS = EngageAccess(
    write_keys=Keys(keys_of_text("app=0123456789abcdef")),
    receipt_secrets=("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",),
    line_secrets=("secret",),
    ses_topics=frozenset({"arn:aws:sns:eu-west-1:123456789012:mails"}),
)
PATHS = [
    "/v1/receipts",
    "/v1/webhooks/standard",
    "/v1/webhooks/line",
    "/v1/webhooks/ses",
    path(links(KEYS).unsubscribe(sent())),
]


@pytest.fixture
def service(tmp_path: Path) -> Any:
    with serving(tmp_path, DEFINITIONS, access=ACCESS) as service:
        yield service


class Sender:
    """Sends the first part of a body, and the rest never, or when it is told to."""

    def __init__(self, app: Any, path: str, part: bytes) -> None:
        self._app, self._part = app, part
        self._scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [],
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "client": ("192.0.2.1", 1),
        }
        self._sent = False
        self.ends = asyncio.Event()
        self.status = 0

    async def _receive(self) -> dict[str, Any]:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": self._part, "more_body": True}
        await self.ends.wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)

    async def asked(self) -> int:
        await self._app(self._scope, self._receive, self._send)
        return self.status


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_never_ends_is_given_up(service: Service, path: str) -> None:
    app = engage(service.desk, limits=Limits(body_seconds=0.05))
    assert asyncio.run(asyncio.wait_for(Sender(app, path, b"{").asked(), 20)) == 408


def test_bodies_take_no_more_memory_together_than_there_is(service: Service) -> None:
    async def asked() -> list[int]:
        app = engage(service.desk, limits=Limits(held_bytes=100_000))
        first = Sender(app, "/v1/receipts", b" " * 60_000)
        waiting = asyncio.create_task(first.asked())
        await asyncio.sleep(0.05)
        second = await Sender(app, "/v1/receipts", b" " * 60_000).asked()
        first.ends.set()
        found = [second, await waiting]
        third = Sender(app, "/v1/receipts", b" " * 60_000)  # what was held is free again
        third.ends.set()
        return [*found, await third.asked()]

    assert asyncio.run(asked()) == [503, 400, 400]
