"""Which is newer: the state that an engine came back with, or the row.

An engine that goes back to a checkpoint brings older states back. What a bundle decides it gives out after its rows are
written: sends, messages of the control topic, pasts of visitors. All of that is of the row, and none of it goes back.
So a user goes on from the row, as after a crash on one machine. Else one who takes the same calls in another order
would hand over another past than before, or send twice.

A state is known to be as new as its row if this process wrote it last. Any other is compared with the row once.
"""

from collections import OrderedDict
from threading import Lock

import msgspec

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
