"""Who is in which segment, from messages, as Parquet."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from transforms.campaigns.load import Texts, compiled
from transforms.campaigns.release import Release
from transforms.campaigns.transforms import Announced
from transforms.events.sources import ReceivedMessage
from transforms.segments.columns.layout import Prepared, needs_of
from transforms.segments.columns.memberships import memberships
from transforms.segments.conditions import Condition
from transforms.segments.warming import atoms
from transforms.users.prepare.listed import encode_parquet, listed
from transforms.users.prepare.transforms import AskParts

__all__ = ["WriteMemberships", "conditions_of"]


def conditions_of(definitions: Texts | Release) -> dict[str, Condition]:
    """The conditions of segments by name."""
    return {name: segment.members for name, segment in compiled(definitions).segments.items()}


class WriteMemberships(beam.PTransform):
    """Write who is in which segment as Parquet, a file for each part of the users; see `listed`.

    The result is counts by name: how messages ended (`OUTCOMES` of `users.user`, without duplicates), `users`, and
    `segment NAME` for the members of each.

    Args:
      definitions: whose segments they are; all conditions have a columnar form.
      as_of: what arrived later does not count; microseconds UTC.
      parts: by how many the users are divided; a worker's memory follows the size of one.
      folder: on any file system that Beam knows.
    """

    def __init__(self, definitions: Texts | Release, as_of: int, parts: int, folder: str) -> None:
        super().__init__()
        self.definitions, self.as_of, self.parts, self.folder = definitions, as_of, parts, folder

    def expand(self, messages: beam.PCollection[ReceivedMessage]) -> Any:
        """Ask all segments of each part."""
        needs = needs_of(atom for condition in conditions_of(self.definitions).values() for atom in atoms(condition))
        write = _Write(self.definitions, self.as_of, self.folder)
        announced = Announced(self.definitions)
        ask = AskParts(needs, self.as_of, self.parts, write, tuple[str, int], announced=announced)
        asked = messages | "AskParts" >> ask
        counts = (asked["answers"], asked["counts"]) | "Counts" >> beam.Flatten()
        return counts | "Sum" >> beam.CombinePerKey(sum)


class _Write:
    """Ask all segments of the users of a part, and write who is in them."""

    def __init__(self, definitions: Texts | Release, as_of: int, folder: str) -> None:
        self.definitions, self.as_of, self.folder = definitions, as_of, folder

    def __call__(self, part: int, prepared: Prepared) -> Iterator[tuple[str, int]]:
        policies, conditions = compiled(self.definitions).policies, conditions_of(self.definitions)
        zone, region = policies.default_zone, policies.default_region
        frames = list(memberships(conditions, prepared, self.as_of, zone, region))
        found = listed(frames, conditions)
        _write(f"{self.folder}/{part:05}.parquet", encode_parquet(found))
        yield "users", sum(frame.height for frame in frames)
        for name, members in found.group_by("segment").len().iter_rows():
            yield f"segment {name}", members


def _write(place: str, data: bytes) -> None:
    """Write a file whole or not at all, also where somebody tries the same at the same time."""
    begun = f"{place}.{uuid4().hex}"
    with FileSystems.create(begun) as file:
        file.write(data)
    FileSystems.rename([begun], [place])
