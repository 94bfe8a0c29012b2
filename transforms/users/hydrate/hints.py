"""What the store says of users whom this process has not met lately: hints for the step that holds their state.

A hint travels with the inputs through the shuffle, which keeps it: a stateful bundle that runs again gets the same one.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from threading import Lock

import msgspec

from transforms.storage.users import Users

__all__ = ["MISSING", "AskedKeys", "Hinted", "decode_hinted", "encode_hinted", "read_hints"]

#: The hint of a key for which there is certainly no row.
MISSING = b""
#: The hint of a row whose state is empty. No user's is; it must not be taken for a missing one.
_EMPTY = b"\xc1"
#: Rows that are read together, and keys that a process remembers to have asked for.
_AT_ONCE, _REMEMBERED = 500, 200_000


class Hinted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The inputs of one key, each part as `encode_inputs` has it, and what was found of the key.

    `hint` is the encoded state in the row, `MISSING`, or None where nobody asked.
    """

    parts: tuple[bytes, ...]
    hint: bytes | None = None


class AskedKeys:
    """The keys that a step of this process has asked for: the latest, up to a bound. Safe for threads."""

    def __init__(self, most: int = _REMEMBERED) -> None:
        self._most = most
        self._keys: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def unknown(self, keys: Iterable[str]) -> list[str]:
        """Those that it has not asked for, or has forgotten."""
        with self._lock:
            return [key for key in keys if key not in self._keys]

    def remember(self, keys: Iterable[str]) -> None:
        """Note keys, as the latest."""
        with self._lock:
            for key in keys:
                self._keys[key] = None
                self._keys.move_to_end(key)
            while len(self._keys) > self._most:
                self._keys.popitem(last=False)


def read_hints(store: Users | None, asked: AskedKeys, keys: Collection[str]) -> dict[str, bytes]:
    """The hints of those keys that were not asked for lately. Without a store each is missing.

    Raises:
      StoreError: if rows could not be read: only a confirmed missing row is a new user.
    """
    unknown = asked.unknown(keys)
    hints = dict.fromkeys(unknown, MISSING)
    if store is not None:
        for start in range(0, len(unknown), _AT_ONCE):
            rows = store.read_users(unknown[start : start + _AT_ONCE])
            hints.update((key, row.state or _EMPTY) for key, row in rows.items())
    asked.remember(keys)
    return hints


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Hinted)


def encode_hinted(hinted: Hinted) -> bytes:
    """Inputs and a hint as MessagePack, for the shuffle."""
    return _encoder.encode(hinted)


def decode_hinted(data: bytes) -> Hinted:
    """The inputs and the hint of `encode_hinted`."""
    return _decoder.decode(data)
