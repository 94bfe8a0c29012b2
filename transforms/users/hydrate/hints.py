"""What the store says of users that this process has not met lately: hints for who holds their state.

A hint travels with the inputs through the shuffle, which keeps it: a stateful bundle that runs again gets the same one.
"""

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock

import msgspec

from transforms.storage.store import Store

__all__ = ["MISSING", "Hinted", "Hints", "decode_hinted", "encode_hinted"]

#: The hint of a key for which there is certainly no row.
MISSING = b""
#: Rows that are read together, and keys that a process remembers to have asked for.
_AT_ONCE, _REMEMBERED = 500, 200_000


class Hinted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The inputs of one key, each part as `encode_inputs` has it, and what was found of the key.

    `hint` is the encoded state in the row, `MISSING`, or None where nobody asked.
    """

    parts: tuple[bytes, ...]
    hint: bytes | None = None


class Hints:
    """Reads the rows of keys, each once as long as it is remembered. Safe for threads.

    Without a store every key is missing.
    """

    def __init__(self, store: Store | None, remembered: int = _REMEMBERED) -> None:
        self._store = store
        self._remembered = remembered
        self._asked: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def read(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The hints of those keys that were not asked for lately.

        Raises:
          StoreError: if rows could not be read: only a confirmed missing row is a new user.
        """
        with self._lock:
            unknown = [key for key in keys if key not in self._asked]
        hints = dict.fromkeys(unknown, MISSING)
        if self._store is not None:
            for start in range(0, len(unknown), _AT_ONCE):
                rows = self._store.read_users(unknown[start : start + _AT_ONCE])
                hints.update((key, row.state) for key, row in rows.items())
        with self._lock:
            for key in keys:
                self._asked[key] = None
                self._asked.move_to_end(key)
            while len(self._asked) > self._remembered:
                self._asked.popitem(last=False)
        return hints


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Hinted)


def encode_hinted(hinted: Hinted) -> bytes:
    """Inputs and a hint as MessagePack, for the shuffle."""
    return _encoder.encode(hinted)


def decode_hinted(data: bytes) -> Hinted:
    """The inputs and the hint of `encode_hinted`."""
    return _decoder.decode(data)
