"""What is held back while budgets are used up, for the gate of deliveries. Times are microseconds UTC."""

from collections.abc import Iterable

from transforms.metrics.slos.status import LevelStatus
from transforms.slos.budget import EXHAUSTED
from transforms.storage.rows import HoldRow

__all__ = ["hold_of"]


def hold_of(found: Iterable[LevelStatus], now: int, length: int, before: HoldRow | None = None) -> HoldRow:
    """The hold by all levels: sends of a lower priority than the highest that an exhausted live one names.

    Args:
      found: what levels come to.
      now: the time.
      length: how long it lasts, unless it is said anew.
      before: the one that was said last. One that goes on began when that did: if the clock here is ahead of that of a
        job, what it holds would else go out there each time that it is said anew.
    """
    exhausted = [
        each.level
        for each in found
        if each.level.status == "live" and each.level.hold_below is not None and each.state == EXHAUSTED
    ]
    below = max((level.hold_below or 0 for level in exhausted), default=0)
    names = tuple(level.id for level in exhausted)
    if not below:
        return HoldRow(below, names, now, now)
    goes_on = before is not None and before.below and now < before.until
    return HoldRow(below, names, min(before.since, now) if before is not None and goes_on else now, now + length)
