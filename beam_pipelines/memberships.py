"""The job that says who is in which segment as of a time: messages in, Parquet out. It sends nothing."""

import apache_beam as beam
import msgspec
from apache_beam.io.filesystems import FileSystems

from beam_pipelines.backfill_options import Backfill
from transforms.events.transforms import ReadEvents
from transforms.users.prepare.memberships.transforms import WriteMemberships
from transforms.users.prepare.transforms import ReadArchive

__all__ = ["SUMS", "build"]

#: The file with the counts of a job, beside those that it writes.
SUMS = "sums.json"


def build(pipeline: beam.Pipeline, asked: Backfill, parts: int, folder: str) -> None:
    """Add the job's steps to a pipeline; `parts` and `folder` are those of `WriteMemberships`."""
    assert not asked.of_archive or asked.store is not None
    read = ReadArchive(asked.store) if asked.of_archive and asked.store else ReadEvents(asked.config.source)
    counts = (
        pipeline
        | "Read" >> read
        | "Memberships" >> WriteMemberships(asked.config.definitions, asked.as_of, parts, folder)
    )
    _ = counts | "Together" >> beam.combiners.ToList() | "Sums" >> beam.Map(_write_sums, f"{folder}/{SUMS}")


def _write_sums(counts: list[tuple[str, int]], place: str) -> None:
    with FileSystems.create(place, mime_type="application/json") as file:
        file.write(msgspec.json.encode(dict(sorted(counts))))
