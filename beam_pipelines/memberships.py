"""The job that says who is in which segment as of a time: messages in, Parquet out. It sends nothing.

Files are written beside, and take their names when all are whole. `manifest.json` comes last: a folder without it is
unfinished. Whoever died is repeated by starting the job again, and a step that is tried again goes on where it stood.
Of two jobs at once for one folder, the one that began later makes it, and the other fails: no file of one is among
those of the other.
"""

import logging
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.io.filesystems import FileSystems

from beam_pipelines.backfill_options import Backfill
from beam_pipelines.written import write_json
from transforms.campaigns.load import Definitions, compiled
from transforms.errors import RunFailed, WrongUse
from transforms.events.sources import Files, Source, TableStreams
from transforms.events.times import write_time
from transforms.events.transforms import ReadEvents, found_files
from transforms.segments.columns.layout import NotColumnar, needs_of
from transforms.segments.warming import atoms
from transforms.users.prepare.memberships.transforms import WriteMemberships
from transforms.users.prepare.transforms import ReadArchive

__all__ = [
    "MANIFEST",
    "accounts_of",
    "begin",
    "build",
    "engine_of",
    "finish",
    "parts_of",
    "read_manifest",
    "unfinished",
]

_log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
#: How files are called when all are whole.
_PREFIX = "memberships-"
_NAMED = f"{_PREFIX}*.parquet"
#: How much of the input a part is, in bytes, and how many parts there are at least. There are no more than `_MOST`
#: before a part is `_LARGE_PART`, since each chunk of events is a blob for each part; and never more than `_BOUND`.
_PART_BYTES, _LARGE_PART = 12 << 20, 64 << 20
_FEWEST, _MOST, _BOUND = 8, 200, 4_096
#: How many parts there are of a store, whose size nobody knows.
_OF_STORE = 64
#: How much larger events are than they lie in a file of these kinds.
_PACKED = {".gz": 8, ".parquet": 8, ".avro": 8}


def build(pipeline: beam.Pipeline, asked: Backfill, parts: int, report: str | None = None) -> None:
    """Add the job's steps to a pipeline; `report` is a file that gets the report, beside the manifest."""
    assert asked.out is not None
    assert not asked.of_archive or asked.store is not None
    read = ReadArchive(asked.store) if asked.of_archive and asked.store else ReadEvents(asked.config.source)
    write = WriteMemberships(asked.config.definitions, asked.as_of, parts, unfinished(asked))
    counts = pipeline | "Read" >> read | "Memberships" >> write
    _ = counts | "Together" >> beam.combiners.ToList() | "Finish" >> beam.Map(_finish, asked, parts, report)


def _finish(counts: Iterable[tuple[str, int]], asked: Backfill, parts: int, report: str | None) -> None:
    done = finish(asked, "columns", dict(counts), parts)
    _log.info("report: %s", msgspec.json.encode(done).decode())
    if report is not None:
        write_json(report, done)


def engine_of(asked: Backfill, definitions: Definitions) -> str:
    """Columns where all conditions have a columnar form, unless rows are asked for.

    Raises:
      WrongUse: columns were asked for, and a condition has no columnar form.
    """
    if asked.engine == "rows":
        return "rows"
    for name, segment in definitions.segments.items():
        try:
            needs_of(atoms(segment.members))
        except NotColumnar as kind:
            if asked.engine is None:
                return "rows"
            raise WrongUse(f"--engine: `{kind}` in {name} has no columnar form: use --engine rows") from kind
    return "columns"


def parts_of(asked: Backfill) -> int:
    """By how many users are divided: so that a worker holds a part of so large an input at once."""
    if asked.of_archive:
        return _OF_STORE
    size = _size(asked.config.source)
    return min(_BOUND, max(_FEWEST, min(_MOST, size // _PART_BYTES), size // _LARGE_PART))


def _size(source: Source) -> int:
    """About how many bytes the events are as lines of JSON."""
    if isinstance(source, TableStreams):
        return source.size
    assert isinstance(source, Files)
    size = 0
    for path, bytes_of in found_files(source.pattern):
        size += bytes_of * next((times for ending, times in _PACKED.items() if path.endswith(ending)), 1)
    return size


def unfinished(asked: Backfill) -> str:
    """Where the files of a run are before all are whole; no other run has the same folder."""
    assert asked.out is not None
    return f"{_unfinished(asked.out)}/{asked.config.launched}"


def _unfinished(out: str) -> str:
    return f"{out.rstrip('/')}/unfinished"


def begin(out: str) -> None:
    """Delete what somebody who died left: the files of a folder without a manifest, too.

    Whoever works on the folder yet loses its files, and fails when it is to give them their names.
    """
    _delete_folder(_unfinished(out))
    place = out.rstrip("/")
    if not FileSystems.exists(f"{place}/{MANIFEST}"):
        _delete(_files(place, _NAMED))


def _delete_folder(folder: str) -> None:
    if FileSystems.exists(folder):
        _delete([folder])
    _delete(_files(folder, "**"))  # of a bucket, which has no folders


def finish(asked: Backfill, engine: str, sums: Mapping[str, int], files: int) -> dict[str, Any]:
    """Give the files their names, and say in a manifest which they are; returns what it says.

    May be called again after any death in it. No file is under its name while another run's manifest is there, and what
    another run has made stays until all files of this one are there.

    Raises:
      RunFailed: a file is not there.
    """
    assert asked.out is not None
    definitions, out = compiled(asked.config.definitions), asked.out.rstrip("/")
    segments = {name: sums.get(f"segment {name}", 0) for name in sorted(definitions.segments)}
    names = [f"{_PREFIX}{number:05}.parquet" for number in range(files)]
    report = {
        "write": "memberships",
        "engine": engine,
        "definitions": definitions.definitions_hash,
        "as_of": write_time(asked.as_of),
        **accounts_of(sums),
        "users": sums.get("users", 0),
        "members": sum(segments.values()),
        "segments": segments,
        "files": names,
    }
    made = unfinished(asked)
    if _ended(out, made, report):
        return report
    _name_files(out, made, names)
    _delete_folder(made)
    if "://" not in out:
        with suppress(OSError):  # somebody else works on the folder, too
            Path(_unfinished(out)).rmdir()
    write_json(f"{out}/{MANIFEST}", report)
    return report


def _ended(out: str, folder: str, report: Mapping[str, Any]) -> bool:
    """Whether a try before this one came to its end, and the runner did not hear of it."""
    return (
        FileSystems.exists(f"{out}/{MANIFEST}")
        and not _files(folder, "*.parquet")
        and read_manifest(out) == report
        and _names(_files(out, _NAMED)) == {*report["files"]}
    )


def _name_files(out: str, folder: str, names: list[str]) -> None:
    made, there = _names(_files(folder, "*.parquet")), _names(_files(out, _NAMED))
    waiting = [name for name in names if name.removeprefix(_PREFIX) in made]
    of_another = FileSystems.exists(f"{out}/{MANIFEST}")  # else a try before this one has named some
    if lost := sorted({*names} - {*waiting} - (set() if of_another else there)):
        raise RunFailed(f"{out}: {lost[0]} is not there: another run began to write the folder, or deleted it")
    if of_another:  # whatever is named from here on is of this run
        _delete([f"{out}/{MANIFEST}"])
    _delete(f"{out}/{name}" for name in sorted(there if of_another else there - {*names}))
    sources = [f"{folder}/{name.removeprefix(_PREFIX)}" for name in waiting]
    FileSystems.rename(sources, [f"{out}/{name}" for name in waiting])


def read_manifest(out: str) -> dict[str, Any]:
    """What the manifest says."""
    with FileSystems.open(f"{out.rstrip('/')}/{MANIFEST}") as file:
        found: dict[str, Any] = msgspec.json.decode(file.read())
    return found


def accounts_of(sums: Mapping[str, int]) -> dict[str, int]:
    """How messages ended, as the report of a run names it: whatever did not end otherwise is a duplicate."""
    names = {"dead_letters": "dead_letter", "later": "later", "applied": "applied", "deleted": "deleted"}
    ended = {name: sums.get(outcome, 0) for name, outcome in names.items()}
    read = sums.get("read", 0)
    return {"read": read, **ended, "duplicates": read - sum(ended.values())}


def _files(folder: str, pattern: str) -> list[str]:
    """Files of a folder. Beam cannot quote what would be a sign of a pattern in the folder's own name."""
    if "://" not in folder:
        return [str(file) for file in Path(folder).glob(pattern)]
    return [metadata.path for metadata in FileSystems.match([f"{folder}/{pattern}"])[0].metadata_list]


def _names(places: Iterable[str]) -> set[str]:
    return {place.rpartition("/")[2] for place in places}


def _delete(places: Iterable[str]) -> None:
    """Delete files in their order, and folders whole."""
    for place in places:
        if "://" in place:
            FileSystems.delete([place])
        elif Path(place).is_dir():
            shutil.rmtree(place)
        else:
            Path(place).unlink()
