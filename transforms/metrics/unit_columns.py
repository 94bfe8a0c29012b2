"""What units did before they entered and after it, read of the archive by columns.

Units are those of `transforms.metrics.effect`, by the states of users: the first entry, and the arm that it fixed. What
they did is read of the archive, by columns. Times are microseconds UTC.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import polars as pl

from transforms.campaigns.definitions import Campaign, Goal
from transforms.campaigns.effects import HOLDOUT
from transforms.metrics.by_user import GoalByUser, UnitSums, goals_by_user
from transforms.metrics.units import Cohort
from transforms.segments.columns.layout import Needs, events_named
from transforms.segments.columns.reading import columns_read, passing
from transforms.segments.conditions import ANY
from transforms.segments.leaf_totals import micros
from transforms.segments.values import DAY
from transforms.storage.users import Users
from transforms.users.prepare.prepare import prepare
from transforms.users.prepare.spill import Spill
from transforms.users.tally import saturated
from transforms.users.user import decode_user

__all__ = ["values_by_user"]

_UNITS = {"key": pl.String, "campaign": pl.String, "arm": pl.String, "first": pl.Int64}
#: Users whose states are read before their units are put aside.
_AT_ONCE = 50_000


class _Asked(NamedTuple):
    """A goal, and the days (UTC dates) on which nobody was drawn under percentages other than those that hold now.

    `may_cause`: one of its events may be what let the user in, and is of the time before then: it never counts as what
    it caused.
    """

    campaign: str
    name: str
    goal: Goal
    days: frozenset[str]
    may_cause: bool


class _Part(NamedTuple):
    """The events of a part of the users, and the units among these: `user`, `campaign`, `arm` and `first`."""

    events: pl.LazyFrame
    known: pl.DataFrame


def values_by_user(
    store: Users,
    messages: Iterable[bytes],
    campaigns: Mapping[str, tuple[Campaign, Collection[Cohort]]],
    as_of: int,
    folder: Path,
    *,
    parts: int = 8,
) -> dict[str, tuple[GoalByUser, ...]]:
    """What can be said of campaigns, by id.

    Args:
      store: whose users entered.
      messages: JSON of calls: its archive.
      campaigns: as they are defined, and what was counted of them.
      as_of: what arrived later does not count, and units are complete by then.
      folder: an empty one, in which units and events are sorted.
      parts: by how many users are divided. Memory follows a part, and those who reached a goal.
    """
    asked = [
        _Asked(name, goal, campaign.goals[goal], _days(cohorts, goal), _may_cause(campaign, campaign.goals[goal]))
        for name, (campaign, cohorts) in campaigns.items()
        for goal in sorted(campaign.goals)
    ]
    (folder / "units").mkdir()
    spill = Spill(folder / "units", parts)
    for some in _units(store, campaigns):
        spill.write("units", some)
    done = prepare(messages, _needs(asked), folder / "events", until=as_of, parts=parts)
    sums: dict[tuple[str, str], dict[str, UnitSums]] = defaultdict(lambda: defaultdict(UnitSums))
    units = spill.scan("units").select(*_UNITS) if spill.files("units") else pl.LazyFrame(schema=_UNITS)
    for each in asked:
        _count(each, units, as_of, sums[each.campaign, each.name])
    for partition in done.prepared.partitions:
        known = done.prepared.users(partition).select("user", key="id").join(units, on="key").collect()
        for each in asked:
            _add(each, _Part(done.prepared.events(partition), known), as_of, sums[each.campaign, each.name])
    return {name: tuple(goals_by_user(_goals(name, asked, sums))) for name in campaigns}


def _goals(
    campaign: str, asked: Iterable[_Asked], sums: Mapping[tuple[str, str], dict[str, UnitSums]]
) -> dict[str, tuple[bool, dict[str, UnitSums]]]:
    mine = [each for each in asked if each.campaign == campaign]
    return {each.name: (each.goal.value is not None, sums[campaign, each.name]) for each in mine}


def _days(cohorts: Iterable[Cohort], goal: str) -> frozenset[str]:
    days: dict[str, set[str]] = defaultdict(set)
    for each in cohorts:
        if each.goal == goal:
            days[each.split].add(each.day)
    split = max(days, key=lambda split: (max(days[split]), min(days[split]), split), default="")
    others = {day for name, found in days.items() if name != split for day in found}
    return frozenset(days.get(split, set()) - others)


def _may_cause(campaign: Campaign, goal: Goal) -> bool:
    """Whether an event of a goal may let somebody in: by the trigger itself, or by a segment that follows from it."""
    trigger = campaign.trigger.events
    return trigger is None or ANY in (trigger.name, goal.events.name) or trigger.name == goal.events.name


def _needs(asked: Iterable[_Asked]) -> Needs:
    events: dict[str, set[str]] = defaultdict(set)
    for each in asked:
        events[each.goal.events.name].update(path for path, _ in each.goal.events.where)
        events[each.goal.events.name].update(() if each.goal.value is None else (each.goal.value,))
    return Needs({name: tuple(sorted(paths)) for name, paths in events.items()}, {})


def _units(store: Users, campaigns: Collection[str]) -> Iterator[pl.DataFrame]:
    """Who entered which campaign first when, and their arm. Who was merged is part of another user; who is deleted, of
    nobody.
    """
    rows = store.scan_users()
    while some := list(islice(rows, _AT_ONCE)):
        found = []
        for user in (decode_user(row.state) for row in some):
            for name in campaigns if user.owner is None else ():
                entry = user.entries.get(name)
                if entry is not None and entry.first is not None:
                    found.append((user.id, name, HOLDOUT if entry.held_out else entry.variant or "", entry.first))
        yield pl.DataFrame(found, _UNITS, orient="row")


def _complete(each: _Asked, as_of: int) -> list[pl.Expr]:
    """Whose goal can change no more, of the days that are compared: as `Cohort.complete` says, by whole days."""
    ends = pl.col("first") + each.goal.after + each.goal.within + DAY
    day = pl.from_epoch(pl.col("first") // 1_000_000, time_unit="s").dt.strftime("%Y-%m-%d")
    today = datetime.fromtimestamp(as_of // 1_000_000, UTC).replace(hour=0, minute=0, second=0)
    return [
        pl.col("campaign") == each.campaign,
        ends <= int(today.timestamp()) * 1_000_000,
        day.is_in(sorted(each.days)),
    ]


def _count(each: _Asked, units: pl.LazyFrame, as_of: int, sums: dict[str, UnitSums]) -> None:
    for arm, many in units.filter(_complete(each, as_of)).group_by("arm").len().collect().iter_rows():
        sums[arm].units += many


def _add(each: _Asked, part: _Part, as_of: int, sums: dict[str, UnitSums]) -> None:
    """Add those of a partition who did something in their window, or in as much time before they entered."""
    mine = part.known.filter(_complete(each, as_of)).select("user", "arm", "first")
    events, goal = part.events, each.goal
    columns = events.collect_schema().names()
    value = f"{goal.value}#number"
    wanted = columns_read(goal.events, columns) | ({value} if value in columns else set())
    read = events_named(events, goal.events.name).select(sorted(wanted))
    some = passing(read.join(mine.lazy(), on="user").collect(), goal.events, columns)
    time, first = pl.col("time"), pl.col("first")
    begins = first + goal.after
    came_before = time <= first if each.may_cause else time < first
    after = time.is_between(begins, begins + goal.within, closed="left") & ~came_before
    before = (time > first - goal.within) & came_before
    some = some.with_columns(after=after).filter(after | before)
    worth = some[value] if value in some.columns else [None] * some.height
    totals: dict[tuple[int, str], tuple[list[int], list[int]]] = {}
    for user, arm, is_after, amount in zip(some["user"], some["arm"], some["after"], worth, strict=True):
        place = totals.setdefault((user, arm), ([0, 0], [0, 0]))[is_after]
        place[0] += 1
        place[1] = saturated(place[1] + (0 if amount is None else micros(amount)))  # as goals count it
    for (_, arm), (earlier, later) in totals.items():
        sums[arm].add((earlier[0], earlier[1]), (later[0], later[1]))
