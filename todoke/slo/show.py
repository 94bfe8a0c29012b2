"""`todoke slo`: what service levels come to by the metrics of a store."""

import sys
from collections.abc import Iterable, Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from beam_pipelines.values import read_time
from todoke.clock import Clock, check_zone, clock
from todoke.names import check_word
from todoke.slo.shown import level_json, percent_text, share_text
from todoke.store import open_asked_reader
from todoke.tables import numbers, words
from todoke.terminal import Screen, json_text, plain_text, print_error
from transforms.campaigns.load import compiled
from transforms.campaigns.transforms import read_definitions
from transforms.errors import WrongUse
from transforms.events.live.feed import now
from transforms.metrics.slos.status import LevelStatus, minutes_of, status_of
from transforms.segments.values import HOUR
from transforms.slos.budget import NO_DATA
from transforms.slos.definitions import ServiceLevel

__all__ = ["asked_levels", "asked_running", "asked_time", "print_levels", "slo"]

#: Whether a live job is expected to run, by the word of `--job`.
_RUNNING = {"running": True, "stopped": False}


def slo(
    name: str | None, url: str, definitions: str, as_of: str | None, job: str | None, *, zone: str, json: bool
) -> None:
    """Print a line for each level, or for the one that is named; alerts that fire stand below the table.

    Raises:
      WrongUse: the URL, the level, the time or the zone is unknown, or there is no level.
      StoreError: the store cannot be read.
    """
    check_zone(zone, of="those who are counted")
    running = asked_running(job)
    levels, at = asked_levels(definitions, name), asked_time(as_of)
    with open_asked_reader(url) as reader:
        found = [status_of(level, minutes_of(reader, level, at, running=running), at) for level in levels]
    if json:
        for each in found:
            print(json_text(level_json(each, clock(zone))))
    else:
        print_levels(Screen(), found)
        sys.stdout.flush()
        for line in _said(found, clock(zone)):
            print_error(line)


def asked_levels(definitions: str, name: str | None = None) -> list[ServiceLevel]:
    """The levels of definitions, or the one that is named.

    Raises:
      WrongUse: there is none, or none of that name.
    """
    levels = compiled(read_definitions(definitions)).slos
    if not levels:
        raise WrongUse(f"--definitions: {definitions} has no service levels: write some under `slos`")
    check_word("NAME", "service level", name, levels)
    return [level for id_, level in sorted(levels.items()) if name in (None, id_)]


def asked_running(job: str | None) -> bool | None:
    """What `--job` says; None: as its lease says.

    Raises:
      WrongUse: it is no such word.
    """
    check_word("--job", "word", job, _RUNNING)
    return None if job is None else _RUNNING[job]


def asked_time(as_of: str | None) -> int:
    """The time that is asked for, or now."""
    return now() if as_of is None else read_time("--as-of", as_of)


def print_levels(console: Console, found: Iterable[LevelStatus]) -> None:
    """Print a line a level."""
    columns = words("level"), words("owner"), words("objective"), words("state"), numbers("left"), numbers("bad events")
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for each in found:
        level = each.level
        table.add_row(
            plain_text(level.id),
            plain_text(level.owner.id),
            f"{percent_text(level.objective)} % in {level.window}",
            f"{each.state} (trial)" if level.status == "trial" else each.state,
            "" if each.state == NO_DATA else share_text(each.remaining),
            f"{each.events.bad:,} of {each.events.total:,}",
        )
    console.print(table)


def _said(found: Iterable[LevelStatus], by: Clock) -> Iterator[str]:
    """Who is to act, alerts that fire, and what is left out."""
    for each in found:
        level, owner = each.level, each.level.owner
        if each.since is not None:
            left = f"{share_text(each.remaining)} of the budget is left"
            yield f"{level.id}: {owner.name} ({owner.contact}) acts since {by.write(each.since)}: {left}"
        for alert in each.alerts:
            if alert.fires:
                trial = ", on trial, so nobody is alerted" if level.status == "trial" else ""
                burns = f"burn {float(alert.burn_long or 0):.1f}, above {float(alert.alert.factor):.2f}"
                yield f"{level.id}: the {alert.alert.kind} of {alert.alert.long // HOUR} h fires: {burns}{trial}"
        yield from (f"{level.id}: {out}" for out in each.left_out)
