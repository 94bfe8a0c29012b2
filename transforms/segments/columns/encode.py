"""Marks as MessagePack, all users of a frame at once.

A mark is two 64-bit integers and takes 19 bytes. So every place is known beforehand, and a column is written at once;
one user after another, with an object for each mark, takes several times as long. The result is what msgspec would
decode as `dict[int, tuple[tuple[int, int], ...]]` (msgpack.org: fixmap, map 16, fixarray, array 16, int 64, uint 64).
"""

from typing import Any

import numpy as np
import polars as pl

__all__ = ["encode_marks"]

_FIXMAP, _MAP_16, _FIXARRAY, _ARRAY_16, _UINT_64, _INT_64 = 0x80, 0xDE, 0x90, 0xDC, 0xCF, 0xD3
_MARK, _KEY = 19, 9
#: As many entries fit into a head of one byte; more take three.
_FEW = 15


def encode_marks(marks: pl.DataFrame, users: int) -> tuple[Any, bytes]:
    """Where each user's part ends, and the parts of all users one after another, users without marks too.

    `marks` has columns `user` (0 to `users` - 1), `leaf`, `time` and `mark`, sorted by user and leaf.
    """
    user = marks["user"].to_numpy().astype(np.int64)
    leaf = marks["leaf"].to_numpy()
    of_user = np.flatnonzero(np.concatenate(([True], user[1:] != user[:-1]))) if len(user) else np.zeros(0, np.int64)
    changes = np.concatenate(([True], (user[1:] != user[:-1]) | (leaf[1:] != leaf[:-1]))) if len(user) else of_user
    of_leaf = np.flatnonzero(changes)
    marks_in_leaf = np.diff(of_leaf, append=len(user))
    leaves_in_user = np.bincount(user[of_leaf], minlength=users)

    map_head = np.where(leaves_in_user > _FEW, 3, 1)
    array_head = np.where(marks_in_leaf > _FEW, 3, 1)
    before_mark = np.zeros(len(user), np.int64)
    before_mark[of_leaf] = _KEY + array_head
    # Users without marks have their head and nothing else, so heads are counted by user, not by mark.
    heads = np.cumsum(map_head)
    mark_at = np.cumsum(before_mark + _MARK) - _MARK + heads[user]
    leaf_at = mark_at[of_leaf] - before_mark[of_leaf]
    sizes = map_head + np.bincount(user, before_mark + _MARK, minlength=users).astype(np.int64)
    ends = np.cumsum(sizes)
    buffer = np.zeros(int(ends[-1]) if users else 0, np.uint8)
    _put_heads(buffer, ends - sizes, leaves_in_user, _FIXMAP, _MAP_16)
    buffer[leaf_at] = _UINT_64
    _put_64(buffer, leaf_at + 1, leaf[of_leaf])
    _put_heads(buffer, leaf_at + _KEY, marks_in_leaf, _FIXARRAY, _ARRAY_16)
    buffer[mark_at] = _FIXARRAY | 2
    buffer[mark_at + 1] = _INT_64
    _put_64(buffer, mark_at + 2, marks["time"].to_numpy())
    buffer[mark_at + 10] = _UINT_64
    _put_64(buffer, mark_at + 11, marks["mark"].to_numpy())
    return ends, buffer.tobytes()


def _put_64(buffer: Any, places: Any, values: Any) -> None:
    """Write 64-bit integers, the highest byte first."""
    octets = values.astype(values.dtype.newbyteorder(">")).view(np.uint8).reshape(-1, 8)
    for number in range(8):
        buffer[places + number] = octets[:, number]


def _put_heads(buffer: Any, places: Any, counts: Any, short: int, long: int) -> None:
    """Write how many entries follow."""
    few = counts <= _FEW
    buffer[places[few]] = short | counts[few]
    many, places = counts[~few], places[~few]
    buffer[places] = long
    buffer[places + 1] = many >> 8
    buffer[places + 2] = many & 0xFF
