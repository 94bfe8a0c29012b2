"""Stamps as MessagePack, for all users of a partition at once.

A stamp is two 64-bit integers and takes 19 bytes. So every position is known beforehand, and a whole column is written
at once. Going through users one by one, with an object for each stamp, takes several times as long. msgspec decodes the
result as `dict[int, tuple[tuple[int, int], ...]]` (msgpack.org: fixmap, map 16, fixarray, array 16, int 64, uint 64).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

__all__ = ["encode_stamps"]

_FIXMAP, _MAP_16, _FIXARRAY, _ARRAY_16, _UINT_64, _INT_64 = 0x80, 0xDE, 0x90, 0xDC, 0xCF, 0xD3
_KEY = 9
#: Up to this many entries, a head has one byte; beyond, three.
_FEW = 15
#: A stamp as it stands in the buffer.
_STAMP = np.dtype(
    [("head", "u1"), ("time_is", "u1"), ("time", ">i8"), ("hash_is", "u1"), ("hash", ">u8")]
)  # not aligned: 19 bytes


def encode_stamps(leaves: Mapping[int, Sequence[pl.DataFrame]], more: Any) -> tuple[Any, bytes]:
    """Where each user's part ends, and all parts in a row; users without stamps have one too.

    `leaves` holds, by key, the frames of a leaf's stamps: `user` (the number), `time` and `hash`, sorted. A user's
    stamps of the first frame come first; within a frame the newest come first. `more` says how many entries will follow
    for each user.
    """
    users = len(more)
    counts = {
        key: np.sum([np.bincount(frame["user"].to_numpy(), minlength=users) for frame in frames], axis=0)
        for key, frames in leaves.items()
    }
    some = more.copy()
    sizes = np.zeros(users, np.int64)
    for count in counts.values():
        some += count > 0
        sizes += _size(count)
    sizes += _head(some)
    ends = np.cumsum(sizes)
    buffer = np.zeros(int(ends[-1]) if users else 0, np.uint8)
    at = ends - sizes
    _put_heads(buffer, at, some, _FIXMAP, _MAP_16)
    at += _head(some)
    for key, frames in leaves.items():
        count = counts[key]
        has = np.flatnonzero(count)
        buffer[at[has]] = _UINT_64
        _put(buffer, at[has] + 1, np.full(len(has), key, ">u8"))
        _put_heads(buffer, at[has] + _KEY, count[has], _FIXARRAY, _ARRAY_16)
        stamps_at = at + _KEY + _head(count)
        for frame in frames:
            stamps_at = _put_stamps(buffer, stamps_at, frame)
        at += _size(count)
    return ends, buffer.tobytes()


def _head(count: Any) -> Any:
    return np.where(count > _FEW, 3, 1)


def _size(count: Any) -> Any:
    """The size in bytes of a leaf with this many stamps; a leaf without stamps takes none."""
    return np.where(count > 0, _KEY + _head(count) + _STAMP.itemsize * count, 0)


def _put_stamps(buffer: Any, at: Any, frame: pl.DataFrame) -> Any:
    """Write a frame's stamps, each user's from their position on, newest first; returns the positions after them."""
    user = frame["user"].to_numpy()
    stamps = np.zeros(len(user), _STAMP)
    stamps["head"], stamps["time_is"], stamps["hash_is"] = _FIXARRAY | 2, _INT_64, _UINT_64
    stamps["time"], stamps["hash"] = frame["time"].to_numpy(), frame["hash"].to_numpy()
    counts = np.bincount(user, minlength=len(at))
    newer = np.repeat(np.cumsum(counts), counts) - np.arange(len(user)) - 1
    _put(buffer, at[user] + newer * _STAMP.itemsize, stamps)
    return at + counts * _STAMP.itemsize


def _put(buffer: Any, places: Any, records: Any) -> None:
    """Write records of one size at any positions."""
    size = records.dtype.itemsize
    if len(places):
        anywhere: Any = np.ndarray((len(buffer) - size + 1,), f"V{size}", buffer, strides=(1,))
        anywhere[places] = records.view(f"V{size}")


def _put_heads(buffer: Any, places: Any, counts: Any, short: int, long: int) -> None:
    """Write how many entries follow."""
    few = counts <= _FEW
    buffer[places[few]] = short | counts[few]
    places, many = places[~few], counts[~few]
    buffer[places] = long
    buffer[places + 1] = many >> 8
    buffer[places + 2] = many & 0xFF
