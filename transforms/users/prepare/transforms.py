"""Memberships by columns as Beam transforms: messages in; for each part of the users a file of who is in which segment.

What goes from step to step are blobs: Parquet of many rows of one part (see `spill`). A step holds one part at a time,
and spills what it is given of it. Visitors come first, so that their rows go to whose they are; users who were merged
or deleted are few, and are settled in one place.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import apache_beam as beam
import msgspec
import polars as pl
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import with_input_types, with_output_types
from apache_beam.utils.windowed_value import WindowedValue

from transforms.campaigns.load import Texts, compiled
from transforms.campaigns.release import Release
from transforms.events.decode import Refused, decode
from transforms.events.sources import ReceivedMessage
from transforms.segments.columns.layout import Needs, Prepared, needs_of
from transforms.segments.columns.memberships import memberships
from transforms.segments.conditions import Condition
from transforms.segments.warming import atoms
from transforms.storage.transforms import StoreDoFn
from transforms.users.export import exported
from transforms.users.prepare.listed import encode_parquet, listed
from transforms.users.prepare.parts import write_part
from transforms.users.prepare.spill import RowBuilder, divided, scanned
from transforms.users.prepare.whose import own, replay
from transforms.users.user import ANONYMOUS, route

__all__ = ["ReadArchive", "WriteMemberships", "conditions_of"]

#: The outputs of steps: rows of visitors, of users, pairs of an alias, and counts.
_VISITORS, _USERS, _ALIASES, _COUNTS = "visitors", "users", "aliases", "counts"
#: A part and some of its rows.
_Blob = tuple[int, bytes]
_WHOLE = (GlobalWindow(),)


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
        """Decode and divide, see whose each row is, and ask."""
        asked = _Asked(self.definitions, self.as_of, self.parts)
        made = messages | "Divide" >> beam.ParDo(_Divide(asked)).with_outputs()
        owned = made[_VISITORS] | "Visitors" >> beam.GroupByKey() | "Own" >> beam.ParDo(_Own(self.parts))
        # Each part gets a file, also one without users.
        each = messages.pipeline | "Parts" >> beam.Create([(part, b"") for part in range(self.parts)])
        grouped = (made[_USERS], owned, each) | "OfUsers" >> beam.Flatten() | "Users" >> beam.GroupByKey()
        aliases = made[_ALIASES] | "Aliases" >> beam.Distinct()
        touched = beam.pvalue.AsList(
            grouped | "Touched" >> beam.ParDo(_touched, beam.pvalue.AsList(aliases)) | "TouchedOnce" >> beam.Distinct()
        )
        settled = (
            grouped
            | "OfTouched" >> beam.FlatMap(_rows_of, touched).with_output_types(_Blob)
            | "Together" >> beam.GroupByKey()
            | "Settle" >> beam.ParDo(_Settle(self.parts)).with_outputs(_COUNTS, main=_USERS)
        )
        by_part = settled[_USERS] | "Settled" >> beam.GroupByKey()
        asks = _Ask(asked, self.folder)
        written = grouped | "Ask" >> beam.ParDo(asks, touched, beam.pvalue.AsDict(by_part))
        return (
            (made[_COUNTS], settled[_COUNTS], written) | "Counts" >> beam.Flatten() | "Sum" >> beam.CombinePerKey(sum)
        )


class ReadArchive(beam.PTransform):
    """The archive of a store as messages, see `users.export`."""

    def __init__(self, store: str) -> None:
        super().__init__()
        self.store = store

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[ReceivedMessage]:
        """Read all of it in one place."""
        return begin | "Archive" >> beam.Create([self.store]) | "Export" >> beam.ParDo(_Export(self.store))


@with_output_types(ReceivedMessage)
class _Export(StoreDoFn):
    def process(self, store: str) -> Iterator[ReceivedMessage]:
        for _, call in exported(self._store, Counter()):
            yield msgspec.json.encode(call), store, None, ""


class _Asked(NamedTuple):
    """What is asked of whom."""

    definitions: Texts | Release
    as_of: int
    parts: int

    @property
    def needs(self) -> Needs:
        """What the conditions read."""
        return needs_of(atom for condition in conditions_of(self.definitions).values() for atom in atoms(condition))


@with_input_types(ReceivedMessage)
class _Divide(beam.DoFn):
    """Decode, and put rows of a part together."""

    def __init__(self, asked: _Asked) -> None:
        self._asked = asked

    def start_bundle(self) -> None:
        self._rows = RowBuilder(self._asked.needs)
        self._counts: Counter[str] = Counter()

    def process(self, message: ReceivedMessage) -> Iterator[Any]:
        payload = message[0]
        if not payload or payload.isspace():
            return
        self._counts["read"] += 1
        try:
            event, _ = decode(payload, message[2])
        except Refused:
            self._counts["dead_letter"] += 1
            return
        if event.arrival > self._asked.as_of:
            self._counts["later"] += 1
            return
        if event.type == "alias" and event.previous is not None and event.previous != event.user:
            yield beam.pvalue.TaggedOutput(_ALIASES, (event.previous, str(event.user)))
        self._rows.add(route(event), event)
        if self._rows.full:
            yield from self._drained()

    def finish_bundle(self) -> Iterator[Any]:
        for tagged in self._drained():
            yield beam.pvalue.TaggedOutput(tagged.tag, WindowedValue(tagged.value, GlobalWindow().start, _WHOLE))
        for count in self._counts.items():
            at = WindowedValue(count, GlobalWindow().start, _WHOLE)
            yield beam.pvalue.TaggedOutput(_COUNTS, at)

    def _drained(self) -> Iterator[Any]:
        rows = self._rows.drain()
        visits = pl.col("key").str.starts_with(ANONYMOUS)
        for name, some in ((_VISITORS, rows.filter(visits)), (_USERS, rows.filter(~visits))):
            for blob in _blobs(some, self._asked.parts):
                yield beam.pvalue.TaggedOutput(name, blob)


@with_input_types(tuple[int, Iterable[bytes]])
@with_output_types(_Blob)
class _Own(beam.DoFn):
    """Give the rows of visitors to whose they are."""

    def __init__(self, parts: int) -> None:
        self._parts = parts

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[_Blob]:
        with _spilled(element[1]) as rows:
            yield from _blobs(own(rows.collect()), self._parts)


def _touched(element: tuple[int, Iterable[bytes]], aliases: list[tuple[str, str]]) -> Iterator[str]:
    """Users of a part who were deleted or merged, and into whom; see `prepare.prepare`."""
    owners: dict[str, set[str]] = {}
    for previous, owner in aliases:
        owners.setdefault(previous, set()).add(owner)
    with _spilled(element[1]) as rows:
        yield from rows.filter(pl.col("type") == "delete").select("user_id").unique().collect()["user_id"].to_list()
        # Most previous ids are anonymous: no user goes by that id, and nobody else took it over.
        known = rows.filter(pl.col("key").is_in(list(owners))).select("key").unique().collect()["key"].to_list()
    for previous in {*known, *(name for name, taken in owners.items() if len(taken) > 1)}:
        yield previous
        yield from owners[previous]


def _rows_of(element: tuple[int, Iterable[bytes]], touched: list[str]) -> Iterator[_Blob]:
    """The rows of those users, who are settled in one place."""
    if touched:
        with _spilled(element[1]) as rows:
            found = rows.filter(pl.col("key").is_in(touched)).collect()
        if not found.is_empty():
            yield 0, _blob(found)


@with_input_types(tuple[int, Iterable[bytes]])
class _Settle(beam.DoFn):
    """The rows of users who were merged or deleted, as the state machine leaves them."""

    def __init__(self, parts: int) -> None:
        self._parts = parts

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        with _spilled(element[1]) as found:
            rows, accounts = replay(found.collect())
        for count in accounts.items():
            yield beam.pvalue.TaggedOutput(_COUNTS, count)
        yield from _blobs(rows, self._parts)


@with_output_types(tuple[str, int])
class _Ask(beam.DoFn):
    """Ask all segments of the users of a part, and write who is in them."""

    def __init__(self, asked: _Asked, folder: str) -> None:
        self._asked, self._folder = asked, folder

    def process(
        self, element: tuple[int, Iterable[bytes]], touched: list[str], settled: dict[int, Iterable[bytes]]
    ) -> Iterator[tuple[str, int]]:
        part, blobs = element
        definitions = compiled(self._asked.definitions)
        conditions, policies, needs = (
            conditions_of(self._asked.definitions),
            definitions.policies,
            self._asked.needs,
        )
        with (
            tempfile.TemporaryDirectory(prefix="todoke-") as place,
            _spilled(blobs) as rows,
            _spilled(settled.get(part, ())) as settled_rows,
        ):
            own_rows = rows.filter(~pl.col("key").is_in(touched))
            partition, applied = write_part(part, own_rows, settled_rows, needs, Path(place))
            prepared = Prepared(self._asked.as_of, needs, () if partition is None else (partition,), place)
            zone, region = policies.default_zone, policies.default_region
            frames = list(memberships(conditions, prepared, self._asked.as_of, zone, region))
        found = listed(frames, conditions)
        _write(f"{self._folder}/{part:05}.parquet", encode_parquet(found))
        yield "applied", applied
        yield "users", sum(frame.height for frame in frames)
        for name, members in found.group_by("segment").len().iter_rows():
            yield f"segment {name}", members


def _write(place: str, data: bytes) -> None:
    """Write a file whole or not at all, also where somebody tries the same at the same time."""
    begun = f"{place}.{uuid4().hex}"
    with FileSystems.create(begun) as file:
        file.write(data)
    FileSystems.rename([begun], [place])


@contextmanager
def _spilled(blobs: Iterable[bytes]) -> Iterator[pl.LazyFrame]:
    """The rows of blobs, scanned from files that are there while this is open."""
    with tempfile.TemporaryDirectory(prefix="todoke-") as place:
        files: list[Path] = []
        for blob in blobs:
            if blob:
                files.append(Path(place) / f"{len(files):06}.parquet")
                files[-1].write_bytes(blob)
        yield scanned(files)


def _blobs(rows: pl.DataFrame, parts: int) -> Iterator[_Blob]:
    for part, some in divided(rows, parts):
        yield part, _blob(some)


def _blob(rows: pl.DataFrame) -> bytes:
    held = BytesIO()
    rows.write_parquet(held, compression="lz4")
    return held.getvalue()
