"""`todoke report`: what campaigns did, from what was counted: as tables, as JSON, or as a page."""

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from beam_pipelines.places import check_written
from beam_pipelines.values import read_time
from todoke.names import say_unknown
from todoke.report_words import comparison_words, mean_words, verdict_words
from todoke.store import open_asked_reader
from todoke.tables import numbers, words
from todoke.terminal import Screen, json_text, plain_text
from transforms.campaigns.load import Definitions
from transforms.campaigns.occurrences import moment_of
from transforms.errors import RunFailed
from transforms.events.times import write_time
from transforms.metrics.effect import GoalEffect
from transforms.segments.values import DAY
from transforms.storage.reader import Reader
from transforms.users.lease import LIVE_JOB
from transforms.views.campaign_report import CampaignReport, arm_label, report_of

__all__ = ["ended_by", "print_reports", "report", "shown_json"]


def report(
    campaigns: list[str], url: str, definitions: str | None, as_of: str | None, html: str | None, *, json: bool
) -> None:
    """Print what campaigns did, and write it as a page.

    Raises:
      WrongUse: the URL, the time or the file cannot be.
      DefinitionsError: the definitions cannot be read.
      StoreError: the store cannot be read.
      RunFailed: the page cannot be written.
    """
    asked = None if as_of is None else read_time("--as-of", as_of)
    if html is not None:
        check_written("--html", html)
    known = None if definitions is None else _definitions(definitions)
    with open_asked_reader(url) as reader:
        at = _as_of(reader) if asked is None else asked
        found = report_of(reader, at, campaigns, () if known is None else ended_by(known, at))
        _say_unknown(reader, campaigns, found, at)
    if html is not None:
        from todoke.report_page import report_page

        try:
            Path(html).write_text(report_page(found.values(), known), encoding="utf-8")
        except OSError as error:
            raise RunFailed(f"the page cannot be written: {html}: {error.strerror}") from error
    if json:
        for each in found.values():
            print(json_text(shown_json(each)))
    elif html is None:
        print_reports(Screen(), found.values())


def _definitions(place: str) -> Definitions:
    from transforms.campaigns.load import compiled
    from transforms.campaigns.transforms import read_definitions

    return compiled(read_definitions(place))


def _as_of(reader: Reader) -> int:
    """The last run's time, for a store that a run over files wrote; now, for one of a live job."""
    last, lease = reader.read_run(), reader.read_lease()
    live = lease is not None and lease.job == LIVE_JOB
    return time.time_ns() // 1000 if last is None or live else last.as_of


def _say_unknown(reader: Reader, campaigns: list[str], found: Mapping[str, CampaignReport], at: int) -> None:
    """Say which campaigns nothing was counted of."""
    empty = [name for name in campaigns if not found[name].entries and not found[name].refusals]
    if empty:
        others = report_of(reader, at)
        for name in empty:
            say_unknown(f"nothing was counted of a campaign {name}", name, others, "of these there was")


def ended_by(definitions: Definitions, at: int) -> list[str]:
    """The campaigns whose end the definitions declare, and that was over everywhere by a time (microseconds UTC)."""
    ends = {name: moment_of(campaign.ends, "UTC") for name, campaign in definitions.campaigns.items()}
    return [name for name, end in ends.items() if end is not None and end + DAY <= at]


def shown_json(found: CampaignReport) -> dict[str, Any]:
    """A report as `--json` has it; times are texts, amounts are decimals of the goal's own unit."""
    shown: dict[str, Any] = msgspec.to_builtins(found)
    shown["as_of"] = write_time(found.as_of)
    shown["balance"]["mismatch"] = found.balance.mismatch
    arms = ("arm", "percent", "units", "expected")
    shown["balance"]["arms"] = [dict(zip(arms, each, strict=True)) for each in found.balance.arms]
    for cohort in shown["cohorts"]:
        cohort["total"] = cohort["total"] / 1_000_000
        del cohort["squares"]
    return shown


def print_reports(console: Console, found: Collection[CampaignReport]) -> None:
    """Print a few tables a campaign."""
    for each in found:
        console.print(plain_text(f"\n{each.campaign}", "bold"))
        console.print(f"as of {write_time(each.as_of)}", highlight=False)
        console.print(_funnel(each))
        if each.steps:
            console.print(_steps(each))
        if each.refusals:
            refused = ", ".join(f"{reason} {count:,}" for reason, count in each.by_reason.items())
            console.print(plain_text(f"not sent: {refused}"))
        _print_effects(console, each)


def _funnel(found: CampaignReport) -> Table:
    table = Table(words("arm"), *map(numbers, ("entries", "first entries")), box=box.SIMPLE_HEAD)
    for arm, count in found.entries.items():
        table.add_row(plain_text(arm_label(arm)), f"{count:,}", f"{found.units.get(arm, 0):,}")
    return table


def _steps(found: CampaignReport) -> Table:
    titles = ("decided", "handed off", "confirmed", "failed", "opened", "clicked")
    table = Table(words("step"), words("arm"), words("channel"), *map(numbers, titles), box=box.SIMPLE_HEAD)
    for row in found.steps:
        states = (row.sends.get(state, 0) for state in ("handed_off", "confirmed", "failed"))
        counts = (row.decided, *states, row.opened, row.clicked)
        names = map(plain_text, (row.step, arm_label(row.arm), row.channel))
        table.add_row(*names, *(f"{count:,}" for count in counts))
    return table


def _print_effects(console: Console, found: CampaignReport) -> None:
    if found.balance.mismatch:
        arms = ", ".join(
            f"{arm_label(arm)} {units:,} (expected {expected:,.0f})" for arm, _, units, expected in found.balance.arms
        )
        console.print(
            plain_text(f"SAMPLE RATIO MISMATCH (p {found.balance.p:.2g}): {arms}. Nothing can be said.", "red")
        )
    if not found.effects:
        console.print("no goal was counted: the effect cannot be measured", highlight=False)
    for goal in found.effects:
        console.print(_effect_table(goal))
        if not goal.effects:
            console.print("one arm only: without a holdout or variants there is nothing to compare with")


def _effect_table(goal: GoalEffect) -> Table:
    what = f"{goal.goal}: {'reached by' if goal.measure == 'rate' else 'value a user'}"
    table = Table(words(what), numbers("complete"), numbers("mean"), words("verdict"), box=box.SIMPLE_HEAD)
    for arm in goal.arms:
        table.add_row(plain_text(arm_label(arm.arm)), f"{arm.units:,}", mean_words(goal.measure, arm), "")
    for each in goal.effects:
        between = "" if each.found is None else comparison_words(goal.measure, each.found)
        pair = f"{arm_label(each.arm)} against {arm_label(each.base)}"
        table.add_row(plain_text(pair), "", plain_text(between), plain_text(verdict_words(goal.measure, each)))
    if goal.maturing:
        table.caption = f"{goal.maturing:,} more are not complete yet"
    return table
