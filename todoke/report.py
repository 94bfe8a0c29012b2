"""`todoke report`: what campaigns did, from what was counted: as tables, as JSON, or as a page."""

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.padding import Padding

from beam_pipelines.places import check_apart, check_written
from beam_pipelines.values import read_time
from todoke.names import say_unknown
from todoke.report_words import comparison_words, mean_words, p_words, ratio_words, verdict_words
from todoke.store import open_asked, open_asked_reader
from todoke.terminal import Screen, json_text, plain_text
from transforms.campaigns.load import Definitions
from transforms.campaigns.occurrences import moment_of
from transforms.errors import RunFailed, WrongUse
from transforms.events.times import write_time
from transforms.metrics.effect import GoalEffect
from transforms.segments.values import DAY
from transforms.storage.reader import Reader
from transforms.storage.scratch.folder import scratch_folder
from transforms.users.lease import LIVE_JOB
from transforms.views.campaign_report import EVERYTHING, CampaignReport, StepRow, arm_label, programme_report, report_of

__all__ = ["ended_by", "print_reports", "report", "shown_json"]


def report(
    campaigns: list[str],
    url: str,
    definitions: str | None,
    as_of: str | None,
    html: str | None,
    *,
    programme: str | None = None,
    quantiles: bool = False,
    cuped: bool = False,
    json: bool = False,
) -> None:
    """Print what campaigns did, and write it as a page.

    Raises:
      WrongUse: the URL, the time or the file cannot be, or definitions are missing.
      DefinitionsError: the definitions cannot be read.
      StoreError: the store cannot be read.
      RunFailed: the page cannot be written.
    """
    asked = None if as_of is None else read_time("--as-of", as_of)
    if html is not None:
        check_written("--html", html)
        check_apart([("--html", html)], [("--store", url)])
    known = None if definitions is None else _definitions(definitions)
    begun = None if programme is None else _programme_start(programme, known)
    with open_asked_reader(url) as reader:
        at = _as_of(reader) if asked is None else asked
        found = report_of(reader, at, campaigns, () if known is None else ended_by(known, at))
        _say_unknown(reader, campaigns, found, at)
    if quantiles or cuped:
        from todoke.report_users import with_users

        found = with_users(found, url, known, at, quantiles=quantiles, cuped=cuped)
    if begun is not None and known is not None:
        found |= {EVERYTHING: _programme(url, known, begun, at)}
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


def _programme_start(text: str, known: Definitions | None) -> int:
    if known is None or known.policies.global_holdout is None or not known.policies.global_holdout.goals:
        raise WrongUse("--programme: name --definitions whose policies have a global_holdout with goals")
    return read_time("--programme", text)


def _programme(url: str, known: Definitions, start: int, end: int) -> CampaignReport:
    """All campaigns together, by the archive of the store."""
    from transforms.metrics.programme import programme_units
    from transforms.users.export import archive_messages

    if start >= end:
        raise WrongUse("--programme: the period begins before it ends, which is at --as-of")
    holdout = known.policies.global_holdout
    assert holdout is not None
    store = open_asked(url)
    try:
        with scratch_folder() as folder:
            units = programme_units(archive_messages(store), holdout, start, end, folder / "events")
            return programme_report(units, end)
    finally:
        store.close()


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


def print_reports(console: Console, found: Iterable[CampaignReport]) -> None:
    """Print some lines a campaign."""
    for each in found:
        console.print()
        console.print(
            plain_text("all campaigns together" if each.campaign == EVERYTHING else each.campaign, "bold"),
            plain_text(f"as of {write_time(each.as_of)}"),
        )
        for line in _lines(each):
            console.print(Padding(plain_text(line), (0, 0, 0, 2)))


def _lines(found: CampaignReport) -> Iterator[str]:
    if found.campaign == EVERYTHING:
        counts = ", ".join(f"{arm_label(arm)} {count:,}" for arm, count in found.units.items())
        yield f"users known before the period: {counts}"
    else:
        yield _entered_line(found)
    yield from map(_step_line, found.steps)
    if found.refusals:
        yield f"not sent: {', '.join(f'{reason} {count:,}' for reason, count in found.by_reason.items())}"
    if found.balance.mismatch:
        came = (f"{arm_label(arm)} {units:,} for {expected:,.0f}" for arm, _, units, expected in found.balance.arms)
        yield f"SAMPLE RATIO MISMATCH ({p_words(found.balance.p)}): {', '.join(came)}; so nothing can be said"
    if not found.effects:
        yield "no goal was counted: nobody can say what it did"
    for goal in found.effects:
        yield from _goal_lines(goal)
    if found.by_user:
        from todoke.report_users import goal_by_user_lines

        for each in found.by_user:
            yield from goal_by_user_lines(each)


def _entered_line(found: CampaignReport) -> str:
    arms = (f"{arm_label(arm)} {count:,} ({found.units.get(arm, 0):,})" for arm, count in found.entries.items())
    return f"entered (for the first time): {', '.join(arms) or 'nobody'}"


def _step_line(row: StepRow) -> str:
    states = f", {row.handed_off:,} handed off" + "".join(
        f", {count:,} {state}" for state, count in sorted(row.sends.items()) if count and state != "handed_off"
    )
    read = [(row.opened, row.machine_opened, "opened"), (row.clicked, row.machine_clicked, "clicked")]
    seen = "".join(
        f", {people:,} {what} ({machines:,} by machines)" for people, machines, what in read if people + machines
    )
    left = [(row.unsubscribed, "unsubscribed"), (row.complained, "complained")]
    gone = "".join(f", {count:,} {what}" for count, what in left if count)
    return f"{row.step or 'any step'}, {arm_label(row.arm)}, {row.channel}: {row.decided:,} decided{states}{seen}{gone}"


def _goal_lines(goal: GoalEffect) -> Iterator[str]:
    means = [f"{arm_label(arm.arm)} {mean_words(goal.measure, arm)} of {arm.units:,}" for arm in goal.arms if arm.units]
    name = f"{goal.goal}, {'reached by' if goal.measure == 'rate' else 'value a user'}"
    more = f"{goal.maturing:,} more" if means else f"{goal.maturing:,}"
    maturing = f"{more} are not complete yet, the first on {goal.next_complete}" if goal.maturing else ""
    yield f"{name}: {'; '.join(part for part in (', '.join(means), maturing) if part) or 'nobody'}"
    if not goal.effects:
        yield "  one arm only: without a holdout or variants there is nothing to compare with"
    for each in goal.effects:
        yield f"  {arm_label(each.arm)} against {arm_label(each.base)}: {verdict_words(goal.measure, each)}"
        if each.found is not None:
            said = comparison_words(goal.measure, each.found), ratio_words(each.found), p_words(each.found.p)
            yield f"    {', '.join(said)}"
        if each.once is not None:
            said_once = comparison_words(goal.measure, each.once), p_words(each.once.p)
            yield f"    at the declared end, looked at once: {', '.join(said_once)}"
