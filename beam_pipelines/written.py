"""Files that the last step of a job writes."""

from typing import Any
from uuid import uuid4

import msgspec
from apache_beam.io.filesystems import FileSystems

__all__ = ["write_json"]


def write_json(place: str, value: Any) -> None:
    """Write a file on any file system that Beam knows, whole or not at all, also where two do it at once."""
    begun = f"{place}.{uuid4().hex}"
    with FileSystems.create(begun, mime_type="application/json") as file:
        file.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
    FileSystems.rename([begun], [place])
