"""How the processes of a system are, as its supervisor says in a file."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

__all__ = ["PartState", "read_parts", "write_parts"]


class PartState(msgspec.Struct, frozen=True, omit_defaults=True):
    """A process: whether it runs, `since` when (seconds since the epoch), how often it was started again, and how it
    ended the last time.
    """

    name: str
    running: bool = False
    since: float = 0.0
    process: int = 0
    restarts: int = 0
    last: str = ""


def write_parts(path: Path, parts: Sequence[PartState]) -> None:
    """Say how they are; a reader sees the old file or the new one."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(msgspec.json.encode(list(parts)))
    os.replace(part, path)  # noqa: PTH105 - the same on every system


def read_parts(path: Path) -> list[PartState]:
    """What the supervisor said last; nothing where it has said nothing."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[PartState])
    except (OSError, msgspec.MsgspecError):
        return []
