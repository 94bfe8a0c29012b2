"""Rows of events on disk, split by the hash of a key, so that no step holds more than one part of them.

A row is one decoded event: whose it is (`key`), when, what names it, and the columns that conditions ask for: those of
`segments.columns.values` for paths of its properties, and for each asked fact the JSON of what the event says about it.
About `TOKEN` that is the hash of a token, and whether it is live; about `BLOCKED` an address.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from transforms.events.consent import CONSENT_CHANGED
from transforms.events.event import CALLS, GROUP, RECEIPT, TOKEN_LOST, Event
from transforms.identity.profile import Profile
from transforms.segments.columns.layout import BLOCKED, TOKEN, Needs, consent_fact
from transforms.segments.columns.values import columns_of, split
from transforms.segments.conditions import ANY
from transforms.segments.evidence import hash_of
from transforms.segments.values import compile_path
from transforms.storage.scratch.records import NoRoom
from transforms.users.seen import hash_message

__all__ = ["COUNTED", "FACT", "RowBuilder", "Spill", "divided", "put_aside", "scanned"]

#: Before the name of a column with what an event says about a fact.
FACT = "[fact]"
#: The types of calls that are events by name.
COUNTED = (*CALLS, RECEIPT)
_ROWS_AT_ONCE = 100_000
_BASE: dict[str, Any] = {
    **{"key": pl.String, "user_id": pl.String, "previous": pl.String, "id": pl.String, "hash": pl.UInt64},
    **{"time": pl.Int64, "arrival": pl.Int64, "type": pl.String, "name": pl.String},
    # Where the past of an anonymous id came to a user: the id's key, and the arrival of the call that identified it.
    **{"source": pl.String, "since": pl.Int64},
}

_encode = msgspec.json.Encoder().encode


def divided(rows: pl.DataFrame, parts: int) -> Iterator[tuple[int, pl.DataFrame]]:
    """Rows by the part that their key belongs to; the same in each process of this version of polars."""
    numbered = rows.with_columns((pl.col("key").hash() % parts).alias("[part]"))
    for (part,), some in numbered.partition_by("[part]", as_dict=True, include_key=False).items():
        yield int(part), some


def put_aside(rows: pl.DataFrame, place: Path, **options: Any) -> None:
    """Write rows as Parquet, with the options of polars.

    Raises:
      NoRoom: they cannot be written.
    """
    try:
        rows.write_parquet(place, **options)
    except (pl.exceptions.ComputeError, OSError) as error:  # polars has errors of its own for a full disk
        raise NoRoom.of(error) from error


class Spill:
    """Files of rows in a folder, by word and part."""

    def __init__(self, folder: Path, parts: int) -> None:
        self.folder = folder
        self.parts = parts
        #: By word and part, as they were written: a look into the folder would cost each part a look at all files.
        self._files: defaultdict[str, defaultdict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
        self._numbers = count()

    def write(self, word: str, rows: pl.DataFrame) -> None:
        """Add rows to the parts that their keys belong to."""
        for part, some in divided(rows, self.parts):
            place = self.folder / f"{word}-{part}-{next(self._numbers)}.parquet"
            put_aside(some, place)
            self._files[word][part].append(place)

    def files(self, word: str, part: int | None = None) -> list[Path]:
        """The files of one part, or of all."""
        if part is None:
            return [file for _, files in sorted(self._files[word].items()) for file in files]
        return list(self._files[word][part])

    def scan(self, word: str, part: int | None = None) -> pl.LazyFrame:
        """The rows of one part, or of all; columns that are nowhere are left out."""
        return scanned(self.files(word, part))


def scanned(files: Iterable[Path]) -> pl.LazyFrame:
    """The rows of files; columns that are nowhere are left out."""
    scans = [pl.scan_parquet(file, glob=False) for file in files]
    return pl.concat(scans, how="diagonal") if scans else pl.LazyFrame(schema=_BASE)


class RowBuilder:
    """Rows of events being made, a chunk at a time."""

    def __init__(self, needs: Needs) -> None:
        every = needs.events.get(ANY, ())
        #: What is asked of the events of a name, and of all others.
        self._paths = {
            name: [(path, compile_path(path)) for path in dict.fromkeys((*paths, *every))]
            for name, paths in needs.events.items()
        }
        self._facts = needs.facts
        self._base: list[tuple[Any, ...]] = []
        #: By column: the numbers of rows that have a value, and the values.
        self._sparse: dict[str, tuple[Any, list[int], list[Any]]] = {}

    def add(self, key: str, event: Event, past: tuple[str | None, int | None] = (None, None)) -> None:
        """Add an event under a key; `past`: the key of the visitor whose it was, and since when it is this one's."""
        asked = self._paths.get(event.name) if event.type in COUNTED else None
        if asked is None and event.type in CALLS:
            asked = self._paths.get(ANY)
        name = None if asked is None else event.name
        ids = (key, event.user, event.previous, event.id, hash_message(event.id))
        self._base.append((*ids, event.time, event.arrival, event.type, name, *past))
        for path, found in asked or ():
            values = split(path, found(event.properties))
            for (column, dtype), value in zip(columns_of(path).items(), values, strict=True):
                if value is not None:
                    self._put(column, dtype, value)
        if self._facts and (
            event.traits or event.context or event.type in (GROUP, RECEIPT, TOKEN_LOST) or event.name == CONSENT_CHANGED
        ):
            for fact, value in self._facts_of(event):
                self._put(f"{FACT}{fact}", pl.String, _encode(value).decode())

    @property
    def full(self) -> bool:
        """Whether it is time to drain."""
        return len(self._base) >= _ROWS_AT_ONCE

    def drain(self) -> pl.DataFrame:
        """The rows so far, which are forgotten."""
        rows = pl.DataFrame(self._base, schema=_BASE, orient="row")
        sparse = []
        for column, (dtype, numbers, values) in self._sparse.items():
            empty = pl.repeat(None, rows.height, dtype=dtype, eager=True)
            sparse.append(empty.scatter(numbers, pl.Series(values, dtype=dtype)).alias(column))
        self._base, self._sparse = [], {}
        return rows.with_columns(sparse)

    def _put(self, column: str, dtype: Any, value: Any) -> None:
        _, numbers, values = self._sparse.setdefault(column, (dtype, [], []))
        numbers.append(len(self._base) - 1)
        values.append(value)

    def _facts_of(self, event: Event) -> Iterator[tuple[str, Any]]:
        """What one event says about the asked facts."""
        profile = Profile()
        profile.apply(event)
        said = {name: written[2] for name, written in profile.attributes.items()}
        for token in profile.tokens:
            said[TOKEN] = [hash_of(token), True]
        if (lost := _lost(event)) is not None:
            said[TOKEN] = [hash_of(lost), False]
        for address in profile.blocked:
            said[BLOCKED] = address
        for place, written in profile.consent.items():
            said[consent_fact(*place.rsplit("/", 1))] = written[2]
        return ((fact, value) for fact, value in said.items() if fact in self._facts)


def _lost(event: Event) -> str | None:
    """The token that an event says is dead, or somebody else's now."""
    said = event.properties
    if event.type == TOKEN_LOST:
        lost = said.get("token")
    elif event.type == RECEIPT and said.get("kind") == "dead_token":
        lost = said.get("address")
    else:
        return None
    return lost if isinstance(lost, str) else None
