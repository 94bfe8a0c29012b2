"""What a campaign would do, as `todoke preview` prints it."""

from itertools import dropwhile
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from todoke.clock import Clock, clock
from todoke.tables import numbers, weeks_table, words
from todoke.terminal import plain_text
from transforms.channels.preview import CampaignPreview, Happening
from transforms.events.plain import counted, quoted

__all__ = ["campaign_json", "print_campaign"]


def campaign_json(found: CampaignPreview, zone: str) -> dict[str, Any]:
    """The whole preview for programs: times as text, by `--zone`."""
    by = clock(zone)
    return {
        "campaign": found.campaign,
        "as_of": by.write(found.as_of),
        "users": found.users,
        "entries": found.entries,
        "weeks": [{"at": by.write(week.at), "entries": week.entries, "sends": week.sends} for week in found.weeks],
        "sends": [each._asdict() for each in found.decided],
        "refusals": [each._asdict() for each in found.refused],
        "sample": [
            {"user": each.user, "happened": [_as_json(one, clock(zone, each.zone)) for one in each.happened]}
            for each in found.sample
        ],
    }


def _as_json(happening: Happening, by: Clock) -> dict[str, Any]:
    """Without fields that are empty."""
    return {**msgspec.to_builtins(happening), "at": by.write(happening.at)}


def print_campaign(console: Console, found: CampaignPreview, called: str, zone: str) -> None:
    """Entries and sends by week, what is sent by step, what is refused and why, and some users one by one."""
    by = clock(zone)
    counts = f"{counted(found.entries, 'journey')}, {counted(found.users, 'user')}"
    title = f"{called}, up to {by.write(found.as_of)}: {counts}"
    console.print(plain_text(title, "bold"))
    most = max(week.entries for week in found.weeks)
    rows = (
        (week.at, week.entries, (f"{week.entries:,}", f"{week.sends:,}"))
        for week in dropwhile(lambda week: not week.entries and not week.sends, found.weeks)
    )
    weeks = weeks_table(("journeys", "sends"), rows, most, by)
    sends = Table(numbers("sends"), *map(words, ("step", "message", "channel")), box=box.SIMPLE_HEAD)
    for decided in found.decided:
        sends.add_row(f"{decided.sends:,}", *map(plain_text, (decided.step, decided.message, decided.channel)))
    refusals = Table(numbers("not sent"), *map(words, ("step", "reason")), box=box.SIMPLE_HEAD)
    for refused in found.refused:
        refusals.add_row(f"{refused.times:,}", plain_text(refused.step or "(entry)"), refused.reason)
    for table in (weeks, sends, refusals):
        if table.row_count:
            console.print(table)
    for told in found.sample:
        console.print(plain_text(told.user, "bold"))
        own = clock(zone, told.zone)
        for each in told.happened:
            console.print(plain_text(f"  {own.write(each.at)}  {_as_line(each)}"))


def _as_line(happening: Happening) -> str:
    if happening.what == "entered":
        return "entered"
    if happening.what == "sent":
        note = f" ({happening.note})" if happening.note else ""
        return f"{happening.step}: {happening.channel} {happening.message}{note}, {quoted(happening.text)}"
    where = happening.step or "not entered"
    return f"{where}: no send, {happening.reason}" + (f" ({happening.text})" if happening.text else "")
