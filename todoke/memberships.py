"""`todoke backfill --write memberships`: who is in which segment as of a time, as Parquet.

Files are written beside, and take their names when all are whole. `manifest.json` comes last: a folder without it is
unfinished, and whoever died is repeated by running the command again.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count, islice, repeat
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
import polars as pl
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console

from beam_pipelines import backfill as job
from beam_pipelines import memberships
from beam_pipelines.backfill_options import Backfill
from todoke.preflight import check_files
from todoke.run import run_bounded
from todoke.terminal import last_line
from transforms.campaigns.load import Definitions, compiled
from transforms.errors import RunFailed, WrongUse
from transforms.events.files import UnreadableFile
from transforms.events.sources import Files
from transforms.events.times import write_time
from transforms.events.transforms import read_files
from transforms.segments.columns.layout import NotColumnar, needs_of
from transforms.segments.columns.memberships import memberships as columns_of_users
from transforms.segments.warming import atoms
from transforms.storage.open import open_store
from transforms.storage.users import Users
from transforms.users.export import exported
from transforms.users.prepare.listed import SCHEMA, encode_parquet, listed
from transforms.users.prepare.memberships.transforms import conditions_of
from transforms.users.prepare.prepare import prepare
from transforms.users.user import decode_user

__all__ = ["MANIFEST", "write_memberships"]

MANIFEST = "manifest.json"
#: Where files are before all are whole.
_UNFINISHED = "unfinished"
#: How much of the input a part is, in bytes, and how many parts there are at least and at most: each chunk of events is
#: a file for each part.
_PART_BYTES, _FEWEST, _MOST = 12 << 20, 8, 200
#: How many parts there are of a store, whose size nobody knows.
_OF_STORE = 32
#: Users whose members one file has that is made of rows.
_AT_ONCE = 50_000


def write_memberships(asked: Backfill, beam_flags: Sequence[str]) -> dict[str, Any]:
    """Write them, and return the report.

    Raises:
      WrongUse: columns were asked for, and a condition has no columnar form; or the events are not there.
      RunFailed: events cannot be read, or a file cannot be written.
      StoreError: the store cannot be read.
    """
    started = time.monotonic()
    assert asked.out is not None
    definitions = compiled(asked.config.definitions)
    engine = engine_of(asked, definitions)
    if asked.of_archive:
        assert asked.store is not None
        open_store(asked.store, create=False).close()
    else:
        assert isinstance(asked.config.source, Files)
        check_files(asked.config.source)
    out = asked.out.rstrip("/")
    unfinished = f"{out}/{_UNFINISHED}"
    try:
        _empty(unfinished)
        write = _by_columns if engine == "columns" else _by_rows
        sums = write(asked, beam_flags, unfinished)
        segments = {name: sums.get(f"segment {name}", 0) for name in sorted(definitions.segments)}
        report = {
            "write": "memberships",
            "engine": engine,
            "definitions": definitions.definitions_hash,
            "as_of": write_time(asked.as_of),
            **_accounts(sums),
            "users": sums.get("users", 0),
            "members": sum(segments.values()),
            "segments": segments,
        }
        files = _finish(out, unfinished, report)
    except UnreadableFile as error:
        unreadable, _, _ = str(error).partition(" [while running ")  # Beam names the step
        raise RunFailed(f"the events cannot be read: {unreadable}") from error
    except (OSError, RuntimeError, BeamIOError) as error:
        raise RunFailed(
            f"the memberships cannot be written: {last_line(str(error)) or type(error).__name__}"
        ) from error
    return report | {"files": len(files), "elapsed_s": round(time.monotonic() - started, 3)}


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


def _accounts(sums: Mapping[str, int]) -> dict[str, int]:
    """How messages ended, as the report of a run names it: whatever did not end otherwise is a duplicate."""
    names = {"dead_letters": "dead_letter", "later": "later", "applied": "applied", "deleted": "deleted"}
    ended = {name: sums.get(outcome, 0) for name, outcome in names.items()}
    read = sums.get("read", 0)
    return {"read": read, **ended, "duplicates": read - sum(ended.values())}


def _by_columns(asked: Backfill, beam_flags: Sequence[str], folder: str) -> Mapping[str, int]:
    """By the runner that the flags name; without one in this process, which spills to disk and not into memory."""
    parts = _OF_STORE if asked.of_archive else _parts_of(asked.config.source.pattern)  # type: ignore[union-attr]
    if not any(flag.startswith("--runner") for flag in beam_flags):
        return _here(asked, parts, folder)
    pipeline = beam.Pipeline(options=PipelineOptions(list(beam_flags), save_main_session=False))
    memberships.build(pipeline, asked, parts, folder)
    pipeline.run().wait_until_finish()
    with FileSystems.open(f"{folder}/{memberships.SUMS}") as file:
        sums: dict[str, int] = msgspec.json.decode(file.read())
    FileSystems.delete([f"{folder}/{memberships.SUMS}"])
    return sums


def _here(asked: Backfill, parts: int, folder: str) -> Mapping[str, int]:
    """The same without Beam; the sums."""
    definitions = compiled(asked.config.definitions)
    conditions, policies = conditions_of(asked.config.definitions), definitions.policies
    needs = needs_of(atom for condition in conditions.values() for atom in atoms(condition))
    with tempfile.TemporaryDirectory(prefix="todoke-") as place:
        done = prepare(_messages(asked), needs, Path(place), until=asked.as_of, parts=parts)
        sums = Counter(done.accounts)
        defaults = policies.default_zone, policies.default_region
        frames = columns_of_users(conditions, done.prepared, asked.as_of, *defaults)
        for number, frame in zip(range(parts), chain(frames, repeat(None)), strict=False):
            found = listed([] if frame is None else [frame], conditions)
            _write(f"{folder}/{number:05}.parquet", found)
            sums["users"] += 0 if frame is None else frame.height
            for name, many in found.group_by("segment").len().iter_rows():
                sums[f"segment {name}"] += many
    return sums


def _messages(asked: Backfill) -> Iterator[bytes]:
    if not asked.of_archive:
        yield from read_files(asked.config.source)  # type: ignore[arg-type]
        return
    assert asked.store is not None
    store = open_store(asked.store, create=False)
    for _, call in exported(store, Counter()):
        yield msgspec.json.encode(call)
    store.close()


def _write(place: str, members: pl.DataFrame) -> None:
    with FileSystems.create(place) as file:
        file.write(encode_parquet(members))


def _parts_of(pattern: str) -> int:
    """By how many users are divided: so that a part of so large an input is held at once."""
    found = FileSystems.match([pattern])[0].metadata_list
    size: int = sum(
        each.size_in_bytes * (8 if each.path.endswith((".gz", ".parquet", ".avro")) else 1) for each in found
    )
    return max(_FEWEST, min(_MOST, size // _PART_BYTES))


def _by_rows(asked: Backfill, beam_flags: Sequence[str], folder: str) -> Mapping[str, int]:
    """A run over the events into a store of its own, which knows since when too; the sums."""
    with tempfile.TemporaryDirectory(prefix="todoke-") as name:
        place = Path(name)
        source = _exported(asked, place) if asked.of_archive else asked.config.source
        url, letters = f"sqlite:{place / 'history.db'}", str(place / "dead_letters.jsonl")
        config = msgspec.structs.replace(asked.config, source=source, store=url, dead_letters=letters)
        console = Console(file=sys.stderr, quiet=asked.log_format == "json")
        _, report = run_bounded(config, console=console, beam_flags=beam_flags, build=job.build)
        store = open_store(url)
        sums: Counter[str] = Counter()
        for counted, many in _write_users(store, folder):
            sums[counted] += many
        store.close()
    return {
        **sums,
        "dead_letter": report["dead_letters"],
        **{name: report[name] for name in ("read", "later", "applied", "deleted")},
    }


def _exported(asked: Backfill, place: Path) -> Files:
    """The archive of a store as a file."""
    lines = place / "archive.jsonl"
    with lines.open("wb") as file:
        file.writelines(message + b"\n" for message in _messages(asked))
    return Files(str(lines))


def _write_users(store: Users, folder: str) -> Iterator[tuple[str, int]]:
    """Write the members that a store has, some users after others; counts, as those of columns."""
    rows = store.scan_users()
    for number in count():
        users = [decode_user(row.state) for row in islice(rows, _AT_ONCE)]
        found = [
            (segment, user.id, since)
            for user in users
            if user.created is not None and user.owner is None
            for segment, since in user.members.items()
        ]
        if not users and number:
            return
        times = pl.DataFrame(found, SCHEMA | {"since": pl.Int64}, orient="row").cast({"since": SCHEMA["since"]})
        _write(f"{folder}/{number:05}.parquet", times.sort("segment", "user"))
        yield "users", sum(user.created is not None and user.owner is None for user in users)
        yield from times.group_by("segment").len().select("segment " + pl.col("segment"), "len").iter_rows()


def _empty(folder: str) -> None:
    """Delete what somebody who died left."""
    if FileSystems.exists(folder):
        FileSystems.delete([folder])
    if left := _files(f"{folder}/*"):  # of a bucket, which has no folders
        FileSystems.delete(left)


def _finish(out: str, unfinished: str, report: Mapping[str, Any]) -> list[str]:
    """Give the files their names, and say in a manifest which they are."""
    made = sorted(_files(f"{unfinished}/*.parquet"))
    names = [f"memberships-{place.rpartition('/')[2]}" for place in made]
    manifest = f"{out}/{MANIFEST}"
    if FileSystems.exists(manifest):
        FileSystems.delete([manifest])
    if old := [place for place in _files(f"{out}/memberships-*.parquet") if place.rpartition("/")[2] not in names]:
        FileSystems.delete(old)
    FileSystems.rename(made, [f"{out}/{name}" for name in names])
    _empty(unfinished)
    begun = f"{out}/{MANIFEST}.part"
    with FileSystems.create(begun, mime_type="application/json") as file:
        file.write(msgspec.json.format(msgspec.json.encode({**report, "files": names}), indent=2) + b"\n")
    FileSystems.rename([begun], [manifest])
    return names


def _files(pattern: str) -> list[str]:
    return [metadata.path for metadata in FileSystems.match([pattern])[0].metadata_list]
