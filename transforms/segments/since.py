"""Since when a leaf's answer has been what it is, where its evidence tells.

Leaves keep no history of their answers, and of events only what the next answers need. Where that is not enough, the
answer is None. Times are microseconds UTC, and those of the events: a late event counts as if it had come in time.
"""

from transforms.segments.conditions import Condition, Count, FirstLast, Missing
from transforms.segments.evidence import Stamps
from transforms.segments.leaves import LeafState

__all__ = ["answer_since"]


def answer_since(condition: Condition, state: LeafState, now: int) -> int | None:
    """When the answer at `now` became what it is; None if it was always so, or the evidence does not tell."""
    stamps = state.evidence
    if not isinstance(stamps, tuple) or not stamps:
        return None
    turn = None
    match condition:
        case FirstLast():
            turn = _first_last(condition, stamps, now)
        case Missing():
            turn = _missing(condition, stamps, now)
        case Count(within=int(within)):
            turn = _count(condition, within, stamps)
    return turn if turn is not None and turn <= now else None


def _first_last(condition: FirstLast, stamps: Stamps, now: int) -> int | None:
    begun, turn = stamps[0][0], stamps[0][0] + condition.age
    if now >= turn:
        return turn
    # It is not known whether there was an event before the last one.
    return None if condition.last or condition.older else begun


def _missing(condition: Missing, stamps: Stamps, now: int) -> int | None:
    if stamps[0][1] != 0:
        return None
    begun = stamps[0][0]
    overdue = begun + condition.age
    end = None if condition.within is None else begun + condition.within
    came = stamps[1][0] if len(stamps) == 2 and stamps[1][0] >= begun else None
    if came is not None:  # of several, only the last one is known
        return None
    if end is not None and end <= now:
        return end
    return overdue if condition.since is None and overdue <= now else None


def _count(condition: Count, within: int, stamps: Stamps) -> int | None:
    """When the count fell below its bound; None where the kept stamps do not show that it had reached it."""
    low, high = condition.low, condition.high
    if low > 0 and high is not None:
        return None
    bound = low if high is None else high + 1
    if bound == 0 or len(stamps) < bound:
        return None
    end = stamps[bound - 1][0] + within
    return end if stamps[0][0] < end else None
