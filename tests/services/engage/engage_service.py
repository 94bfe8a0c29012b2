"""The service over a real store, asked by a real client without a network."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from services.collect.letters import StoreLetters
from services.engage.access import EngageAccess
from services.engage.app import PARTS, EngagePart, engage
from services.engage.desk import Desk, StoreView
from services.engage.inbox.marking import InboxMarker
from services.engage.table import TableSink
from transforms.campaigns.load import compiled
from transforms.channels.tokens import SigningKeys
from transforms.storage.open import open_reader
from transforms.storage.sqlite.store import SqliteStore

NOW = 1_770_000_000_000_000
SECRET, OLD_SECRET = "new-secret-new-secret-new-secret-1", "old-secret-old-secret-old-secret-1"
KEYS = SigningKeys({"b": SECRET, "a": OLD_SECRET})
OLD_KEYS = SigningKeys({"a": OLD_SECRET})


class Service:
    """What tests ask, and what they find in the store."""

    def __init__(self, desk: Desk, parts: Sequence[EngagePart], store: SqliteStore, path: Path) -> None:
        self.desk, self.store, self.path = desk, store, path
        self.app = engage(desk, parts)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="https://links.shop.example") as client:
                return await client.request(method, path, **more)

        return asyncio.run(asked())

    def receipts(self) -> list[dict[str, Any]]:
        """What was published, in order."""
        return [json.loads(row.payload) for row in self.store.read_control(1_000)]


@contextmanager
def serving(
    folder: Path,
    definitions: str = "{}",
    parts: Sequence[EngagePart] = PARTS,
    access: EngageAccess = EngageAccess(),  # noqa: B008 - frozen
) -> Iterator[Service]:
    path = folder / "store.db"
    with closing(SqliteStore(path)) as store, closing(open_reader(f"sqlite:{path}")) as reader:
        found = compiled((("shop.yaml", definitions),))
        sink, view = TableSink(store, lambda: NOW), StoreView(reader)
        letters, marker = StoreLetters(lambda: store, lambda: NOW), InboxMarker(lambda: store)
        desk = Desk(
            sink=sink,
            view=view,
            definitions=lambda: found,
            keys=KEYS,
            access=access,
            inbox=marker,
            letters=letters,
            clock=lambda: NOW,
        )
        yield Service(desk, parts, store, path)
        marker.close()
        letters.close()
        view.close()
        sink.close()
