"""The flags of `todoke backfill`, as one frozen record. Nothing here imports Beam, so that help is quick."""

import argparse
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

import msgspec

from beam_pipelines.beam_flags import names_dataflow
from beam_pipelines.flag_words import read_flags
from beam_pipelines.flink_flags import add_flink_flags, name_places, on_flink
from beam_pipelines.options import CONTROL_RATE, Config, add_log_format
from beam_pipelines.places import check_apart, check_events, check_written
from beam_pipelines.values import parsed, read_time
from transforms.campaigns.load import compiled
from transforms.campaigns.release import Release
from transforms.campaigns.transforms import read_definitions
from transforms.errors import WrongUse
from transforms.events.sources import QUERY_LIMIT, BigQuery, parse_source, parse_topic
from transforms.events.times import write_time
from transforms.logs import FORMATS
from transforms.storage.open import parse_store

__all__ = ["Backfill", "check_words", "parse", "parser"]


#: The source of events that is the store itself.
ARCHIVE = "store"


class Backfill(msgspec.Struct, frozen=True):
    """What a backfill is told.

    `config` is of the run over the history that rows need; it has the whole release, which no leaf is new to. `engine`
    is None for whichever can. `release` is the one whose activations seeds are for, `activation` (microseconds UTC) one
    of them, None for all that users wait for. Seeds go to `control_topic`, None for the store's table, `rate` a second.
    With `of_archive` they are made of the store's own archive, and the source of `config` is none. Memberships are
    written to the folder `out`, and need a `store` only for its archive.
    """

    config: Config
    write: str
    engine: str | None
    as_of: int
    store: str | None
    release: Release | None = None
    activation: int | None = None
    control_topic: str | None = None
    rate: float = CONTROL_RATE
    report: str | None = None
    of_archive: bool = False
    out: str | None = None
    log_format: str = FORMATS[0]

    @property
    def report_place(self) -> str | None:
        """Where the report goes; `*` is the time up to which events are read."""
        return None if self.report is None else self.report.replace("*", write_time(self.as_of))


def parser() -> argparse.ArgumentParser:
    """The flags; whatever else is given goes to Beam."""
    flags = argparse.ArgumentParser(
        prog="todoke backfill",
        allow_abbrev=False,
        description="Read a history of events into a store, or say who was in which segment. Nothing is ever sent.",
        epilog="Any other flag goes to Beam (--runner, --project, ...). Credentials come from the environment.",
    )
    add = flags.add_argument
    add("--definitions", required=True, metavar="PATH", help="a definitions file, a folder of them, or a pointer")
    add(
        "--events",
        default=ARCHIVE,
        metavar="SRC",
        help="JSON Lines, Parquet or Avro by a path or pattern, bigquery:PROJECT.DATASET.TABLE, or bigquery:FILE.sql "
        "with a query (one of these for users); else `store` (default) for the archive of the store",
    )
    add(
        "--query-limit",
        type=int,
        default=QUERY_LIMIT,
        metavar="GB",
        help=f"how much a query of BigQuery may read, which is what it costs; more is refused (default: {QUERY_LIMIT})",
    )
    add(
        "--as-of",
        metavar="TIME",
        help="up to this time, inclusive (ISO 8601 with a zone, now, now-1h, today, or today-1d; days are those of "
        "UTC), and not in the future (required with files); default for the archive: now",
    )
    add(
        "--store",
        metavar="URL",
        help="sqlite:PATH or bigtable:PROJECT/INSTANCE; memberships of files need none",
    )
    add(
        "--write",
        choices=("users", "seeds", "memberships", "audit", "recommendations"),
        default="users",
        help="users: whole users into an empty store that no live job uses (default); seeds: what new conditions "
        "missed, for users of a live job; memberships: who is in which segment, as Parquet; audit: "
        "whether the members of a store are those of its archive; recommendations: which products go together, "
        "for messages",
    )
    add("--out", metavar="DIR", help="memberships: the folder of their files, also gs://…")
    add("--engine", choices=("columns", "rows"), help="default: rows for users; columns for all else, where possible")
    add("--report", metavar="FILE", help="write the report as JSON, also to gs://…; `*` is the time of --as-of")
    add("--dead-letters", metavar="SINK", help="users: a JSON Lines file (default: dead_letters.jsonl)")
    add("--activation", metavar="TIME", help="seeds: only for this activation (default: all that users wait for)")
    add("--control-topic", metavar="TOPIC", help="seeds: the job's pubsub:projects/P/topics/T (default: the store)")
    add(
        "--rate",
        type=float,
        default=CONTROL_RATE,
        metavar="N",
        help=f"seeds: how many a second (default: {CONTROL_RATE:.0f})",
    )
    add_flink_flags(flags.add_argument_group("Flink").add_argument)
    add_log_format(flags)
    return flags


def parse(argv: list[str]) -> tuple[Backfill, list[str]]:
    """What was asked, and what goes to Beam.

    Raises:
      Misread: for flags that cannot be read.
      WrongUse: for values that cannot be.
      DefinitionsError: if the definitions cannot be read, or have mistakes.
    """
    flags, beam_flags = read_flags(parser(), argv)
    name_places(flags)
    launched = int(datetime.now(UTC).timestamp() * 1_000_000)
    as_of, of_archive = _read_scope(flags, launched)
    try:
        source = parse_source(flags.events)
    except ValueError as error:
        raise WrongUse(f"--events: {error}") from error
    if isinstance(source, BigQuery):
        source = msgspec.structs.replace(source, most_gb=flags.query_limit)
    if not source.bounded:
        raise WrongUse("--events: a backfill reads files to their end: export the archive")
    beam_flags = on_flink(flags, beam_flags, live=False)
    if flags.flink is not None and flags.write == "seeds":
        raise WrongUse("--flink: seeds are made on this machine")
    if not of_archive:
        check_events(source)
    written = (("--report", flags.report), ("--dead-letters", flags.dead_letters))
    for flag, place in written:
        if place is not None and ":" not in place:
            check_written(flag, place)
    read = ("definitions", "store") if of_archive else ("events", "definitions", "store")
    check_apart(written, [(f"--{name}", getattr(flags, name)) for name in read])
    if flags.out is not None:
        _check_out(flags.out)
    if flags.write != "seeds" and names_dataflow(beam_flags):
        raise WrongUse("--runner: a backfill is one process on this machine, and takes no --runner of Dataflow")
    definitions = read_definitions(flags.definitions)
    release = definitions if isinstance(definitions, Release) else None
    if flags.write == "seeds" and release is None:
        raise WrongUse(
            "--definitions: seeds are for the activations of a pointer (`todoke publish`), a .json file: with plain "
            "definitions no condition is new"
        )
    whole = definitions if release is None else msgspec.structs.replace(release, pointer=None, whole=True)
    if compiled(whole).recommend is None and flags.write == "recommendations":
        raise WrongUse("--definitions: a section `recommend` says what is counted, and there is none")
    config = Config(
        definitions=whole,
        source=source,
        launched=launched,
        store=flags.store,
        as_of=as_of,
        dead_letters=flags.dead_letters or str(Path("dead_letters.jsonl").absolute()),
        historical=True,
    )
    activation = None if flags.activation is None else read_time("--activation", flags.activation)
    seeding = (release, activation, flags.control_topic, flags.rate)
    asked = Backfill(
        *(config, flags.write, flags.engine, as_of, flags.store, *seeding),
        *(flags.report, of_archive, flags.out, flags.log_format),
    )
    return asked, beam_flags


def check_words(argv: list[str]) -> None:
    """Find what cannot be, as far as it shows without the definitions and a network.

    Raises:
      Misread, WrongUse: something cannot be.
    """
    flags, _ = read_flags(parser(), argv)
    _read_scope(flags, int(datetime.now(UTC).timestamp() * 1_000_000))
    if flags.activation is not None:
        read_time("--activation", flags.activation)


def _check_out(place: str) -> None:
    if "://" not in place:
        check_written("--out", place, folder=True)
    elif any(sign in place for sign in "*?["):  # Beam cannot quote them, and would delete what they match
        raise WrongUse(f"--out: {place} has a sign of a pattern: name a folder without `*`, `?` and `[`")


def _read_scope(flags: argparse.Namespace, launched: int) -> tuple[int, bool]:
    """Up to when events are read, microseconds UTC, and whether they are the store's own archive.

    Raises:
      WrongUse: the flags do not go together, or a value cannot be.
    """
    of_archive = flags.write != "users" and flags.events == ARCHIVE
    if flags.write == "audit" and not of_archive:
        raise WrongUse("--events: an audit reads the archive of its store, and no files")
    if flags.events == ARCHIVE and not of_archive:
        raise WrongUse("--events: name the files that users are made of (`todoke export` writes those of a store)")
    if flags.as_of is None and not of_archive:
        raise WrongUse("--as-of: name the time up to which the files are read")
    as_of = launched if flags.as_of is None else read_time("--as-of", flags.as_of, launched)
    _check(flags, as_of, launched, of_archive=of_archive)
    return as_of, of_archive


def _check(flags: argparse.Namespace, as_of: int, launched: int, *, of_archive: bool) -> None:
    """Find what cannot be before anything is read."""
    if flags.query_limit < 1:
        raise WrongUse("--query-limit: expected 1 or more gigabytes")
    if as_of > launched:
        raise WrongUse(f"--as-of: {flags.as_of} is ahead: a backfill knows only what has been")
    if flags.write != "seeds" and (flags.activation is not None or flags.control_topic is not None):
        raise WrongUse("--activation and --control-topic are for --write seeds")
    if (flags.write == "memberships") != (flags.out is not None):
        raise WrongUse("--out: --write memberships needs a folder for its files, and nothing else has any")
    if flags.store is None:
        if flags.write != "memberships" or of_archive:
            raise WrongUse("--store: name the store")
        return
    if flags.store == "none":
        raise WrongUse("--store: a backfill writes into a store; `todoke run --store none` only reports")
    parsed("--store", parse_store, flags.store)
    if flags.control_topic is not None:
        parsed("--control-topic", parse_topic, flags.control_topic)
    if of_archive and flags.write in ("seeds", "audit") and flags.engine is not None:
        raise WrongUse("--engine: seeds of the store's archive and audits take none; it is for files")
    if flags.write == "recommendations" and flags.engine is not None:
        raise WrongUse("--engine: recommendations are counted by columns alone")
    if flags.write == "users" and flags.engine == "columns":
        raise WrongUse(
            "--engine: columns know the evidence of conditions, and not profiles, duplicates and journeys: whole "
            "users take --engine rows"
        )
    if not (flags.rate > 0 and isfinite(flags.rate)):
        raise WrongUse("--rate: expected more than 0 seeds a second")
