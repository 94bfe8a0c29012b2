"""Users of a live job on one machine, kept in its process by shard.

There the runner and the job die together, so that state which the runner holds outlives nothing: what does is the
user's row. So the runner knows shards only. A shard has its users, as many as there is room for, and the
times at which they must be woken. What is kept is bounded: who was not heard of for longest goes first, and comes back
from the row.
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterable
from zlib import crc32

import msgspec

from transforms.users.user import User

__all__ = ["SHARDS", "Shard", "decode_parts", "encode_parts", "shard_of"]

#: More let more bundles run at a time, and make each input of one smaller.
SHARDS = 16
#: What one shard keeps, in bytes of encoded state. Users are objects, which take more than that.
MOST_BYTES = 8 * 1024 * 1024

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
        #: Users with the bytes of their encoded state.
        self._users: OrderedDict[str, tuple[User, int]] = OrderedDict()
        self._bytes = 0
        self._written: dict[str, tuple[User, int]] = {}
        self._deadlines: dict[str, int] = {}
        #: A heap of (deadline, user); one that is not the user's deadline any more is passed over.
        self._agenda: list[tuple[int, str]] = []

    def users(self, keys: Iterable[str]) -> dict[str, User]:
        """Those users that are kept."""
        found: dict[str, User] = {}
        for key in keys:
            kept = self._written.get(key)
            if kept is None and (kept := self._users.get(key)) is not None:
                self._users.move_to_end(key)
            if kept is not None:
                found[key] = kept[0]
        return found

    def write(self, user: User, size: int) -> None:
        """What a bundle made of a user; it stands from `commit` on, and before that for this bundle alone.

        Args:
          user: as it is now.
          size: the bytes of the encoded state.
        """
        key, deadline = user.id, user.deadline
        self._written[key] = user, size
        if deadline == self._deadlines.get(key):
            return
        if deadline is None:
            del self._deadlines[key]
        else:
            self._deadlines[key] = deadline
            heapq.heappush(self._agenda, (deadline, key))

    def commit(self) -> None:
        """Keep what was written, now that the rows are."""
        for key, kept in self._written.items():
            self._bytes += kept[1] - self._users.pop(key, (kept[0], 0))[1]
            self._users[key] = kept
        self._written = {}
        while self._bytes > self._most:
            _, (_, size) = self._users.popitem(last=False)
            self._bytes -= size

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
