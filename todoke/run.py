"""`todoke run`: the realtime job, with a progress line and a report where the events end."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import create_runner
from rich import box
from rich.columns import Columns
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from beam_pipelines import realtime
from beam_pipelines.flink_flags import known_to_beam
from beam_pipelines.live_flags import RESTARTS
from beam_pipelines.options import Config
from beam_pipelines.realtime import build
from todoke.in_beam import without_step
from todoke.preflight import check_channels, check_job, check_pubsub, check_store_release
from todoke.prism import with_prism
from todoke.sources import opened
from todoke.tables import numbers, words
from todoke.terminal import Screen, cause_of
from transforms.campaigns.load import compiled
from transforms.errors import RunFailed, WrongUse
from transforms.events.files import UnreadableFile
from transforms.events.kept.pruning import KEPT_FOR, prune
from transforms.events.progress import Progress as Counted
from transforms.events.queue.file import NoQueue
from transforms.events.row_files import whole_file
from transforms.job import Job
from transforms.metrics.report import Summary, accounts_add_up, report_json
from transforms.storage.control import Control, oldest_control
from transforms.storage.open import open_store
from transforms.storage.scratch.folder import scratch_folder
from transforms.storage.scratch.records import NoRoom
from transforms.storage.store import NoStore, Store
from transforms.users.lease import JobLease
from transforms.users.runs import begin_run, finish_run
from transforms.users.tally import Tally
from transforms.users.way_back.transforms import CONTROL_ROWS

__all__ = ["beam_parser", "check_beam_flags", "print_report", "run", "run_bounded", "write_report"]

#: How often a bounded run reads all that it left for itself: each merge of a merged user takes one pass.
MOST_PASSES = 100

#: Adds the steps of a job to a pipeline.
Build = Callable[[beam.Pipeline, Config, Job], None]


def run(argv: Sequence[str], asked: tuple[Config, argparse.Namespace, list[str]], started: float) -> None:
    """Run with the flags of `beam_pipelines.options`, as given and as parsed.

    Args:
      argv: the flags.
      asked: the parsed flags.
      started: when the process was, by `time.monotonic`.

    Raises:
      WrongUse, DefinitionsError, RunRefused, LeaseHeld: nothing was started.
      RunFailed, StoreError, LeaseLost: it was, and failed; or all sends of a channel are left to the next run.
    """
    config, flags, beam_flags = asked
    check_beam_flags(beam_flags)
    if not config.source.bounded:
        _run_unbounded(config, flags, argv, beam_flags)
        return
    console = Console(stderr=True, quiet=flags.log_format == "json")
    _, report = run_bounded(config, console=console, beam_flags=beam_flags, started=started)
    if flags.report:
        write_report(flags.report, report)
    try:
        print_report(Screen(), report)
    finally:  # the reader of the report may have closed the pipe; the exit code is still that of the run
        _check_handed_over(report)


def run_bounded(
    config: Config,
    *,
    console: Console,
    progress: bool = True,
    beam_flags: Sequence[str] = (),
    build: Build = build,
    started: float | None = None,
) -> tuple[Summary, dict[str, Any]]:
    """Run over files to their end, on FnApiRunner unless the flags name another; returns the sums and the report.

    `build` adds the steps of the job to a pipeline. The report's time counts from `started` (`time.monotonic`).

    Raises:
      WrongUse: there are no such files, or the store's users were judged by newer definitions.
      NoStore: the store could not be opened.
      RunRefused, LeaseHeld: it may not be used so, or not now.
      RunFailed, LeaseLost: the pipeline failed, or stood still for so long that somebody else took the store.
      StoreError: the store could not be read or written.
    """
    config = msgspec.structs.replace(config, source=opened(config.source))
    check_channels(config)
    definitions = compiled(config.definitions)
    started = time.monotonic() if started is None else started
    if config.store is None:
        summary = _run_passes(config, None, console if progress else Console(quiet=True), beam_flags, build)
    else:
        store = open_store(config.store)
        check_store_release(store, definitions)
        lease = JobLease(store, "a run over files")
        settled = begin_run(store, definitions, lease, continued=config.continued, until=config.as_of)
        config = msgspec.structs.replace(config, settled=settled)
        with lease.kept():
            prune(store, time.time_ns() // 1000, config.letters_kept_for or KEPT_FOR)  # 0: of others
            summary = _run_passes(config, store, console if progress else Console(quiet=True), beam_flags, build)
            store.add_metrics(summary.campaign_rows())
            finish_run(store, definitions, summary.as_of)
        store.close()
    report = report_json(summary, definitions, time.monotonic() - started)
    if not accounts_add_up(report):
        raise RunFailed(f"the accounts do not add up: {report}")
    return summary, report


def _run_passes(
    config: Config, store: Store | None, console: Console, beam_flags: Sequence[str], build: Build
) -> Summary:
    """The run over the files, and over what it leaves itself in a store's control table; returns the sums."""
    with scratch_folder() as folder:
        here = not any(flag.startswith(("--runner", "--direct_")) for flag in beam_flags)
        config = msgspec.structs.replace(config, summary=str(folder / "summary.json"), on_disk=here)
        job = Job()

        def go(config: Config) -> None:
            _run_to_end(config, job, console, beam_flags, build)

        try:
            go(config)
            sums = [_sums(config)]
            if store is not None:
                sums += _run_control(config, store, sums[0].as_of, go)
        finally:
            job.close()
    return Summary.of(sums[0].as_of, (tally for each in sums for tally in each.tallies))


class _Sums(msgspec.Struct):
    as_of: int
    tallies: list[Tally]


def _sums(config: Config) -> _Sums:
    """What a pipeline counted, which its last step leaves in a file.

    Raises:
      RunFailed: it is not here: workers on other machines do not share the folder.
    """
    try:
        return msgspec.json.decode(Path(config.summary).read_bytes(), type=_Sums)
    except FileNotFoundError as error:
        raise RunFailed(
            f"the workers left no counts in {config.summary}: TMPDIR names a folder that they share with this machine"
        ) from error


def _run_control(config: Config, store: Control, as_of: int, go: Callable[[Config], None]) -> Iterator[_Sums]:
    """Apply what went back to users (receipts, merges of two users) until nothing does; gives the sums of each pass.

    Raises:
      RunFailed: it does not end.
    """
    config = msgspec.structs.replace(config, amend=True, as_of=as_of)
    rounds = begun = 0
    while first := store.read_control(1):
        if first[0].published >= begun:  # of the last round nothing is left
            rounds, begun = rounds + 1, time.time_ns() // 1000
        if rounds > MOST_PASSES:
            raise RunFailed(f"messages go back and forth between users after {MOST_PASSES} passes")
        ids = [row.id for row in oldest_control(store, CONTROL_ROWS)]
        go(config)
        store.delete_control(ids)
        yield _sums(config)


def _run_to_end(config: Config, job: Job, console: Console, beam_flags: Sequence[str], build: Build) -> None:
    named = any(flag.startswith("--runner") for flag in beam_flags)
    options = _Options(
        [*with_prism(beam_flags), *(() if named else ("--runner=FnApiRunner",))], save_main_session=False
    )
    pipeline = beam.Pipeline(options=options)
    build(pipeline, config, job)
    columns = (SpinnerColumn(), _Counts(job.part(Counted)), TimeElapsedColumn())
    # Without a terminal it would write an empty line.
    shown = Progress(*columns, console=console, transient=True, refresh_per_second=2, disable=not console.is_terminal)
    with shown:
        shown.add_task("run", total=None)
        try:
            pipeline.run().wait_until_finish()
        except UnreadableFile as error:
            raise RunFailed(f"the events cannot be read: {without_step(error)}") from error
        except NoRoom as error:
            raise RunFailed(without_step(error)) from error
        except (OSError, RuntimeError) as error:
            raise RunFailed(f"the pipeline failed: {cause_of(error)}") from error


def _check_handed_over(report: dict[str, Any]) -> None:
    if away := [channel for channel, states in report["sends"].items() if set(states) == {"later"}]:
        waiting = ", ".join(f"{channel} ({report['sends'][channel]['later']:,})" for channel in away)
        raise RunFailed(f"no send could be handed over: {waiting}. They wait for the next run with --continue")


class _Options(PipelineOptions):  # type: ignore[misc]
    """Beam's options, each view of which is made once. Beam asks for some at each step of a graph, and makes a parser
    of flags each time: a fifth of what a small run took.
    """

    def view_as(self, cls: Any) -> Any:
        """The view; all of them share their values."""
        views = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]


class _Counts(ProgressColumn):
    """How far the run has come."""

    def __init__(self, counted: Counted) -> None:
        super().__init__()
        self._counted = counted

    def render(self, task: Task) -> Text:  # noqa: ARG002 - the counts are the job's
        """The line as it is now."""
        counted = self._counted
        return Text(f"read {counted.read:,}  users {counted.users:,}  sends {counted.sends:,}")


def beam_parser() -> argparse.ArgumentParser:
    """All flags that Beam knows."""
    known = argparse.ArgumentParser(allow_abbrev=False, conflict_handler="resolve", exit_on_error=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(known)
    return known


def check_beam_flags(beam_flags: Sequence[str]) -> None:
    """Beam passes over flags that it does not know with a line in its log; a mistyped flag of ours must not run so."""
    beam_flags = known_to_beam(beam_flags)
    try:
        _, unknown = beam_parser().parse_known_args(beam_flags)
    except argparse.ArgumentError as error:
        raise WrongUse(str(error)) from error
    if unknown:
        raise WrongUse(f"neither Todoke nor Beam knows {' '.join(unknown)}; `todoke run --help` lists the flags")
    if runner := PipelineOptions(beam_flags).view_as(StandardOptions).runner:
        try:
            create_runner(runner)
        except (ValueError, ImportError, AttributeError, TypeError) as error:
            raise WrongUse(f"--runner: {error}") from error


def _run_unbounded(config: Config, flags: argparse.Namespace, argv: Sequence[str], beam_flags: Sequence[str]) -> None:
    """Launch a job with the runner that the flags name, and do not wait for it; else run it on this machine."""
    if not config.live:
        if not any(flag.startswith("--dry_run") for flag in beam_flags):
            check_pubsub(config)
        realtime.run(with_prism(argv))
        return
    from todoke.live import run_live, supervise

    if not flags.supervised:
        check_job(config)
        debug = ["--debug"] if "--debug" in sys.argv else []  # which the command line has taken out of `argv`
        restarts = RESTARTS if flags.restarts is None else flags.restarts
        supervise([sys.executable, "-m", "todoke", "run", *argv, "--supervised", *debug], restarts)
        # It was told to stop, and has: Beam and gRPC, which this process only asked for flags, take a second to end.
        sys.stderr.flush()
        os._exit(0)
    try:
        run_live(config, beam_flags)
    except (NoQueue, NoStore, WrongUse) as error:  # it was there when the supervisor looked, so it may come back
        raise RunFailed(str(error)) from error


def write_report(place: str, report: dict[str, Any]) -> None:
    """The report as a file of JSON, whole or not at all, on any file system that Beam knows.

    Raises:
      RunFailed: it cannot be written.
    """
    data = msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
    try:
        if "://" in place:
            with FileSystems.create(place, mime_type="application/json") as file:
                file.write(data)
        else:
            with whole_file(Path(place)) as unfinished:
                unfinished.write_bytes(data)
    except (OSError, ValueError, BeamIOError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise RunFailed(f"the report cannot be written: {place}: {cause}; all else is done") from error


def print_report(console: Console, report: dict[str, Any]) -> None:
    """The report as tables."""
    accounts = ("read", "applied", "duplicates", "deleted", "dead_letters", "later")
    messages = _table("messages", [(name.replace("_", " "), report[name]) for name in accounts])
    sends = [
        (f"{channel} {state}", count) for channel, states in report["sends"].items() for state, count in states.items()
    ]
    refusals = [(f"not sent: {reason}", count) for reason, count in report["suppressed"].items()]
    entries = [("journeys begun", report["entries"]), ("journeys waiting", report["waiting"])]
    segments = [("all users", report["users"]), *report["segments"].items()]
    rebuilt = sum(report["rebuilt"].values())
    segments += [("brought over to changed definitions, visitors and merged ids too", rebuilt)] if rebuilt else []
    console.print(Columns([messages, _table("campaigns", [*entries, *sends, *refusals]), _table("members", segments)]))
    moment = f"as of {report['as_of']}" if report["as_of"] else "nothing was applied"
    console.print(f"{moment}, in {report['elapsed_s']:.1f} s", highlight=False)


def _table(title: str, rows: Sequence[tuple[str, int]]) -> Table:
    table = Table(words(title), numbers(""), box=box.SIMPLE_HEAD)
    for name, count in rows:
        table.add_row(name, f"{count:,}")
    return table
