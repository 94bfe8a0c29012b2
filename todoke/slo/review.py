"""`todoke slo review`: what an owner looks at every week, as Markdown or a page."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from todoke.clock import UTC_CLOCK
from todoke.slo.changes import changes_between
from todoke.slo.document import (
    TO_FILL_IN,
    Heading,
    ListOf,
    PageParts,
    Sentence,
    TableOf,
    as_html,
    as_markdown,
    open_tasks,
)
from todoke.slo.show import asked_levels, asked_running, asked_time
from todoke.slo.shown import level_json, percent_text, share_text
from todoke.store import open_asked_reader
from todoke.terminal import json_text, print_plain
from transforms.errors import WrongUse
from transforms.events.live.feed import now
from transforms.events.plain import quoted
from transforms.events.times import write_time
from transforms.metrics.slos.review import LevelReview, review_of
from transforms.metrics.slos.status import minutes_of
from transforms.segments.values import DAY, MINUTE
from transforms.slos.budget import ACT, EXHAUSTED, NO_DATA, burn_of

__all__ = ["review"]

_WEEK = 7 * DAY
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def review(
    url: str, definitions: str, week: str | None, *, html: Path | None, last: Path | None, job: str | None, json: bool
) -> None:
    """Print the review of a week; with `html` write it as a page.

    Raises:
      WrongUse: the URL or the week is none, or a file cannot be read or written.
      StoreError: the store cannot be read.
    """
    start, running = _start(week), asked_running(job)
    levels, open_actions = asked_levels(definitions), _open_actions(last)
    end = _end(start)
    known = min(end, now()) if end < start + _WEEK else end
    with open_asked_reader(url) as reader:
        reviews = [review_of(level, minutes_of(reader, level, known, running=running), start, end) for level in levels]
        changes = changes_between(reader, definitions, start, end)
    if json:
        for each in reviews:
            shown = level_json(each.status, UTC_CLOCK)
            shown |= {
                "week": _name(start),
                "before": each.before,
                "week_bad": each.week.bad,
                "week_total": each.week.total,
            }
            print(json_text(shown))
        return
    document = _document(start, end, reviews, changes, open_actions)
    if html is None:
        print(as_markdown(document), end="")
        return
    try:
        html.write_text(as_html(f"Service levels, week {_name(start)}", document), encoding="utf-8")
    except OSError as error:
        raise WrongUse(f"--html: {html} cannot be written: {error.strerror}") from error
    print_plain(f"{html} written")


def _start(week: str | None) -> int:
    """When a week begins, on Monday in UTC; of None the last one that is over."""
    if week is None:
        today = asked_time(None) // DAY * DAY
        monday = today - (_EPOCH + timedelta(microseconds=today)).weekday() * DAY
        return monday - _WEEK
    found = re.fullmatch(r"([0-9]{4})-W([0-9]{2})", week)
    try:
        if found is None:
            raise ValueError
        moment = datetime.fromisocalendar(int(found[1]), int(found[2]), 1).replace(tzinfo=UTC)
        moment + timedelta(weeks=1)  # the last week of all has no end
    except (ValueError, OverflowError) as error:
        raise WrongUse(f"--week: expected a week such as 2026-W14; found {quoted(week)}") from error
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _end(start: int) -> int:
    """When what is known of a week ends: with the week, or of the one that is not over with this minute."""
    clock, end = now(), start + _WEEK
    return clock - clock % MINUTE + MINUTE if start <= clock < end else end


def _name(start: int) -> str:
    year, week, _ = (_EPOCH + timedelta(microseconds=start)).isocalendar()
    return f"{year:04}-W{week:02}"


def _open_actions(last: Path | None) -> list[str]:
    if last is None:
        return []
    try:
        return open_tasks(last.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(f"--last: {last} cannot be read: {error}") from error


def _document(
    start: int, end: int, reviews: list[LevelReview], changes: list[str], open_actions: list[str]
) -> PageParts:
    rows = [_row(each) for each in reviews]
    acting = [_acts(each) for each in reviews if each.status.state in (ACT, EXHAUSTED, NO_DATA)]
    so_far = "" if end == start + _WEEK else " The week is not over."
    heads = ("level", "owner", "objective", "state", "left", "burn in the week", "bad events in the week")
    parts: list[Heading | Sentence | ListOf | TableOf] = [
        Heading(1, f"Service levels, week {_name(start)}"),
        Sentence(f"From {write_time(start)} to {write_time(end)}. States are those at its end.{so_far}"),
        TableOf(heads, rows),
        Heading(2, "Who acts"),
        ListOf(acting or ["nobody has to"]),
        Heading(2, "Worst hours"),
    ]
    worst = [
        (each.status.level.id, write_time(hour), f"{events.bad:,} of {events.total:,}")
        for each in reviews
        for hour, events in each.worst
    ]
    parts.append(TableOf(("level", "hour from", "bad events"), worst) if worst else Sentence("No event was bad."))
    parts += [Heading(2, "What changed meanwhile"), ListOf(changes)]
    parts += [Heading(2, "Actions of the last review that are open")]
    parts.append(ListOf(open_actions, tasks=True) if open_actions else Sentence("None is known."))
    return [*parts, Heading(2, "Actions"), ListOf([TO_FILL_IN], tasks=True)]


def _row(each: LevelReview) -> tuple[str, ...]:
    status, level = each.status, each.status.level
    state = status.state if status.state == each.before else f"{status.state} (before: {each.before})"
    burn = burn_of(each.week, level.objective)
    return (
        level.id,
        level.owner.name,
        f"{percent_text(level.objective)} % in {level.window}{', on trial' if level.status == 'trial' else ''}",
        state,
        "" if status.state == NO_DATA else share_text(status.remaining),
        "" if burn is None else f"{float(burn):.2f}",
        f"{each.week.bad:,} of {each.week.total:,}",
    )


def _acts(each: LevelReview) -> str:
    status, owner = each.status, each.status.level.owner
    since = f" since {write_time(status.since)}" if status.since is not None else ""
    why = "finds out why there are no events" if status.state == NO_DATA else f"acts: {status.state}{since}"
    return f"{owner.name} ({owner.contact}), for {status.level.id}: {why}"
