"""Users of a live job on one machine, kept in its process by shard.

There the runner and the job die together, so that state which the runner holds outlives nothing: what does is the
user's row. So the runner knows shards only. A shard has the states of its users, as many as there is room for, and the
times at which they must be woken. What is kept is bounded: who was not heard of for longest goes first, and comes back
from the row.
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterable
from zlib import crc32

import msgspec

__all__ = ["SHARDS", "Shard", "decode_parts", "encode_parts", "shard_of"]

#: More let more bundles run at a time, and make each input of one smaller.
SHARDS = 16
#: What one shard keeps, in bytes of encoded state.
MOST_BYTES = 32 * 1024 * 1024

#: Users with their inputs, encoded.
Parts = list[tuple[str, bytes]]

encode_parts = msgspec.msgpack.Encoder().encode
decode_parts = msgspec.msgpack.Decoder(Parts).decode


def shard_of(key: str) -> str:
    """The shard that has a user."""
    return str(crc32(key.encode()) % SHARDS)


class Shard:
    """The users of one shard. One bundle at a time has it.

    Args:
      most: bytes of encoded state that are kept.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._states: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._written: dict[str, bytes] = {}
        self._deadlines: dict[str, int] = {}
        #: A heap of (deadline, user); one that is not the user's deadline any more is passed over.
        self._agenda: list[tuple[int, str]] = []

    def states(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The states of those users that are kept."""
        found: dict[str, bytes] = {}
        for key in keys:
            state = self._written.get(key)
            if state is None and (state := self._states.get(key)) is not None:
                self._states.move_to_end(key)
            if state is not None:
                found[key] = state
        return found

    def write(self, key: str, state: bytes, deadline: int | None) -> None:
        """What a bundle made of a user; it stands from `commit` on, and before that for this bundle alone."""
        self._written[key] = state
        if deadline == self._deadlines.get(key):
            return
        if deadline is None:
            del self._deadlines[key]
        else:
            self._deadlines[key] = deadline
            heapq.heappush(self._agenda, (deadline, key))

    def commit(self) -> None:
        """Keep what was written, now that the rows are."""
        for key, state in self._written.items():
            self._bytes += len(state) - len(self._states.pop(key, b""))
            self._states[key] = state
        self._written = {}
        while self._bytes > self._most:
            _, state = self._states.popitem(last=False)
            self._bytes -= len(state)

    def due(self, time: int) -> dict[str, int]:
        """The users who must be woken by `time` (microseconds UTC), with when."""
        found: dict[str, int] = {}
        while (first := self.first()) is not None and first <= time:
            deadline, key = heapq.heappop(self._agenda)
            del self._deadlines[key]
            found[key] = deadline
        return found

    def first(self) -> int | None:
        """When the next user must be woken."""
        while self._agenda and self._deadlines.get(self._agenda[0][1]) != self._agenda[0][0]:
            heapq.heappop(self._agenda)
        return self._agenda[0][0] if self._agenda else None
