"""`todoke run`: the realtime job, with a progress line and a report where the events end."""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.options.pipeline_options import PipelineOptions
from rich import box
from rich.columns import Columns
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from beam_pipelines import realtime
from beam_pipelines.options import Config, WrongUse, parse
from transforms.campaigns.load import compiled
from transforms.events.progress import progress as counts
from transforms.metrics.report import Summary, accounts_add_up, report_json
from transforms.storage.open import open_store
from transforms.users.runs import begin_run, finish_run

__all__ = ["RunFailed", "print_report", "run", "run_bounded"]


class RunFailed(Exception):
    """A run that ended without its work done; the message says why."""


def run(argv: Sequence[str]) -> None:
    """Run with the flags of `beam_pipelines.options`.

    Raises:
      WrongUse, DefinitionsError, RunRefused: nothing was started.
      RunFailed, StoreError: it was, and failed.
    """
    config, flags, beam_flags = parse(list(argv))
    _check_beam_flags(beam_flags)
    if not config.source.bounded:
        _launch(argv, beam_flags)
        return
    console = Console(stderr=True)
    _, report = run_bounded(config, console=console, beam_flags=beam_flags)
    print_report(Console(), report)
    if flags.report:
        Path(flags.report).write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def run_bounded(
    config: Config, *, console: Console, progress: bool = True, beam_flags: Sequence[str] = ()
) -> tuple[Summary, dict[str, Any]]:
    """Run over files to their end, on FnApiRunner unless the flags name another; returns the sums and the report.

    Raises:
      RunRefused: the store may not be used so.
      RunFailed: the pipeline failed.
      StoreError: the store could not be opened, read or written.
    """
    definitions = compiled(config.definitions)
    store = open_store(config.store) if config.store is not None else None
    settled = 0
    if store is not None:
        settled = begin_run(store, definitions, continued=config.continued, until=config.as_of)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="todoke-") as folder:
        config = msgspec.structs.replace(config, settled=settled, summary=str(Path(folder) / "summary.json"))
        _run_to_end(config, console if progress else Console(quiet=True), beam_flags)
        data = msgspec.json.decode(Path(config.summary).read_bytes(), type=_Sums)
    summary = Summary.of(data.as_of, data.tallies)
    if store is not None:
        finish_run(store, definitions, summary.as_of)
        store.close()
    report = report_json(summary, definitions.segments, time.monotonic() - started)
    if not accounts_add_up(report):
        raise RunFailed(f"the accounts do not add up: {report}")
    return summary, report


class _Sums(msgspec.Struct):
    as_of: int
    tallies: list[tuple[tuple[str, str, str, int], int]]


def _run_to_end(config: Config, console: Console, beam_flags: Sequence[str]) -> None:
    named = any(flag.startswith("--runner") for flag in beam_flags)
    options = PipelineOptions([*beam_flags, *(() if named else ("--runner=FnApiRunner",))], save_main_session=False)
    pipeline = beam.Pipeline(options=options)
    try:
        realtime.build(pipeline, config)
    except OSError as error:
        raise RunFailed(f"the events cannot be read: {error}") from error
    counts.reset()
    columns = (SpinnerColumn(), _Counts(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, refresh_per_second=2) as shown:
        shown.add_task("run", total=None)
        try:
            pipeline.run().wait_until_finish()
        except (OSError, RuntimeError) as error:
            raise RunFailed(f"the pipeline failed: {_last_line(error)}") from error


class _Counts(ProgressColumn):
    """How far the run has come."""

    def render(self, task: Task) -> Text:  # noqa: ARG002 - the counts are the process's
        """The line as it is now."""
        return Text(f"read {counts.read:,}  users {counts.users:,}  sends {counts.sends:,}")


def _last_line(error: BaseException) -> str:
    """Beam puts the worker's whole traceback into the message; its last line says what happened."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _check_beam_flags(beam_flags: Sequence[str]) -> None:
    """Beam passes over flags that it does not know with a line in its log; a mistyped flag of ours must not run so."""
    known = argparse.ArgumentParser(allow_abbrev=False, conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(known)
    _, unknown = known.parse_known_args(list(beam_flags))
    if unknown:
        raise WrongUse(f"neither Todoke nor Beam knows {' '.join(unknown)}; `todoke run --help` lists the flags")


def _launch(argv: Sequence[str], beam_flags: Sequence[str]) -> None:
    """Start a job over a subscription with the runner that the flags name; it is not waited for."""
    if not any(flag.startswith("--runner") for flag in beam_flags):
        raise WrongUse("a subscription never ends: name a runner for it, such as --runner=DataflowRunner")
    realtime.run(list(argv))


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
    console.print(Columns([messages, _table("campaigns", [*entries, *sends, *refusals]), _table("members", segments)]))
    console.print(f"as of {report['as_of']}, in {report['elapsed_s']:.1f} s", highlight=False)


def _table(title: str, rows: Sequence[tuple[str, int]]) -> Table:
    table = Table(title, Column("", justify="right"), box=box.SIMPLE_HEAD)
    for name, count in rows:
        table.add_row(name, f"{count:,}")
    return table
