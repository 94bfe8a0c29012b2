"""Questions to a history by columns as Beam transforms: messages in, for each part of the users its answer.

What goes from step to step are blobs: Parquet of many rows of one part (see `spill`). A step holds one part at a time,
and spills what it is given of it. Visitors come first, so that their rows go to whose they are. Users who were merged
into others are few, and are settled in one place; users who were deleted are settled with their part. What a step needs
to know of other users it looks up by part.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import apache_beam as beam
import polars as pl
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import with_input_types, with_output_types
from apache_beam.utils.windowed_value import WindowedValue

from transforms.events.decode import Refused, decode_announced
from transforms.events.sources import ReceivedMessage
from transforms.segments.columns.layout import Needs, Prepared
from transforms.storage.scratch.folder import scratch_folder
from transforms.storage.scratch.records import NoRoom
from transforms.storage.transforms import StoreDoFn
from transforms.users.export import archive_messages
from transforms.users.prepare.parts import write_part
from transforms.users.prepare.spill import RowBuilder, divided, scanned
from transforms.users.prepare.whose import own, replay
from transforms.users.user import ANONYMOUS, route

__all__ = ["AskParts", "ReadArchive"]

#: The outputs of steps: rows of visitors, of users, pairs of an alias, ids who are settled, counts, and answers.
_VISITORS, _USERS, _ALIASES, _TOUCHED, _COUNTS, _ANSWERS = (
    "visitors",
    "users",
    "aliases",
    "touched",
    "counts",
    "answers",
)
#: A part and some of its rows.
_Blob = tuple[int, bytes]
#: The part of an id, the id, and whether it was merged (a previous id, or whose it became), or only deleted.
_Touched = tuple[int, tuple[str, bool]]
#: The group in which all who were merged are settled.
_TOGETHER = -1
_WHOLE = (GlobalWindow(),)


class AskParts(beam.PTransform):
    """Prepare the history of all users, some after others, and ask.

    The result has two outputs: `answers`, and `counts` by name of how messages ended (`OUTCOMES` of `users.user`,
    without duplicates), which are to be summed.

    Args:
      needs: what is asked of events and users.
      until: what arrived later does not count; microseconds UTC.
      parts: by how many the users are divided; a worker's memory follows the size of one.
      ask: gives the answers of a part, by its number, from what was prepared: all of its users, or none.
      kind: of an answer, for Beam's coders.
      announced: see `decode_announced`; no question is of what concerns no user.
    """

    def __init__(
        self,
        needs: Needs,
        until: int,
        parts: int,
        ask: Callable[[int, Prepared], Iterable[Any]],
        kind: Any,
        *,
        announced: Callable[[str], bool],
    ) -> None:
        super().__init__()
        self.needs, self.until, self.parts, self.ask, self.kind = needs, until, parts, ask, kind
        self.announced = announced

    def expand(self, messages: beam.PCollection[ReceivedMessage]) -> Any:
        """Decode and divide, see whose each row is, and ask."""
        divide = _Divide(self.needs, self.until, self.parts, self.announced)
        made = messages | "Divide" >> beam.ParDo(divide).with_outputs()
        owned = made[_VISITORS] | "Visitors" >> beam.GroupByKey() | "Own" >> beam.ParDo(_Own(self.parts))
        # Each part gets an answer, also one without users.
        each = messages.pipeline | "Parts" >> beam.Create([(part, b"") for part in range(self.parts)])
        grouped = (made[_USERS], owned, each) | "OfUsers" >> beam.Flatten() | "Users" >> beam.GroupByKey()
        aliases = beam.pvalue.AsMultiMap(made[_ALIASES])
        merged = grouped | "Merged" >> beam.ParDo(_Merged(self.parts), aliases)
        touched = (made[_TOUCHED], merged) | "Touched" >> beam.Flatten() | "TouchedOnce" >> beam.Distinct()
        of_part = beam.pvalue.AsMultiMap(touched)
        settled = (
            grouped
            | "OfTouched" >> beam.ParDo(_OfTouched(), of_part)
            | "Together" >> beam.GroupByKey()
            | "Settle" >> beam.ParDo(_Settle(self.parts)).with_outputs(_COUNTS, main=_USERS)
        )
        asks = beam.ParDo(_Ask(self), of_part, beam.pvalue.AsMultiMap(settled[_USERS]))
        asked = grouped | "Ask" >> asks.with_outputs(_COUNTS, main=_ANSWERS)
        counts = (made[_COUNTS], settled[_COUNTS], asked[_COUNTS]) | "Counts" >> beam.Flatten()
        kinds = beam.Map(_same).with_output_types(self.kind)
        return {"answers": asked[_ANSWERS] | "Answers" >> kinds, "counts": counts}


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
    makes_store = False

    def process(self, store: str) -> Iterator[ReceivedMessage]:
        for message in archive_messages(self._store):
            yield message, store, None, ""


def _same(answer: Any) -> Any:
    return answer


@with_input_types(ReceivedMessage)
class _Divide(beam.DoFn):
    """Decode, and put rows of a part together."""

    def __init__(self, needs: Needs, until: int, parts: int, announced: Callable[[str], bool]) -> None:
        self._needs, self._until, self._parts, self._announced = needs, until, parts, announced

    def start_bundle(self) -> None:
        self._rows = RowBuilder(self._needs)
        self._counts: Counter[str] = Counter()

    def process(self, message: ReceivedMessage) -> Iterator[Any]:
        payload = message[0]
        if not payload or payload.isspace():
            return
        self._counts["read"] += 1
        try:
            event, _ = decode_announced(payload, message[2], self._announced)
        except Refused:
            self._counts["dead_letter"] += 1
            return
        if event.arrival > self._until:
            self._counts["later"] += 1
            return
        if event.user is None and event.anonymous is None:
            self._counts["applied"] += 1
            return
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
            for blob in _blobs(some, self._parts):
                yield beam.pvalue.TaggedOutput(name, blob)
        said = pl.col("previous").is_not_null() & (pl.col("previous") != pl.col("user_id"))
        aliases = rows.filter(said & (pl.col("type") == "alias")).select(key="previous", owner="user_id")
        for part, some in divided(aliases.unique(), self._parts):
            for pair in some.iter_rows():
                yield beam.pvalue.TaggedOutput(_ALIASES, (part, pair))
        deleted = rows.filter(pl.col("type") == "delete")["user_id"].unique()
        for touched in _touched(deleted, self._parts, merged=False):
            yield beam.pvalue.TaggedOutput(_TOUCHED, touched)


def _touched(names: Iterable[str], parts: int, *, merged: bool) -> Iterator[_Touched]:
    for part, some in divided(pl.DataFrame({"key": pl.Series(list(names), dtype=pl.String)}), parts):
        for name in some["key"].to_list():
            yield part, (name, merged)


@with_input_types(tuple[int, Iterable[bytes]])
@with_output_types(_Blob)
class _Own(beam.DoFn):
    """Give the rows of visitors to whose they are."""

    def __init__(self, parts: int) -> None:
        self._parts = parts

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[_Blob]:
        with _spilled(element[1]) as rows:
            yield from _blobs(own(rows.collect()), self._parts)


@with_output_types(_Touched)
class _Merged(beam.DoFn):
    """Users of a part who were merged, and into whom; see `prepare.prepare`."""

    def __init__(self, parts: int) -> None:
        self._parts = parts

    def process(
        self, element: tuple[int, Iterable[bytes]], aliases: dict[int, Iterable[tuple[str, str]]]
    ) -> Iterator[_Touched]:
        owners: dict[str, set[str]] = {}
        for previous, owner in aliases[element[0]]:
            owners.setdefault(previous, set()).add(owner)
        if not owners:
            return
        with _spilled(element[1]) as rows:
            # Most previous ids are anonymous: no user goes by that id, and nobody else took it over.
            some = rows.select("key").filter(pl.col("key").is_in(list(owners))).unique().collect()
        known = {*some["key"].to_list(), *(name for name, taken in owners.items() if len(taken) > 1)}
        yield from _touched({*known, *(owner for name in known for owner in owners[name])}, self._parts, merged=True)


@with_output_types(_Blob)
class _OfTouched(beam.DoFn):
    """The rows of users who are settled, by where they are: all merged ones in one place, the others by part."""

    def process(
        self, element: tuple[int, Iterable[bytes]], touched: dict[int, Iterable[tuple[str, bool]]]
    ) -> Iterator[_Blob]:
        names: dict[str, bool] = {}
        for name, merged in touched[element[0]]:
            names[name] = merged or names.get(name, False)
        if not names:
            return
        with _spilled(element[1]) as rows:
            found = rows.filter(pl.col("key").is_in(list(names))).collect()
        together = found["key"].is_in([name for name, merged in names.items() if merged])
        for group, some in ((_TOGETHER, found.filter(together)), (element[0], found.filter(~together))):
            if not some.is_empty():
                yield group, _blob(some)


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


class _Ask(beam.DoFn):
    """Prepare a part, and ask."""

    def __init__(self, asked: AskParts) -> None:
        self._needs, self._until, self._question = asked.needs, asked.until, asked.ask

    def process(
        self,
        element: tuple[int, Iterable[bytes]],
        touched: dict[int, Iterable[tuple[str, bool]]],
        settled: dict[int, Iterable[bytes]],
    ) -> Iterator[Any]:
        part, blobs = element
        with (
            scratch_folder() as place,
            _spilled(blobs) as rows,
            _spilled(settled[part]) as settled_rows,
        ):
            names = list({name for name, _ in touched[part]})
            own_rows = rows.filter(~pl.col("key").is_in(names)) if names else rows
            partition, applied = write_part(part, own_rows, settled_rows, self._needs, place)
            yield beam.pvalue.TaggedOutput(_COUNTS, ("applied", applied))
            prepared = Prepared(self._until, self._needs, () if partition is None else (partition,), str(place))
            yield from self._question(part, prepared)


@contextmanager
def _spilled(blobs: Iterable[bytes]) -> Iterator[pl.LazyFrame]:
    """The rows of blobs, scanned from files that are there while this is open.

    Raises:
      NoRoom: they cannot be written.
    """
    with scratch_folder() as place:
        files: list[Path] = []
        for blob in blobs:
            if blob:
                files.append(place / f"{len(files):06}.parquet")
                try:
                    files[-1].write_bytes(blob)
                except OSError as error:
                    raise NoRoom.of(error) from error
        yield scanned(files)


def _blobs(rows: pl.DataFrame, parts: int) -> Iterator[_Blob]:
    for part, some in divided(rows, parts):
        yield part, _blob(some)


def _blob(rows: pl.DataFrame) -> bytes:
    held = BytesIO()
    rows.write_parquet(held, compression="lz4")
    return held.getvalue()
