"""`todoke backfill`: a history of events into a store: whole users, or seeds for the users of a live job."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from beam_pipelines import backfill as job
from beam_pipelines.backfill_options import Backfill, parse
from todoke.run import check_beam_flags, print_report, run_bounded, write_report

__all__ = ["backfill"]


def backfill(argv: Sequence[str]) -> None:
    """Backfill with the flags of `beam_pipelines.backfill_options`.

    Raises:
      WrongUse, DefinitionsError, RunRefused: nothing was started.
      RunFailed, StoreError, ControlFailed: it was, and failed.
    """
    asked, beam_flags = parse(list(argv))
    check_beam_flags(beam_flags)
    report = _write_users(asked, beam_flags)
    print_report(Console(), report)
    if asked.report:
        write_report(asked.report, report)


def _write_users(asked: Backfill, beam_flags: Sequence[str]) -> dict[str, Any]:
    """Whole users, by rows."""
    console = Console(stderr=True)
    _, report = run_bounded(asked.config, console=console, beam_flags=beam_flags, build=job.build)
    return report | {"write": "users", "engine": "rows"}
