"""The service over a real store, asked by a real client without a network."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from services.collect.letters import StoreLetters
from services.engage.access import EngageAccess
from services.engage.app import PARTS, EngagePart, engage
from services.engage.desk import Desk, StoreView
from services.engage.inbox.marking import InboxMarker
from services.engage.table import TableSink
from transforms.campaigns.load import Texts, compiled
from transforms.channels.tokens import SigningKeys
from transforms.events.decode import decode
from transforms.storage.open import open_reader
from transforms.storage.sqlite.store import SqliteStore
from transforms.users.advance import fold
from transforms.users.control import decode_control
from transforms.users.rows import user_row
from transforms.users.user import User

NOW = 1_770_000_000_000_000
SECRET, OLD_SECRET = "new-secret-new-secret-new-secret-1", "old-secret-old-secret-old-secret-1"
KEYS = SigningKeys({"b": SECRET, "a": OLD_SECRET})
OLD_KEYS = SigningKeys({"a": OLD_SECRET})


class Clock:
    """A clock that stands until it is set."""

    now = NOW

    def __call__(self) -> int:
        return self.now


class Service:
    """What tests ask, and what they find in the store."""

    def __init__(self, desk: Desk, parts: Sequence[EngagePart], store: SqliteStore, path: Path, clock: Clock) -> None:
        self.desk, self.store, self.path, self.clock = desk, store, path, clock
        self.app = engage(desk, parts)
        self._inputs: dict[str, list[Any]] = {}

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="https://links.shop.example") as client:
                return await client.request(method, path, **more)

        return asyncio.run(asked())

    def know(self, *calls: dict[str, Any], user: str = "ann") -> None:
        """Let the users' store know somebody by what they did, after all that was said of them here."""
        arrival = self.clock.now - 1_000_000
        payloads = [json.dumps({"userId": user, "messageId": f"m{self.clock.now}", **call}).encode() for call in calls]
        inputs = [*self._inputs.get(user, []), *(decode(payload, arrival)[0] for payload in payloads)]
        self._inputs[user] = inputs
        state, _ = fold(User(user), inputs, self.desk.definitions())
        state = msgspec.structs.replace(state, version=len(inputs))
        self.store.write_users([user_row(state, b"")])

    def settle(self, user: str = "ann") -> dict[str, Any]:
        """Let the job apply what was published, and return the user's profile."""
        rows = self.store.read_control(1_000)
        for row in rows:
            whose, inputs = decode_control(row.payload, row.published)
            assert whose == user
            self._inputs[user] = [*self._inputs.get(user, []), *inputs]
        self.store.delete_control([row.id for row in rows])
        self.know(user=user)
        found: dict[str, Any] = json.loads(self.store.read_users([user])[user].profile)
        return found

    def receipts(self) -> list[dict[str, Any]]:
        """What was published, in order."""
        return [json.loads(row.payload) for row in self.store.read_control(1_000)]


@contextmanager
def serving(
    folder: Path,
    definitions: str | Texts = "{}",
    parts: Sequence[EngagePart] = PARTS,
    access: EngageAccess = EngageAccess(),  # noqa: B008 - frozen
) -> Iterator[Service]:
    path, clock = folder / "store.db", Clock()
    with closing(SqliteStore(path)) as store, closing(open_reader(f"sqlite:{path}")) as reader:
        found = compiled((("shop.yaml", definitions),) if isinstance(definitions, str) else definitions)
        sink, view = TableSink(store, clock), StoreView(reader)
        letters, marker = StoreLetters(lambda: store, clock), InboxMarker(lambda: store)
        desk = Desk(
            sink=sink,
            view=view,
            definitions=lambda: found,
            keys=KEYS,
            access=access,
            inbox=marker,
            letters=letters,
            clock=clock,
        )
        yield Service(desk, parts, store, path, clock)
        marker.close()
        letters.close()
        view.close()
        sink.close()
