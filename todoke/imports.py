"""`todoke import`: rows of outside data as history: into a file, to a topic, or into a store."""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from glob import glob
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from beam_pipelines.options import Config
from beam_pipelines.places import check_apart, check_events, check_written
from beam_pipelines.values import parsed, read_time
from todoke.control import is_live, open_events, publish_evenly
from todoke.sources import opened
from todoke.terminal import json_text, print_plain
from transforms.campaigns.load import compiled
from transforms.campaigns.release import Release
from transforms.campaigns.transforms import read_definitions
from transforms.errors import RunFailed, WrongUse
from transforms.events.bigquery import columns_of_table
from transforms.events.dead_letter import DeadLetter
from transforms.events.files import UnreadableFile
from transforms.events.imports.mapping import Rejected, Table, calls_of, columns_of, read_mapping
from transforms.events.imports.rows import Row, read_rows, rows_of_objects
from transforms.events.plain import counted
from transforms.events.row_files import RowFiles, whole_file
from transforms.events.sources import QUERY_LIMIT, BigQuery, Files, TableStreams, parse_source
from transforms.events.transforms import read_messages
from transforms.segments.document import Problems, read_documents
from transforms.storage.scratch.folder import scratch_folder
from transforms.users.export import CALLS

__all__ = ["AskedImport", "import_files"]

#: So many rejects are printed; all are in the file.
_SHOWN = 10
#: What divides cells in files of others.
_DELIMITERS = (";", "\t", "|", ",")


class AskedImport(msgspec.Struct, frozen=True):
    """What is imported, and where to: a file, a topic or a queue (`to`), or a store with the definitions of its users.

    `time` is when rows happened that say no time.
    """

    files: tuple[str, ...]
    mapping: str
    to: str | None
    store: str | None
    definitions: str | None
    time: str | None
    dead_letters: str
    rate: float
    dry_run: bool
    query_limit: int = QUERY_LIMIT


def import_files(asked: AskedImport, *, json: bool) -> None:
    """Import files, and print how many rows were, and which were not and why.

    Raises:
      WrongUse, DefinitionsError: nothing was imported.
      RunRefused, LeaseHeld: the store may not be used so, or not now.
      RunFailed, StoreError, ControlFailed: it failed. Import again: what was imported is a duplicate.
    """
    table, places = _mapping(asked.mapping), _places(asked.files)
    _check(asked, places)
    sources = _opened(places, asked.query_limit)
    importing = _Importing(table, sources, None if asked.time is None else read_time("--time", asked.time))
    try:
        importing.check_columns()
        with ExitStack() as stack:
            if not asked.dry_run:
                stack.enter_context(importing.rejecting(asked.dead_letters))
            said = _take(importing, asked)
    except UnreadableFile as error:
        raise RunFailed(str(error)) from error
    except OSError as error:
        raise RunFailed(f"the import cannot be written: {error}") from error
    if json:
        print(json_text(importing.said() | said))
    else:
        _print(importing, asked, said)


def _mapping(place: str) -> Table:
    try:
        text = Path(place).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(f"--mapping: {place}: {error.strerror if isinstance(error, OSError) else error}") from error
    problems = Problems()
    documents = read_documents({place: text}, problems)
    if problems.found:
        raise WrongUse(f"--mapping: {problems.found[0]}")
    if not documents:
        raise WrongUse(f"--mapping: {place} is empty")
    try:
        return read_mapping(documents[0].plain())
    except ValueError as error:
        raise WrongUse(f"--mapping: {place}: {error}") from error


def _places(patterns: Sequence[str]) -> list[str]:
    """The files of patterns, and what is in BigQuery, each once."""
    names: list[str] = []
    for pattern in patterns:
        if pattern.startswith("bigquery:"):
            names.append(pattern)
            continue
        found = [pattern] if Path(pattern).exists() else sorted(glob(pattern))  # noqa: PTH207 - patterns may be absolute
        if not found:
            raise WrongUse(f"there is no file {pattern}")
        for name in found:
            if Path(name).is_dir():
                raise WrongUse(f"{name} is a folder: name its files, such as '{name}/*.csv'")
        names += found
    return list(dict.fromkeys(names))


def _opened(places: Sequence[str], limit: int) -> dict[str, TableStreams | None]:
    """Places by name; those in BigQuery are opened: a query is run once, however often its rows are read."""
    found: dict[str, TableStreams | None] = {}
    for place in places:
        found[place] = None
        if place.startswith("bigquery:"):
            source = parsed("FILES", parse_source, place)
            assert isinstance(source, BigQuery)
            check_events(source, "FILES")
            table = opened(msgspec.structs.replace(source, most_gb=limit), "FILES")
            assert isinstance(table, TableStreams)
            found[place] = table
    return found


def _check(asked: AskedImport, places: Sequence[str]) -> None:
    if not asked.dry_run and (asked.to is None) == (asked.store is None):
        raise WrongUse("name where the rows go: --to a file, a topic or a queue, or --store; or --dry-run")
    if asked.store is not None and asked.definitions is None:
        raise WrongUse("--definitions: name those of the store's users")
    if asked.to is not None and not is_live(asked.to) and "*" not in asked.to:
        check_written("--to", asked.to)
    check_written("--dead-letters", asked.dead_letters)
    read = [("--mapping", asked.mapping), ("--definitions", asked.definitions), ("--store", asked.store)]
    written = (("--to", asked.to), ("--dead-letters", asked.dead_letters))
    check_apart(() if asked.dry_run else written, [*read, *(("FILES", place) for place in places)])


class _Importing:
    """An import as it goes: the calls of rows one after another, with what is counted and rejected on the way."""

    def __init__(self, table: Table, sources: Mapping[str, TableStreams | None], at: int | None) -> None:
        self.counts = Counter[str]()
        self.causes = Counter[str]()
        self.shown: list[str] = []
        self.letters: list[DeadLetter] = []
        self._table, self._sources, self._at = table, sources, at
        self._now = time.time_ns() // 1000
        self._file: Any = None

    def check_columns(self) -> None:
        """Find columns that the mapping names and a file lacks.

        Raises:
          WrongUse: there is one.
          UnreadableFile: a file cannot be read.
        """
        for name in self._sources:
            with self._rows(name) as (columns, _):
                pass
            for asked in columns_of(self._table) if columns else ():
                if twice := next((each for each in asked if (columns or []).count(each) > 1), None):
                    raise WrongUse(f"{name}: two columns are called `{twice}`, and nobody knows which is meant")
                if not set(asked) & set(columns or ()):
                    wanted = " or ".join(f"`{each}`" for each in asked)
                    raise WrongUse(f"{name}: there is no column {wanted}; {_instead(columns or ())}")

    @contextmanager
    def rejecting(self, place: str) -> Iterator[None]:
        """Write rejects to a file, which is there if there is one."""
        with tempfile.TemporaryFile("w+b") as self._file:
            try:
                yield
            finally:
                if self.counts["rejected"]:
                    self._file.seek(0)
                    with whole_file(Path(place)) as unfinished, unfinished.open("wb") as written:
                        shutil.copyfileobj(self._file, written, 1 << 20)

    def calls(self) -> Iterator[dict[str, Any]]:
        """The calls of all rows."""
        for name in self._sources:
            with self._rows(name) as (_, rows):
                for row in rows:
                    yield from self._of(name, row)

    @contextmanager
    def _rows(self, name: str) -> Iterator[tuple[list[str] | None, Iterator[Row]]]:
        """The columns of a file or a table, and its rows."""
        if (table := self._sources[name]) is not None:
            yield columns_of_table(table), rows_of_objects(read_messages(table))
            return
        with Path(name).open("rb") as file:
            yield read_rows(file, name, self._table.csv)

    def _of(self, name: str, row: Row) -> list[dict[str, Any]]:
        self.counts["rows"] += 1
        try:
            if row.wrong is not None:
                raise row.wrong
            calls = calls_of(self._table, row.cells, self._at, self._now)
        except Rejected as error:
            self._reject(name, row, error)
            return []
        if calls is None:
            self.counts["left_out"] += 1
            return []
        self.counts["imported"] += 1
        for call in calls:
            self.counts["events" if call["type"] == "track" else "attributes"] += 1
        return calls

    def _reject(self, name: str, row: Row, error: Rejected) -> None:
        self.counts["rejected"] += 1
        self.causes[str(error.cause)] += 1
        place = f"{name}:{row.line}"
        if len(self.shown) < _SHOWN:
            self.shown.append(f"{place}: {error.cause}: {error.detail}")
        if self._file is not None:
            letter = DeadLetter(row.raw, place, str(error.cause), error.detail, self._now)
            self._file.write(letter.to_json().encode() + b"\n")

    def said(self) -> dict[str, Any]:
        """What was counted."""
        names = ("rows", "imported", "events", "attributes", "left_out", "rejected")
        return {name: self.counts[name] for name in names} | {"causes": dict(sorted(self.causes.items()))}


def _instead(columns: Sequence[str]) -> str:
    """What a file has in place of a column that it lacks."""
    sign = next((sign for sign in _DELIMITERS if len(columns) == 1 and sign in columns[0]), None)
    if sign is None:
        return f"there are {', '.join(columns)}"
    said = json_text(sign)
    return f"is the delimiter {said}? Say it in the mapping: csv: {{delimiter: {said}}}"


def _take(importing: _Importing, asked: AskedImport) -> dict[str, Any]:
    """Bring the calls where they are to go; returns what else is to be said."""
    if asked.dry_run:
        for _ in importing.calls():
            pass
        return {}
    if asked.to is not None and is_live(asked.to):
        with open_events(asked.to, "--to") as publish:
            publish_evenly(map(msgspec.json.encode, importing.calls()), publish, asked.rate)
        return {}
    with scratch_folder() as folder:
        scratch = folder / "rows"
        scratch.mkdir()
        place = asked.to or str(folder / "calls.jsonl")
        files = RowFiles(place, scratch, CALLS)
        for call in importing.calls():
            files.write(call["timestamp"][:10], call)
        files.finish()
        return {} if asked.store is None else _into_store(asked, place)


def _into_store(asked: AskedImport, place: str) -> dict[str, Any]:
    """Run over the calls into a store, under its lease; nothing that is decided goes out."""
    from beam_pipelines.backfill import build
    from todoke.run import run_bounded

    assert asked.store is not None
    assert asked.definitions is not None
    definitions = read_definitions(asked.definitions)
    if isinstance(definitions, Release):
        definitions = msgspec.structs.replace(definitions, pointer=None, whole=True)
    compiled(definitions)
    config = Config(
        definitions=definitions,
        source=Files(place),
        launched=time.time_ns() // 1000,
        store=asked.store,
        continued=True,
        dead_letters=f"{place}.letters",
    )
    _, report = run_bounded(config, console=Console(stderr=True, quiet=True), build=build)
    return {name: report[name] for name in ("applied", "duplicates", "deleted", "dead_letters", "later", "as_of")}


def _print(importing: _Importing, asked: AskedImport, said: dict[str, Any]) -> None:
    counts = importing.said()
    begin = "would be imported" if asked.dry_run else "imported"
    rows, events = counted(counts["imported"], "row"), counted(counts["events"], "event")
    attributes = counted(counts["attributes"], "change of attributes", "changes of attributes")
    print(f"{rows} of {counts['rows']:,} {begin}: {events}, {attributes}")
    if counts["left_out"]:
        print(f"left out by `only`: {counts['left_out']:,}")
    if said:
        ended = ("applied", "duplicates", "deleted", "dead_letters")
        print(", ".join(f"{name.replace('_', ' ')}: {said[name]:,}" for name in ended))
    if counts["rejected"]:
        causes = ", ".join(f"{cause} {count:,}" for cause, count in counts["causes"].items())
        print_plain(f"rejected: {counts['rejected']:,} ({causes})")
        for line in importing.shown:
            print_plain(f"  {line}")
        if not asked.dry_run:
            print_plain(f"all of them are in {asked.dead_letters}")
