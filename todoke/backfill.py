"""`todoke backfill`: a history of events as whole users, as seeds for the users of a live job, as memberships, or held
against what a store has; or as what is recommended.
"""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from beam_pipelines import backfill as job
from beam_pipelines.backfill_options import Backfill
from todoke.audit import audit_store, audit_text
from todoke.memberships import write_memberships
from todoke.recommendations import make_recommendations, recommendations_text
from todoke.run import check_beam_flags, print_report, run_bounded, write_report
from todoke.seeds import write_seeds
from todoke.terminal import Screen, print_plain
from transforms.errors import WrongUse
from transforms.events.plain import counted

__all__ = ["backfill"]

#: How messages ended that were not applied: by key of the report, one and many of them.
_ENDS = {
    "duplicates": ("duplicate",),
    "deleted": ("deleted", "deleted"),
    "dead_letters": ("dead letter",),
    "later": ("later", "later"),
}


def backfill(asked: Backfill, beam_flags: Sequence[str]) -> None:
    """Backfill as `beam_pipelines.backfill_options` parsed the flags.

    Raises:
      WrongUse, DefinitionsError, RunRefused, LeaseHeld: nothing was started.
      RunFailed, StoreError, ControlFailed, LeaseLost: it was, and failed.
    """
    check_beam_flags(beam_flags)
    if asked.write == "seeds":
        if beam_flags:
            raise WrongUse(f"{' '.join(beam_flags)}: seeds are made on this machine, and take no flags of Beam")
        report = write_seeds(asked)
    elif asked.write == "audit":
        report = audit_store(asked, beam_flags)
    elif asked.write == "memberships":
        report = write_memberships(asked, beam_flags)
    elif asked.write == "recommendations":
        report = make_recommendations(asked, beam_flags)
    else:
        report = _write_users(asked, beam_flags)
    if asked.report_place:
        write_report(asked.report_place, report)
    if asked.write == "seeds":
        _print_seeds(report)
    elif asked.write == "audit":
        for line in audit_text(report):
            print_plain(line)
    elif asked.write == "recommendations":
        for line in recommendations_text(report):
            print_plain(line)
    elif asked.write == "memberships":
        _print_memberships(report)
    else:
        print_report(Screen(), report)


def _write_users(asked: Backfill, beam_flags: Sequence[str]) -> dict[str, Any]:
    """Whole users, by rows."""
    console = Console(stderr=True, quiet=asked.log_format == "json")
    _, report = run_bounded(asked.config, console=console, beam_flags=beam_flags, build=job.build)
    return report | {"write": "users", "engine": "rows"}


def _print_seeds(report: dict[str, Any]) -> None:
    if not report["activations"]:
        print("nobody waits for a seed")
    for at, counts in report["activations"].items():
        print(f"activation {at}, by {report['engine']}: {counted(counts['seeded'], 'seed')}, {counts['empty']:,} empty")
        if counts["missed"]:
            print(f"  {counts['missed']:,} cannot be made up for: see `missed` in docs/how-to/change-definitions.md")
    for at in report["left_out"]:
        print(f"activation {at} is left out: it is after {report['as_of']}, up to which events are read")
    print(f"users: {report['users']:,}")


def _print_memberships(report: dict[str, Any]) -> None:
    members, users = counted(report["members"], "membership"), counted(report["users"], "user")
    print(f"{members} of {users} as of {report['as_of']}, by {report['engine']}, in {counted(report['files'], 'file')}")
    ends = "".join(f", {counted(report[name], *words)}" for name, words in _ENDS.items() if report[name])
    print(f"{counted(report['read'], 'message')} read: {report['applied']:,} applied{ends}")
    for name, many in report["segments"].items():
        print(f"  {name}: {many:,}")
