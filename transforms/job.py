"""What the steps of a job share in one process: one thing of each kind, found by the job's key.

A step is written as bytes and read elsewhere, mostly in the same process. Its job's key comes along, so that steps
that were made apart find the same things, and two jobs in one process have nothing in common. Beam's own `Shared` keeps
only what was asked for last, and lets go of what no step holds, such as counts between two bundles.
"""

import gc
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar
from uuid import uuid4

import msgspec

__all__ = ["Job", "collect_seldom"]

_Part = TypeVar("_Part")
#: By job, then by kind and name. The code that began a job closes it.
_parts: dict[str, dict[tuple[Any, str], Any]] = {}
_lock = Lock()


#: So many objects are made before Python looks for those that hold each other; with its own 700 a push takes a quarter
#: longer.
_MADE = 20_000


def collect_seldom() -> None:
    """Let this process look for garbage in circles seldom. Steps make many objects at a time, and hardly a circle."""
    gc.set_threshold(_MADE)


def _new_key() -> str:
    return uuid4().hex


class Job(msgspec.Struct, frozen=True):
    """A job as its steps know it; a new one has a key of its own."""

    key: str = msgspec.field(default_factory=_new_key)

    def part(self, kind: Callable[[], _Part], name: str = "") -> _Part:
        """The job's one `kind` of that name in this process, made by calling `kind` where there is none."""
        with _lock:
            parts = _parts.setdefault(self.key, {})
            if (kind, name) not in parts:
                parts[kind, name] = kind()
            found: _Part = parts[kind, name]
        return found

    def close(self) -> None:
        """Forget what the job has in this process; what can be closed is."""
        with _lock:
            parts = _parts.pop(self.key, {})
        for part in parts.values():
            if close := getattr(part, "close", None):
                close()
