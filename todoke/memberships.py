"""`todoke backfill --write memberships`: who is in which segment as of a time; see `beam_pipelines.memberships`.

A kill is made good by running the command again.
"""

import sys
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
from todoke.in_beam import is_in_beam, without_step
from todoke.prism import with_prism
from todoke.run import run_bounded
from todoke.sources import opened
from todoke.terminal import cause_of
from transforms.campaigns.load import compiled
from transforms.errors import RunFailed
from transforms.events.files import UnreadableFile
from transforms.events.sources import Files
from transforms.events.transforms import read_messages
from transforms.segments.columns.layout import needs_of
from transforms.segments.columns.memberships import memberships as columns_of_users
from transforms.segments.warming import atoms
from transforms.storage.open import open_store
from transforms.storage.scratch.folder import scratch_folder
from transforms.storage.scratch.records import NoRoom
from transforms.storage.users import Users
from transforms.users.export import archive_messages
from transforms.users.prepare.listed import SCHEMA, encode_parquet, listed
from transforms.users.prepare.memberships.transforms import conditions_of
from transforms.users.prepare.prepare import prepare
from transforms.users.user import decode_user

__all__ = ["messages_of", "write_memberships"]

#: Users whose members one file has that is made of rows.
_AT_ONCE = 50_000
#: The count of files that were written.
_FILES = "files"


def write_memberships(asked: Backfill, beam_flags: Sequence[str]) -> dict[str, Any]:
    """Write them, and return the report.

    Raises:
      WrongUse: columns were asked for, and a condition has no columnar form; or the events are not there; or flags of
        Beam would be passed over.
      RunFailed: events cannot be read, or a file cannot be written.
      StoreError: the store cannot be read.
    """
    started = time.monotonic()
    out = asked.out
    assert out is not None
    engine = memberships.engine_of(asked, compiled(asked.config.definitions))
    in_beam = engine == "columns" and is_in_beam(beam_flags)
    if asked.of_archive:
        assert asked.store is not None
        open_store(asked.store, create=False).close()
    else:
        config = msgspec.structs.replace(asked.config, source=opened(asked.config.source))
        asked = msgspec.structs.replace(asked, config=config)
    try:
        memberships.begin(out)
        if in_beam:
            report = _in_beam(asked, beam_flags)
        else:
            write = _here if engine == "columns" else _by_rows
            sums, files = write(asked, beam_flags, memberships.unfinished(asked))
            report = memberships.finish(asked, engine, sums, files)
    except UnreadableFile as error:
        raise RunFailed(f"the events cannot be read: {without_step(error)}") from error
    except NoRoom as error:
        raise RunFailed(str(error)) from error
    except (OSError, RuntimeError, BeamIOError) as error:
        raise RunFailed(f"the memberships cannot be written: {cause_of(error)}") from error
    return report | {"files": len(report["files"]), "elapsed_s": round(time.monotonic() - started, 3)}


def _in_beam(asked: Backfill, beam_flags: Sequence[str]) -> dict[str, Any]:
    """By the runner that the flags name."""
    assert asked.out is not None
    pipeline = beam.Pipeline(options=PipelineOptions(with_prism(beam_flags), save_main_session=False))
    memberships.build(pipeline, asked, memberships.parts_of(asked))
    pipeline.run().wait_until_finish()
    return memberships.read_manifest(asked.out)


def _here(asked: Backfill, _beam_flags: Sequence[str], folder: str) -> tuple[Mapping[str, int], int]:
    """In this process, which spills to disk and not into memory; the sums, and how many files there are."""
    parts = memberships.parts_of(asked)
    definitions = compiled(asked.config.definitions)
    conditions, policies = conditions_of(asked.config.definitions), definitions.policies
    needs = needs_of(atom for condition in conditions.values() for atom in atoms(condition))
    with scratch_folder() as place:
        announced = definitions.routes.is_announcement
        done = prepare(messages_of(asked), needs, place, until=asked.as_of, parts=parts, announced=announced)
        sums = Counter(done.accounts)
        defaults = policies.default_zone, policies.default_region
        frames = columns_of_users(conditions, done.prepared, asked.as_of, *defaults)
        for number, frame in zip(range(parts), chain(frames, repeat(None)), strict=False):
            found = listed([] if frame is None else [frame], conditions)
            _write(f"{folder}/{number:05}.parquet", found)
            sums["users"] += 0 if frame is None else frame.height
            for name, many in found.group_by("segment").len().iter_rows():
                sums[f"segment {name}"] += many
    return sums, parts


def messages_of(asked: Backfill) -> Iterator[bytes]:
    """The events that are read, or the archive of the store."""
    if not asked.of_archive:
        yield from read_messages(opened(asked.config.source))
        return
    assert asked.store is not None
    store = open_store(asked.store, create=False)
    yield from archive_messages(store)
    store.close()


def _write(place: str, members: pl.DataFrame) -> None:
    with FileSystems.create(place) as file:
        file.write(encode_parquet(members))


def _by_rows(asked: Backfill, beam_flags: Sequence[str], folder: str) -> tuple[Mapping[str, int], int]:
    """A run over the events into a store of its own, which knows since when too; as `_here`."""
    with scratch_folder() as place:
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
    files = sums.pop(_FILES)
    accounts = {name: report[name] for name in ("read", "later", "applied", "deleted")}
    return {**sums, "dead_letter": report["dead_letters"], **accounts}, files


def _exported(asked: Backfill, place: Path) -> Files:
    """The archive of a store as a file."""
    lines = place / "archive.jsonl"
    with lines.open("wb") as file:
        file.writelines(message + b"\n" for message in messages_of(asked))
    return Files(str(lines))


def _write_users(store: Users, folder: str) -> Iterator[tuple[str, int]]:
    """Write the members that a store has, some users after others; counts, as those of columns, and of files."""
    rows = store.scan_users()
    for number in count():
        read, users = 0, 0
        found: list[tuple[str, str, int]] = []
        for row in islice(rows, _AT_ONCE):
            read += 1
            user = decode_user(row.state)
            if user.created is not None and user.owner is None:
                users += 1
                found += [(segment, user.id, since) for segment, since in user.members.items()]
        if not read and number:
            return
        times = pl.DataFrame(found, SCHEMA | {"since": pl.Int64}, orient="row").cast({"since": SCHEMA["since"]})
        _write(f"{folder}/{number:05}.parquet", times.sort("segment", "user"))
        yield _FILES, 1
        yield "users", users
        yield from times.group_by("segment").len().select("segment " + pl.col("segment"), "len").iter_rows()
