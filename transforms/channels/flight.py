"""What one delivery of many sends has open: at most so many calls a shard, and so many in all."""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Coroutine, Sequence
from typing import Any
from zlib import crc32

from transforms.campaigns.effects import Send
from transforms.channels.outcome import Delivery, Outcome
from transforms.storage.rows import LedgerRow

__all__ = [
    "MAX_OPEN",
    "MAX_OPEN_PER_SHARD",
    "SHARDS",
    "WAITING_SHARDS",
    "Flight",
    "pause_after",
    "shard_of",
    "waiting_key",
]

#: Shards of a channel, which bound concurrency and split rate limits.
SHARDS = 32
#: What waits to be sent is divided further: a morning's campaign to everybody waits at once, and a key of state is read
#: whole (docs/scale.md).
WAITING_SHARDS = 4_096
#: The longest pause between two tries of a live job that the provider did not ask for; in seconds.
LONGEST_WAIT = 300.0
#: Calls of one shard that may be open: so many claims are `unknown` at most if the process dies then.
MAX_OPEN_PER_SHARD = 64
#: Calls of all shards of one delivery that may be open, each with a connection.
MAX_OPEN = 256
#: So many calls are started together at least, where there are so many: each start costs a turn of the ledger.
REFILL = 16


def shard_of(send: Send) -> str:
    """The channel and shard that delivers a send."""
    return f"{send.channel}/{crc32(send.user.encode()) % SHARDS}"


def waiting_key(send: Send, at: int, shards: int, seconds: int) -> str:
    """The key under which a send waits until `at` (microseconds UTC), with others that are due in the same `seconds`.

    So a key has only what goes out together, and whoever gives it out need not write back all that is due later.
    """
    return f"{send.channel}/{crc32(send.user.encode()) % shards}/{at // (seconds * 1_000_000)}"


class Flight:
    """The sends of one delivery: those that wait for their turn, the open calls with their claims, and the answers.

    Sends are named by their place in `sends`. Those of one shard keep their order. A channel that is `in_turn` counts
    as one shard: what waits for one of its few connections is claimed, and a claim has a lease.

    Attributes:
      sends: what is delivered.
      answers: by place, what became of it.
      rows: outcomes that are to be recorded.
      taken: ids that were started.
      failed: why nothing new may be started.
      called, reached: channels that were called, and those of which a provider was there.
      missed: by channel, consecutive calls that failed to reach the provider.
    """

    def __init__(self, sends: Sequence[Send], in_turn: Collection[str] = ()) -> None:
        self.sends = sends
        self.answers: dict[int, Delivery] = {}
        self.rows: list[LedgerRow] = []
        self.taken: set[str] = set()
        self.failed: BaseException | None = None
        self.called: set[str] = set()
        self.reached: set[str] = set()
        self.missed: Counter[str] = Counter()
        self._shards = [send.channel if send.channel in in_turn else shard_of(send) for send in sends]
        self._waiting: dict[str, deque[int]] = {}
        for place, shard in enumerate(self._shards):
            self._waiting.setdefault(shard, deque()).append(place)
        self._open: dict[asyncio.Task[Outcome], tuple[int, LedgerRow]] = {}
        self._open_in: Counter[str] = Counter()
        self._done: deque[asyncio.Task[Outcome]] = deque()
        self._landed = asyncio.Event()

    def __len__(self) -> int:
        """How many calls are open."""
        return len(self._open)

    def next(self) -> list[int]:
        """The places of sends to be started now; none while too few could be, or while nothing may be.

        Nothing is started after a failure for all, or while outcomes could not be recorded.
        """
        if self.failed is not None or self.rows:
            return []
        room = {
            shard: min(len(waiting), MAX_OPEN_PER_SHARD - self._open_in[shard])
            for shard, waiting in self._waiting.items()
        }
        free = min(MAX_OPEN - len(self._open), sum(room.values()))
        if free < REFILL and len(self._open) >= REFILL:
            return []
        places: list[int] = []
        while len(places) < free:
            for shard in [shard for shard, left in room.items() if left][: free - len(places)]:
                places.append(self._waiting[shard].popleft())
                room[shard] -= 1
        self._waiting = {shard: waiting for shard, waiting in self._waiting.items() if waiting}
        return sorted(places)

    def call(self, place: int, claim: LedgerRow, calling: Coroutine[Any, Any, Outcome]) -> None:
        """Start the call of a claimed send."""
        task = asyncio.create_task(calling)
        self._open[task] = place, claim
        self._open_in[self._shards[place]] += 1
        task.add_done_callback(self._land)

    def _land(self, task: asyncio.Task[Outcome]) -> None:
        self._done.append(task)
        self._landed.set()

    async def landed(self) -> list[tuple[int, LedgerRow, asyncio.Task[Outcome]]]:
        """Wait until calls have ended; their places, their claims, and themselves."""
        await self._landed.wait()
        self._landed.clear()
        ended: list[tuple[int, LedgerRow, asyncio.Task[Outcome]]] = []
        while self._done:
            task = self._done.popleft()
            place, claim = self._open.pop(task)
            self._open_in[self._shards[place]] -= 1
            ended.append((place, claim, task))
        return ended

    async def cancel(self) -> None:
        """Give up what is open, and wait until it is."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


def pause_after(after: float, attempts: int) -> float:
    """Seconds until the next try: at least what was asked for, and twice as long after each try that was refused."""
    return max(after, min(LONGEST_WAIT, after * 2.0 ** min(attempts - 1, 10)))
