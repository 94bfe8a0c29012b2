"""What all campaigns together did: the global holdout against everybody else, over a period, by columns of the archive.

Who was known before the period is compared, whether campaigns concerned them or not: by intention to treat. Times are
microseconds UTC.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path

import polars as pl

from transforms.campaigns.effects import HOLDOUT
from transforms.campaigns.entry import is_held
from transforms.campaigns.policies import GlobalHoldout, ProgrammeGoal
from transforms.events.times import write_time
from transforms.metrics.units import Arrivals, Cohort, Units
from transforms.segments.columns.layout import Needs, Partition, Prepared, events_named
from transforms.segments.columns.reading import columns_read, passing
from transforms.segments.conditions import ANY
from transforms.segments.leaf_totals import micros
from transforms.segments.values import DAY
from transforms.users.prepare.prepare import prepare
from transforms.users.tally import saturated
from transforms.users.user import ANONYMOUS

__all__ = ["programme_units"]

#: The one division: percentages of the global holdout.
_SPLIT = "programme"
#: What is summed of a goal in an arm, as a `Cohort` has it.
_SUMS = ("reached", "total", "squares")


def programme_units(messages: Iterable[bytes], holdout: GlobalHoldout, start: int, end: int, folder: Path) -> Units:
    """The users of whom an event from before `start` is known, with what they did in [start, end), as units.

    Args:
      messages: JSON of calls; what arrived up to a day after `end` is read.
      holdout: who is held out, and the goals.
      start, end: the period.
      folder: an empty one, in which events are sorted.
    """
    asked: dict[str, set[str]] = {ANY: set()}
    for goal in holdout.goals.values():
        paths = {path for path, _ in goal.events.where} | ({goal.value} if goal.value is not None else set())
        asked.setdefault(goal.events.name, set()).update(paths)
    needs = Needs({name: tuple(sorted(paths)) for name, paths in asked.items()}, {})
    prepared = prepare(messages, needs, folder, until=end + DAY).prepared
    day = write_time(start)[:10]
    came = Counter[str]()
    sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for arms, reached in prepared.each(lambda partition: _partition(prepared, partition, holdout, start, end)):
        came.update(arms)
        for key, counts in reached.items():
            sums[key].update(counts)
    held = Decimal(str(holdout.percent))
    shares = {"": f"{100 - held:f}", HOLDOUT: f"{held:f}"}
    arrivals = tuple(Arrivals(_SPLIT, arm, share, {day: came[arm]}) for arm, share in shares.items())
    return Units(
        arrivals,
        tuple(
            Cohort(goal, arm, _SPLIT, day, day, came[arm], *(sums[goal, arm][each] for each in _SUMS))
            for goal in sorted(holdout.goals)
            for arm in shares
        ),
    )


def _partition(
    prepared: Prepared, partition: Partition, holdout: GlobalHoldout, start: int, end: int
) -> tuple[Counter[str], Mapping[tuple[str, str], Counter[str]]]:
    """How many users each arm has, and by goal and arm who reached it, with sums and squares."""
    events = prepared.events(partition)
    since = events_named(events, ANY).group_by("user").agg(pl.col("time").min().alias("since"))
    known = since.filter(pl.col("since") < start).select("user")
    users = prepared.users(partition).filter(~pl.col("id").str.starts_with(ANONYMOUS)).join(known, on="user")
    rows = users.select("user", "id").collect().iter_rows()
    arms = {user: HOLDOUT if is_held(holdout, name) else "" for user, name in rows}
    found = {}
    for name, goal in holdout.goals.items():
        totals = _totals(events, goal, start, end)
        for arm in ("", HOLDOUT):
            mine = [total for user, total in totals.items() if arms.get(user) == arm]
            squares = sum(total * total for total in mine)
            found[name, arm] = Counter(reached=len(mine), total=sum(mine), squares=squares)
    return Counter(arms.values()), found


def _totals(events: pl.LazyFrame, goal: ProgrammeGoal, start: int, end: int) -> dict[int, int]:
    """What the users who reached a goal in the period are worth, in millionths; what 64 bits do not hold is cut."""
    columns = events.collect_schema().names()
    value = f"{goal.value}#number"
    wanted = columns_read(goal.events, columns) | ({value} if value in columns else set())
    read = events_named(events, goal.events.name).filter(pl.col("time").is_between(start, end, closed="left"))
    some = passing(read.select(sorted(wanted)).collect(), goal.events, columns)
    worth = some[value] if value in some.columns else [None] * some.height
    totals: dict[int, int] = {}
    for user, amount in zip(some["user"], worth, strict=True):
        totals[user] = saturated(totals.get(user, 0) + (0 if amount is None else micros(amount)))
    return totals
