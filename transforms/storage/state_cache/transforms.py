"""Sizes of values in the cache that Beam's workers keep of state, measured quickly (docs/decisions/0016).

Beam weighs a value at each read and write of state by objsize, which first walks the globals of every loaded module:
half a millisecond, more than all else that is done for an event. What stateful steps keep here is bytes and numbers,
whose sizes add up.
"""

import logging
from sys import getsizeof
from typing import Any

import apache_beam as beam
from apache_beam.runners.worker import statecache

__all__ = ["CHECKED", "deep_size", "weigh_quickly"]

#: The versions of Beam whose cache was read and measured.
CHECKED = frozenset({"2.77.0"})

_LEAVES = (bytes, int)
_stock = statecache.get_deep_size
_log = logging.getLogger(__name__)
_refused: set[str] = set()


def weigh_quickly(version: str = beam.__version__) -> bool:
    """Let this process's caches of state weigh by `deep_size`; whether they do. Call it where state is used.

    With a version of Beam that was not checked everything stays as it is, and the log says so once.
    """
    if version not in CHECKED:
        if version not in _refused:
            _refused.add(version)
            _log.warning("Beam %s was not checked: its cache of state weighs values slowly", version)
        return False
    statecache.get_deep_size = deep_size
    return True


def deep_size(*values: Any) -> int:
    """The memory that values take, in bytes: exact for bytes, numbers and lists of them; Beam's own for all else."""
    total = 0
    for value in values:
        kind = type(value)
        if kind is list:
            # Each once, as memory is: the same object may be in a list twice.
            distinct = value if len(value) < 2 else {id(item): item for item in value}.values()
            if not all(type(item) in _LEAVES for item in distinct):
                return int(_stock(*values))
            total += getsizeof(value) + sum(map(getsizeof, distinct))
        elif kind in _LEAVES:
            total += getsizeof(value)
        else:
            return int(_stock(*values))
    return total
