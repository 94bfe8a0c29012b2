"""Leaves that keep a few stamps: counts, different values, the first or last event, a missing one.

Stamps are only ever joined as sets (the newest n, the oldest, the newest), so any order and repetition of events, and
any merge of users, ends in the same state.
"""

from collections.abc import Callable
from datetime import date
from typing import Any

from transforms.segments.conditions import Count, Distinct, FirstLast, Missing, Since
from transforms.segments.evidence import Groups, Kind, Origin, Stamp, Stamps, value_hashes
from transforms.segments.values import compile_path, start_of_day

__all__ = [
    "MAX_DISTINCT",
    "MAX_SAME",
    "compile_count",
    "compile_distinct",
    "compile_first_last",
    "compile_missing",
    "floor_of",
    "most_stamps",
    "newest_stamps",
]

#: LANGUAGE: `distinct` counts the newest 10,000 values, `same` looks at the newest 64.
MAX_DISTINCT, MAX_SAME = 10_000, 64

_Insert = Callable[[Stamps, Stamp, int], Stamps]
_Evaluate = Callable[[Stamps, int, str], tuple[bool, int | None]]


def compile_count(condition: Count) -> Kind:
    """Keeps the newest n stamps, as many as make a difference (at most 1,001); with `same`, 64 times that."""
    low, high = condition.low, condition.high
    keep = most_stamps(low, high)
    evaluate = _evaluate_count(low, high, condition.within, condition.since)
    return _kind(lambda stamps, stamp, _tag: newest_stamps(stamps, stamp, keep), evaluate, condition.same)


def compile_distinct(condition: Distinct) -> Kind:
    """Keeps the last time of each of the newest n values, as (time, hash of the value).

    n is the largest number that makes a difference (1 to 10,000). A value that is left out has n newer ones before it
    for good.
    """
    low, high = condition.low, condition.high
    keep = most_stamps(low, high)
    find = compile_path(condition.of)
    insert = _newest_values(keep)

    def add(stamps: Stamps, stamp: Stamp, _tag: int, properties: dict[str, Any]) -> Stamps:
        for value in value_hashes(find(properties)):
            stamps = insert(stamps, (stamp[0], value), 0)
        return stamps

    return Kind(add, _union(insert), _evaluate_count(low, high, condition.within, condition.since))


def compile_first_last(condition: FirstLast) -> Kind:
    """Keeps one stamp, the oldest or the newest."""
    last, older, age = condition.last, condition.older, condition.age

    def insert(stamps: Stamps, stamp: Stamp, _tag: int) -> Stamps:
        return (stamp,) if not stamps or (stamp > stamps[0] if last else stamp < stamps[0]) else stamps

    def evaluate(stamps: Stamps, now: int, _zone: str) -> tuple[bool, int | None]:
        if not stamps:
            return False, None
        turn = stamps[0][0] + age
        return (now >= turn) is older, turn if turn > now else None

    return _kind(insert, evaluate)


def compile_missing(condition: Missing) -> Kind:
    """Keeps the newest time of A and of B, as stamps (time, 0) and (time, 1); with `same`, 64 times that."""
    age, within = condition.age, condition.within
    floor = floor_of(within, condition.since)

    def insert(stamps: Stamps, stamp: Stamp, tag: int) -> Stamps:
        for index, (time, kept) in enumerate(stamps):
            if kept == tag:
                return stamps if time >= stamp[0] else (*stamps[:index], (stamp[0], tag), *stamps[index + 1 :])
        return tuple(sorted((*stamps, (stamp[0], tag)), key=lambda kept: kept[1]))

    def evaluate(stamps: Stamps, now: int, zone: str) -> tuple[bool, int | None]:
        if not stamps or stamps[0][1] != 0:
            return False, None
        begun = stamps[0][0]
        if len(stamps) == 2 and stamps[1][0] >= begun:
            return False, None
        inside = floor is None or begun > floor(now, zone)
        ends = (begun + age, None if within is None else begun + within)
        deadline = min((end for end in ends if end is not None and end > now), default=None)
        return inside and now >= begun + age, deadline

    return _kind(insert, evaluate, condition.same)


def most_stamps(low: int, high: int | None) -> int:
    """How many stamps make a difference for a count in [low, high]."""
    return max(1, low, 0 if high is None else high + 1)


def newest_stamps(stamps: Stamps, stamp: Stamp, keep: int) -> Stamps:
    """The newest stamps, newest first, at most `keep`."""
    if not stamps or stamp > stamps[0]:
        return (stamp, *stamps[: keep - 1])
    if stamp in stamps or (len(stamps) == keep and stamp < stamps[-1]):
        return stamps
    return tuple(sorted((*stamps, stamp), reverse=True)[:keep])


def _newest_values(keep: int) -> _Insert:
    def insert(stamps: Stamps, stamp: Stamp, _tag: int) -> Stamps:
        value = stamp[1]
        before = next((kept for kept in stamps if kept[1] == value), None)
        if before is not None:
            if before >= stamp:
                return stamps
            stamps = tuple(kept for kept in stamps if kept is not before)
        return newest_stamps(stamps, stamp, keep)

    return insert


def floor_of(within: int | None, since: Since) -> Callable[[int, str], int] | None:
    """A function that gives the time which an event must be later than to count at `now`."""
    if within is not None:
        return lambda now, _zone: now - within
    if isinstance(since, date):
        return lambda _now, zone: start_of_day(since, zone) - 1
    if since is not None:
        return lambda _now, _zone: since - 1
    return None


def _evaluate_count(low: int, high: int | None, within: int | None, since: Since) -> _Evaluate:
    reaches = _evaluate_reached(low, within, since)
    if high is None:
        return reaches
    exceeds = _evaluate_reached(high + 1, within, since)

    def evaluate(stamps: Stamps, now: int, zone: str) -> tuple[bool, int | None]:
        enough, ends = reaches(stamps, now, zone)
        many, sinks = exceeds(stamps, now, zone)
        return enough and not many, ends if sinks is None else sinks if ends is None else min(ends, sinks)

    return evaluate


def _evaluate_reached(bound: int, within: int | None, since: Since) -> _Evaluate:
    """Whether at least `bound` stamps lie in the window, and until when."""
    if bound == 0:
        return lambda _stamps, _now, _zone: (True, None)
    floor = floor_of(within, since)

    def evaluate(stamps: Stamps, now: int, zone: str) -> tuple[bool, int | None]:
        if len(stamps) < bound:
            return False, None
        if floor is None:
            return True, None
        last = stamps[bound - 1][0]
        if last <= floor(now, zone):
            return False, None
        return True, None if within is None else last + within

    return evaluate


def _kind(insert: _Insert, evaluate: _Evaluate, same: str | None = None) -> Kind:
    """A kind of leaf that reads no properties, except those of `same`."""
    if same is not None:
        return _by_value(same, insert, evaluate)
    return Kind(lambda stamps, stamp, tag, _properties: insert(stamps, stamp, tag), _union(insert), evaluate)


def _union(insert: _Insert) -> Callable[[Stamps, Stamps, Origin], Stamps]:
    def join(one: Stamps, other: Stamps, _origin: Origin) -> Stamps:
        for stamp in other:
            one = insert(one, stamp, stamp[1])
        return one

    return join


def _by_value(path: str, insert: _Insert, evaluate: _Evaluate) -> Kind:
    """The same question for each value at a path, for the 64 with the newest events; one that holds is enough.

    Older values are forgotten: a value that comes back begins anew.
    """
    find = compile_path(path)
    union = _union(insert)

    def add(kept: Groups, stamp: Stamp, tag: int, properties: dict[str, Any]) -> Groups:
        before = kept.stamps if kept else {}
        after = before
        for value in value_hashes(find(properties)):
            stamps = after.get(value, ())
            if (more := insert(stamps, stamp, tag)) is not stamps:
                after = {**after, value: more}
        return kept if after is before else Groups(_newest_groups(after))

    def join(one: Groups, other: Groups, origin: Origin) -> Groups:
        if not one or not other:
            return one or other
        groups = dict(one.stamps)
        for value, stamps in other.stamps.items():
            groups[value] = union(groups.get(value, ()), stamps, origin)
        return Groups(_newest_groups(groups))

    def evaluate_all(kept: Groups, now: int, zone: str) -> tuple[bool, int | None]:
        answers = [evaluate(stamps, now, zone) for stamps in kept.stamps.values()] if kept else []
        deadlines = [deadline for _, deadline in answers if deadline is not None]
        return any(truth for truth, _ in answers), min(deadlines, default=None)

    return Kind(add, join, evaluate_all)


def _newest_groups(groups: dict[int, Stamps]) -> dict[int, Stamps]:
    if len(groups) <= MAX_SAME:
        return groups
    order = sorted(groups, key=lambda value: (max(groups[value])[0], value), reverse=True)
    return {value: groups[value] for value in order[:MAX_SAME]}
