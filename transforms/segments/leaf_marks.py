"""Leaves that keep a few marks: counts, different values, the first or last event, a missing one.

Marks are only ever joined as sets (the newest n, the oldest, the newest), so any order and repetition of events, and
any merge of users, ends in the same state.
"""

from collections.abc import Callable
from datetime import date
from typing import Any

from transforms.segments.conditions import Count, Distinct, FirstLast, Missing, Since
from transforms.segments.marks import Groups, Kind, Mark, MarkSet, Origin, value_hashes
from transforms.segments.values import compile_path, start_of_day

__all__ = [
    "MAX_DISTINCT",
    "MAX_SAME",
    "compile_count",
    "compile_distinct",
    "compile_first_last",
    "compile_missing",
    "floor_of",
    "most_marks",
    "newest_marks",
]

#: LANGUAGE: `distinct` counts the newest 10,000 values, `same` looks at the newest 64.
MAX_DISTINCT, MAX_SAME = 10_000, 64

_Insert = Callable[[MarkSet, Mark, int], MarkSet]
_Judge = Callable[[MarkSet, int, str], tuple[bool, int | None]]


def compile_count(condition: Count) -> Kind:
    """Keeps the newest n marks, n being the largest count that makes a difference (≤ 1,001); with `same` 64 times."""
    low, high = condition.low, condition.high
    keep = most_marks(low, high)
    judge = _judge_count(low, high, condition.within, condition.since)
    return _kind(lambda marks, mark, _tag: newest_marks(marks, mark, keep), judge, condition.same)


def compile_distinct(condition: Distinct) -> Kind:
    """Keeps the last time of each of the newest n values, as (time, hash of the value).

    n is the largest number that makes a difference (1 to 10,000): what is left out has n newer values before it for
    ever after.
    """
    low, high = condition.low, condition.high
    keep = most_marks(low, high)
    find = compile_path(condition.of)
    insert = _newest_values(keep)

    def take(marks: MarkSet, mark: Mark, _tag: int, properties: dict[str, Any]) -> MarkSet:
        for value in value_hashes(find(properties)):
            marks = insert(marks, (mark[0], value), 0)
        return marks

    return Kind(take, _union(insert), _judge_count(low, high, condition.within, condition.since))


def compile_first_last(condition: FirstLast) -> Kind:
    """Keeps one mark, the oldest or the newest."""
    last, older, age = condition.last, condition.older, condition.age

    def insert(marks: MarkSet, mark: Mark, _tag: int) -> MarkSet:
        return (mark,) if not marks or (mark > marks[0] if last else mark < marks[0]) else marks

    def judge(marks: MarkSet, now: int, _zone: str) -> tuple[bool, int | None]:
        if not marks:
            return False, None
        turn = marks[0][0] + age
        return (now >= turn) is older, turn if turn > now else None

    return _kind(insert, judge)


def compile_missing(condition: Missing) -> Kind:
    """Keeps the newest time of A and of B, as marks (time, 0) and (time, 1); 64 times with `same`."""
    age, within = condition.age, condition.within
    floor = floor_of(within, condition.since)

    def insert(marks: MarkSet, mark: Mark, tag: int) -> MarkSet:
        for index, (time, kept) in enumerate(marks):
            if kept == tag:
                return marks if time >= mark[0] else (*marks[:index], (mark[0], tag), *marks[index + 1 :])
        return tuple(sorted((*marks, (mark[0], tag)), key=lambda kept: kept[1]))

    def judge(marks: MarkSet, now: int, zone: str) -> tuple[bool, int | None]:
        if not marks or marks[0][1] != 0:
            return False, None
        begun = marks[0][0]
        if len(marks) == 2 and marks[1][0] >= begun:
            return False, None
        inside = floor is None or begun > floor(now, zone)
        ends = (begun + age, None if within is None else begun + within)
        deadline = min((end for end in ends if end is not None and end > now), default=None)
        return inside and now >= begun + age, deadline

    return _kind(insert, judge, condition.same)


def most_marks(low: int, high: int | None) -> int:
    """How many marks make a difference to a count in [low, high]."""
    return max(1, low, 0 if high is None else high + 1)


def newest_marks(marks: MarkSet, mark: Mark, keep: int) -> MarkSet:
    """The newest marks, newest first, at most so many."""
    if not marks or mark > marks[0]:
        return (mark, *marks[: keep - 1])
    if mark in marks or (len(marks) == keep and mark < marks[-1]):
        return marks
    return tuple(sorted((*marks, mark), reverse=True)[:keep])


def _newest_values(keep: int) -> _Insert:
    def insert(marks: MarkSet, mark: Mark, _tag: int) -> MarkSet:
        value = mark[1]
        before = next((kept for kept in marks if kept[1] == value), None)
        if before is not None:
            if before >= mark:
                return marks
            marks = tuple(kept for kept in marks if kept is not before)
        return newest_marks(marks, mark, keep)

    return insert


def floor_of(within: int | None, since: Since) -> Callable[[int, str], int] | None:
    """The time that an event must be later than to count at `now`."""
    if within is not None:
        return lambda now, _zone: now - within
    if isinstance(since, date):
        return lambda _now, zone: start_of_day(since, zone) - 1
    if since is not None:
        return lambda _now, _zone: since - 1
    return None


def _judge_count(low: int, high: int | None, within: int | None, since: Since) -> _Judge:
    reaches = _judge_reached(low, within, since)
    if high is None:
        return reaches
    exceeds = _judge_reached(high + 1, within, since)

    def judge(marks: MarkSet, now: int, zone: str) -> tuple[bool, int | None]:
        enough, ends = reaches(marks, now, zone)
        many, sinks = exceeds(marks, now, zone)
        return enough and not many, ends if sinks is None else sinks if ends is None else min(ends, sinks)

    return judge


def _judge_reached(bound: int, within: int | None, since: Since) -> _Judge:
    """Whether so many marks lie in the window, and until when."""
    if bound == 0:
        return lambda _marks, _now, _zone: (True, None)
    floor = floor_of(within, since)

    def judge(marks: MarkSet, now: int, zone: str) -> tuple[bool, int | None]:
        if len(marks) < bound:
            return False, None
        if floor is None:
            return True, None
        last = marks[bound - 1][0]
        if last <= floor(now, zone):
            return False, None
        return True, None if within is None else last + within

    return judge


def _kind(insert: _Insert, judge: _Judge, same: str | None = None) -> Kind:
    """A kind of leaf that looks at no properties but, with `same`, at those that tell its events apart."""
    if same is not None:
        return _by_value(same, insert, judge)
    return Kind(lambda marks, mark, tag, _properties: insert(marks, mark, tag), _union(insert), judge)


def _union(insert: _Insert) -> Callable[[MarkSet, MarkSet, Origin], MarkSet]:
    def join(one: MarkSet, other: MarkSet, _origin: Origin) -> MarkSet:
        for mark in other:
            one = insert(one, mark, mark[1])
        return one

    return join


def _by_value(path: str, insert: _Insert, judge: _Judge) -> Kind:
    """The same question of each value at a path, of the 64 with the newest events; one is enough.

    What is known of an older value is forgotten: should it come back, it begins anew.
    """
    find = compile_path(path)
    union = _union(insert)

    def take(kept: Groups, mark: Mark, tag: int, properties: dict[str, Any]) -> Groups:
        before = kept.marks if kept else {}
        after = before
        for value in value_hashes(find(properties)):
            marks = after.get(value, ())
            if (more := insert(marks, mark, tag)) is not marks:
                after = {**after, value: more}
        return kept if after is before else Groups(_newest_groups(after))

    def join(one: Groups, other: Groups, origin: Origin) -> Groups:
        if not one or not other:
            return one or other
        groups = dict(one.marks)
        for value, marks in other.marks.items():
            groups[value] = union(groups.get(value, ()), marks, origin)
        return Groups(_newest_groups(groups))

    def judge_all(kept: Groups, now: int, zone: str) -> tuple[bool, int | None]:
        answers = [judge(marks, now, zone) for marks in kept.marks.values()] if kept else []
        deadlines = [deadline for _, deadline in answers if deadline is not None]
        return any(truth for truth, _ in answers), min(deadlines, default=None)

    return Kind(take, join, judge_all)


def _newest_groups(groups: dict[int, MarkSet]) -> dict[int, MarkSet]:
    if len(groups) <= MAX_SAME:
        return groups
    order = sorted(groups, key=lambda value: (max(groups[value])[0], value), reverse=True)
    return {value: groups[value] for value in order[:MAX_SAME]}
