"""Users of a live job on one machine, kept in its process by shard.

There the runner and the job die together, so state in the runner would outlive nothing; the user's row does. So the
runner knows shards only. A shard keeps its users, as many as there is room for, and the times at which they must be
woken. Both are bounded. The user who was not heard of for longest goes first, and comes back from the row. The
deadlines of users who are kept are known, and some thousands of the others, the earliest. The store has the rest in
their order, and is asked before the first of them is due.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable
from zlib import crc32

import msgspec

from transforms.users.parts import PARTS
from transforms.users.user import User

__all__ = ["SHARDS", "Due", "Recall", "Shard", "decode_parts", "encode_parts", "shard_of"]

#: More let more bundles run at a time, and make each input of one smaller.
SHARDS = 16
#: What one shard keeps, in bytes of encoded state. Users are objects, which take more than that.
MOST_BYTES = 8 * 1024 * 1024

#: Deadlines of users who are not kept that one shard remembers. Each is some 250 bytes.
MOST_AWAY = 8_192
#: Users whom a shard wakes at a time; the others follow at once.
WOKEN_AT_ONCE = 1_000
#: A heap is made anew once entries that are out of date are more than the others and these.
_SLACK = 64

#: A deadline (microseconds UTC) and whose it is.
Due = tuple[int, str]
#: The first deadlines in the store of a shard's users, from one on, at most so many.
Recall = Callable[[Due, int], list[Due]]

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
      recall: how the store is asked for deadlines; without it those of users who are not kept are all remembered.
      away: deadlines of users who are not kept that are remembered.
    """

    def __init__(self, most: int = MOST_BYTES, recall: Recall | None = None, away: int = MOST_AWAY) -> None:
        self._most = most
        self._recall = recall
        self._away = away
        #: Users with the bytes of their encoded state.
        self._users: OrderedDict[str, tuple[User, int]] = OrderedDict()
        self._bytes = 0
        self._written: dict[str, tuple[User, int]] = {}
        #: At most as many as there are users here, and `away`.
        self._deadlines: dict[str, int] = {}
        #: A heap of them, at most twice as long; one that is not the user's deadline any more is passed over.
        self._agenda: list[Due] = []
        #: From here on only the store knows the deadlines of all who are not kept; None if there are no others.
        self._rest: Due | None = None

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
        """Note what a bundle made of a user. Before `commit` only this bundle sees it.

        Args:
          user: as it is now.
          size: the bytes of the encoded state.
        """
        key, deadline = user.id, PARTS.deadline_of(user)
        self._written[key] = user, size
        if deadline == self._deadlines.get(key):
            return
        if deadline is None:
            del self._deadlines[key]
        else:
            self._remember(deadline, key)

    def commit(self) -> None:
        """Keep what was written, now that its rows are in the store."""
        for key, kept in self._written.items():
            self._bytes += kept[1] - self._users.pop(key, (kept[0], 0))[1]
            self._users[key] = kept
        self._written = {}
        while self._bytes > self._most:
            _, (_, size) = self._users.popitem(last=False)
            self._bytes -= size
        if self._recall is not None and len(self._deadlines) > len(self._users) + self._away:
            self._leave_to_the_store()

    def due(self, time: int) -> dict[str, int]:
        """The users who must be woken by `time` (microseconds UTC), and when. There may be more, see `first`.

        Raises:
          StoreError: the store could not be asked.
        """
        if self._recall is not None and self._rest is not None and self._rest[0] <= time:
            self._ask_the_store(self._recall, self._rest)
        found: dict[str, int] = {}
        while len(found) < WOKEN_AT_ONCE and (first := self._next()) is not None and first[0] <= time:
            deadline, key = heapq.heappop(self._agenda)
            del self._deadlines[key]
            found[key] = deadline
        return found

    def first(self) -> int | None:
        """When the next user must be woken, or the store must be asked."""
        return min((due[0] for due in (self._next(), self._rest) if due is not None), default=None)

    def _next(self) -> Due | None:
        while self._agenda and self._deadlines.get(self._agenda[0][1]) != self._agenda[0][0]:
            heapq.heappop(self._agenda)
        return self._agenda[0] if self._agenda else None

    def _remember(self, deadline: int, key: str) -> None:
        self._deadlines[key] = deadline
        heapq.heappush(self._agenda, (deadline, key))
        if len(self._agenda) > 2 * len(self._deadlines) + _SLACK:
            self._sort()

    def _sort(self) -> None:
        self._agenda = [(deadline, key) for key, deadline in self._deadlines.items()]
        heapq.heapify(self._agenda)

    def _leave_to_the_store(self) -> None:
        """Forget the later half of the deadlines of users who are not kept, whose rows are written."""
        away = sorted((deadline, key) for key, deadline in self._deadlines.items() if key not in self._users)
        left = away[self._away // 2 :]
        for _, key in left:
            del self._deadlines[key]
        self._rest = left[0] if self._rest is None else min(left[0], self._rest)
        self._sort()

    def _ask_the_store(self, recall: Recall, start: Due) -> None:
        most = max(1, self._away // 2)
        found = recall(start, most)
        self._rest = (found[-1][0], f"{found[-1][1]}\0") if len(found) == most else None
        for deadline, key in found:
            # What is known here is newer.
            if key not in self._deadlines and key not in self._users and key not in self._written:
                self._remember(deadline, key)
