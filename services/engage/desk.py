"""What all endpoints of engage share: where receipts go, what may be looked up, who signs."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from services.addresses import Proxy
from services.collect.letters import Letters
from services.counts import ServiceCounts
from services.engage.access import EngageAccess
from services.engage.inbox.marking import InboxMarker
from services.engage.tracking.machines import KNOWN, Machines
from services.problems import away
from services.sink import KeyedPayload, Sink
from transforms.campaigns.load import Definitions
from transforms.channels.tokens import SigningKeys
from transforms.storage.reader import Reader
from transforms.storage.store import StoreError
from transforms.users.control import Receipt, encode_receipt

__all__ = ["HELPS", "Desk", "StoreView", "now"]

_T = TypeVar("_T")

#: How much is looked up at a time: Bigtable answers side by side, SQLite one after another.
_LOOKS = 8

#: What engage counts.
HELPS = {
    "requests": "Requests by endpoint and status of the answer",
    "latency": "From a request to the beginning of its answer, without those of machines",
    "receipts": "Receipts that were published, by kind and channel",
    "touches": "Opens and clicks by what became of them: noted, skipped, or lost",
    "told": "What providers told, by provider and by what came of it",
}


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1_000


class StoreView:
    """A store to look things up in, from an event loop: threads of its own read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._thread = ThreadPoolExecutor(_LOOKS, "view")

    async def ask(self, what: Callable[[Reader], _T]) -> _T:
        """What a function finds in the reader.

        Raises:
          HttpProblem: 503, the store does not answer.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, what, self._reader)
        except StoreError:  # its text names files
            raise away("the store does not answer now") from None

    def close(self) -> None:
        """End what is asked. The reader stays open."""
        self._thread.shutdown()


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What endpoints share.

    Attributes:
      sink: where receipts go: what returns from `receive` is durable there.
      view: the users' store, for reading alone.
      definitions: the newest that this process knows.
      keys: sign and verify tokens.
      access: what proves who else asks.
      touches: where opens and clicks wait for their verdict; None: they get it at once, each by itself.
      proxy: says whence a request comes.
      machines: which of those that touch are proxies and scanners.
      metrics_token: whoever has it may read what is counted, beside programs of this machine.
      inbox: writes marks of inbox messages; None where they are told alone.
      letters: keeps what cannot be read of webhooks; None where it is counted and logged alone.
      counts: what this process has counted.
      clock: microseconds since the epoch.
    """

    sink: Sink
    view: StoreView
    definitions: Callable[[], Definitions]
    keys: SigningKeys
    access: EngageAccess = EngageAccess()
    touches: Sink | None = None
    proxy: Proxy = Proxy()
    machines: Machines = KNOWN
    metrics_token: str = ""
    inbox: InboxMarker | None = None
    letters: Letters | None = None
    counts: ServiceCounts = msgspec.field(default_factory=lambda: ServiceCounts("engage", HELPS))
    clock: Callable[[], int] = now

    async def receive(self, receipts: Sequence[Receipt]) -> None:
        """Publish receipts; they are durable when this returns.

        Raises:
          HttpProblem: 503, they may not be, and the same may be sent again.
        """
        await self.sink.publish([KeyedPayload(encode_receipt(each), str(each.user_id)) for each in receipts])
        for each in receipts:
            self.counts.add("receipts", kind=each.kind, channel=each.channel)
