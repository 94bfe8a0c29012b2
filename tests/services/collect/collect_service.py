"""The service over a real queue and a real store, asked by a real client without a network."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from services.collect.app import Collect
from services.collect.keys import Keys, KeySource
from services.collect.letters import StoreLetters
from services.sink import QueueSink
from transforms.events.queue.append import Queue
from transforms.events.queue.read import QueueReader
from transforms.storage.open import open_reader
from transforms.storage.sqlite.store import SqliteStore

NOW = 1_770_000_000_000_000
RECEIVED = "2026-02-02T02:40:00Z"
KEY, OLD_KEY, SLOW_KEY = "shop-key-0123456789", "shop-key-before-it-", "slow-key-0123456789"
SHOP = "https://shop.example"
ADDRESS_KEY, TELLING_KEY = "address-key-0123456", "telling-key-0123456"
SOURCES = [
    KeySource((KEY, OLD_KEY), "shop", frozenset({SHOP})),
    KeySource((SLOW_KEY,), "slow", rate=2.0),
    KeySource((ADDRESS_KEY,), "address", address_rate=0.1),
    KeySource((TELLING_KEY,), "telling", announces=True),
]
TRACK = {"type": "track", "event": "Seen", "userId": "ann", "messageId": "m1", "timestamp": "2026-02-01T00:00:00Z"}


class Service:
    """What tests ask, and what they find in the queue and the store."""

    def __init__(self, app: Any, queue: Queue, folder: Path) -> None:
        self.app, self.queue, self.folder = app, queue, folder

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        client = more.pop("client", ("127.0.0.1", 50_000))

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=client)
            async with httpx.AsyncClient(transport=transport, base_url="http://collect") as asking:
                return await asking.request(method, path, **more)

        return asyncio.run(asked())

    def post(self, path: str, body: Any, *, key: str | None = KEY, **more: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", path, content=content, auth=None if key is None else (key, ""), **more)

    def batch(self, *calls: Any, **around: Any) -> httpx.Response:
        return self.post("/v1/batch", {"batch": calls, **around})

    def published(self) -> list[dict[str, Any]]:
        with closing(QueueReader(self.queue.path)) as reader:
            return [json.loads(message.payload) for page in reader.pages() for message in page]

    def letters(self) -> list[tuple[str, bytes]]:
        with closing(open_reader(f"sqlite:{self.folder / 'store.db'}")) as reader:
            return [(row.cause, row.payload) for row in reader.page_dead_letters(100).rows]


@contextmanager
def serving(folder: Path, *, busy_seconds: float = 10.0, **more: Any) -> Iterator[Service]:
    """The service; `busy_seconds` is how long it waits for those who have the queue or the store."""
    with (
        Queue(folder / "events.db", busy_seconds=busy_seconds) as queue,
        closing(SqliteStore(folder / "store.db", busy_seconds=busy_seconds)) as store,
    ):
        letters = StoreLetters(lambda: store, lambda: NOW)
        collect = Collect(Keys(SOURCES, lambda: 0.0), QueueSink(queue), letters, clock=lambda: NOW, **more)
        yield Service(collect.app, queue, folder)
        letters.close()
