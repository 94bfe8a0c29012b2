"""Which is newer: the state that an engine came back with, or the row.

An engine that goes back to a checkpoint brings older states back, whose rows are of a time that is forgotten now.

Where messages are acknowledged on account, a user goes on from the row, as after a crash on one machine: what was made
of it is out and does not go back, and what comes again is known as a duplicate (`transforms.users.accounted`).
Elsewhere the engine has read again whatever came since the checkpoint, however long ago that happened. So a user goes
on from the state, and what the row has put into the index of members is taken back (`WriteBatch.take_back`).

A state is known to be as new as its row if this process wrote it last. Any other is compared with the row once.
"""

from collections import OrderedDict
from threading import Lock

import msgspec

from transforms.storage.users import Users
from transforms.users.hydrate.hints import MISSING

__all__ = ["LastWritten", "version_of"]

#: Users whom a process remembers. Others are compared with their rows again.
_REMEMBERED = 200_000


class LastWritten:
    """The version of each user that a step of this process wrote last, up to a bound. Safe for threads."""

    def __init__(self, most: int = _REMEMBERED) -> None:
        self._most = most
        self._versions: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    def is_last(self, user: str, version: int) -> bool:
        """Whether this is the version that this process wrote last."""
        return self._versions.get(user) == version

    def note(self, user: str, version: int) -> None:
        """Note that a version is written now."""
        with self._lock:
            self._versions[user] = version
            self._versions.move_to_end(user)
            if len(self._versions) > self._most:
                self._versions.popitem(last=False)

    def newer(self, store: Users | None, user: str, state: bytes, hint: bytes | None) -> bytes | None:
        """The user's row, encoded, if it is newer than a state. It is the `hint`, or read where nobody has asked.

        Raises:
          StoreError: it could not be read.
        """
        if store is None or self.is_last(user, version := version_of(state)):
            return None
        if hint is None:
            found = store.read_users([user]).get(user)
            hint = MISSING if found is None else found.state
        return hint if version_of(hint) > version else None

    def forget(self) -> None:
        """Forget all: other processes may have written since then, and the engine may have gone back from that."""
        with self._lock:
            self._versions.clear()


class _Begin(msgspec.Struct, array_like=True, gc=False):
    """The first fields of a `User`."""

    id: str
    version: int = 0


_decode = msgspec.msgpack.Decoder(_Begin).decode


def version_of(data: bytes) -> int:
    """The version of an encoded user, without reading the rest; -1 of one that cannot be read."""
    try:
        return _decode(data).version
    except msgspec.MsgspecError:
        return -1
