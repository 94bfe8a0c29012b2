"""A backfill as a batch job, as a scheduler or somebody without a machine starts it.

Memberships by columns, recommendations and audits are graphs, for as many workers as it takes. All else is one step,
`todoke backfill` on a worker: users are written under a lease, in passes over what they leave for each other, and seeds
go out at one rate. A runner may try a step again. All may be made twice but whole users, which are refused a second
time, since the store holds some by then.
"""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import apache_beam as beam
import msgspec
from apache_beam.io.filesystem import BeamIOError
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines import audit, memberships, recommendations
from beam_pipelines.backfill_options import Backfill, parse, parser
from beam_pipelines.flag_words import read_flags
from transforms.campaigns.load import compiled
from transforms.errors import RunFailed, WrongUse
from transforms.events.sources import Bounded, Source
from transforms.events.times import write_time
from transforms.logs import fields
from transforms.storage.scratch.folder import scratch_folder

__all__ = ["build", "build_spread", "check", "run"]

_log = logging.getLogger(__name__)
#: What is known of a record in the log of a command, and no field of its own.
_HEAD = {"time", "severity", "message", "logger", "job"}


def build(pipeline: beam.Pipeline, argv: Sequence[str]) -> None:
    """Add the steps to a pipeline; `argv` are the flags of `todoke backfill`."""
    _ = pipeline | "Asked" >> beam.Create([list(argv)]) | "Backfill" >> beam.ParDo(_Backfill())


def build_spread(pipeline: beam.Pipeline, asked: Backfill, opened: Callable[[Source], Bounded]) -> bool:
    """Add the steps of a backfill that many workers share; False if it is none."""
    if asked.write == "audit":
        audit.build(pipeline, asked, asked.report_place)
        return True
    is_columnar = asked.write == "recommendations" or (
        asked.write == "memberships" and memberships.engine_of(asked, compiled(asked.config.definitions)) == "columns"
    )
    if is_columnar and not asked.of_archive:
        config = msgspec.structs.replace(asked.config, source=opened(asked.config.source))
        asked = msgspec.structs.replace(asked, config=config)
    if asked.write == "recommendations":
        recommendations.build(pipeline, asked, asked.report_place)
        return True
    if is_columnar:
        memberships.build(pipeline, asked, memberships.parts_of(asked), asked.report_place)
        return True
    return False


def run(argv: Sequence[str], beam_flags: Sequence[str], opened: Callable[[Source], Bounded]) -> Any:
    """Launch a backfill on Dataflow and return Beam's result; it is not waited for.

    Args:
      argv: the flags of the backfill.
      beam_flags: those of Beam.
      opened: finds what is read, for a graph that many workers share.

    Raises:
      WrongUse, DefinitionsError: nothing was launched.
    """
    asked = check(argv)
    pipeline = beam.Pipeline(options=PipelineOptions(list(beam_flags), save_main_session=False))
    try:
        if not build_spread(pipeline, asked, opened):
            build(pipeline, [*_without(argv, "--as-of"), f"--as-of={write_time(asked.as_of)}"])
        elif asked.out is not None:
            memberships.begin(asked.out)
    except (OSError, BeamIOError) as error:
        raise WrongUse(f"--out: {error}") from error
    return pipeline.run()


def check(argv: Sequence[str]) -> Backfill:
    """What a backfill on a worker is told; each flag is written as `--name=value`.

    Raises:
      WrongUse, DefinitionsError: it cannot be.
    """
    flags, beam_flags = read_flags(parser(), list(argv))
    if beam_flags:
        raise WrongUse(f"{' '.join(beam_flags)}: no flags of a backfill")
    events = flags.events
    is_elsewhere = events == "store" or (events.startswith("bigquery:") and not events.endswith(".sql"))
    for name, place in (("--definitions", flags.definitions), *(() if is_elsewhere else (("--events", events),))):
        if "://" not in place:
            raise WrongUse(f"{name}: on Dataflow name gs://BUCKET/…: {place} would be a worker's file")
    if flags.out is not None and "://" not in flags.out:
        raise WrongUse(f"--out: on Dataflow name gs://BUCKET/…: {flags.out} would be a worker's folder")
    if flags.store is not None and not flags.store.startswith("bigtable:"):
        raise WrongUse(f"--store: on Dataflow name bigtable:PROJECT/INSTANCE: {flags.store} would be a worker's file")
    if flags.dead_letters or (flags.report and "://" not in flags.report):
        raise WrongUse(
            "--report, --dead-letters: files would be on a worker: the log has the report, the store letters"
        )
    return parse(list(argv))[0]


def _without(argv: Sequence[str], flag: str) -> Iterator[str]:
    """The flags but one, each as `--name=value`."""
    return (word for word in argv if not word.startswith(f"{flag}="))


class _Backfill(beam.DoFn):
    """Runs the command in a process of its own, and logs what it says."""

    def process(self, argv: list[str]) -> None:
        command = [sys.executable, "-m", "todoke", "backfill", *argv, "--log-format=json"]
        with (
            scratch_folder() as folder,
            subprocess.Popen(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
            ) as running,
        ):
            assert running.stdout is not None
            last = _pass_on(running.stdout)
        if running.returncode:
            raise RunFailed(f"the backfill ended with {running.returncode}: {last}")


def _pass_on(lines: IO[str]) -> str:
    """Log the lines of a command, as they come; returns the last that was a record of its log."""
    last = ""
    for line in lines:
        try:
            record = json.loads(line)
            level, last = logging.getLevelNamesMapping()[record["severity"]], record["message"]
        except (ValueError, KeyError, TypeError):  # the report, or what somebody else wrote
            _log.info("%s", line.rstrip())
            continue
        _log.log(level, "%s", last, extra=fields(**{name: record[name] for name in record.keys() - _HEAD}))
    return last
