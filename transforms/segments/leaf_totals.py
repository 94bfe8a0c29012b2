"""Leaves that add up: sums, averages, extremes and counts beyond a thousand.

A window W is kept in buckets of width b = max(1 s, W/512), rounded up to a microsecond and aligned to the epoch. A
bucket counts while now < its end + W. That is the meaning of such a window, not an approximation of another meaning.

An addition cannot be undone or recognised later, so amounts are kept by source: what was counted here, each seed, each
merged user. A join takes the newer copy of each source and adds across sources. Minima and maxima are joined as sets.
Buckets that can never count again after the newest event are dropped.
"""

from collections.abc import Callable, Iterable
from datetime import date
from fractions import Fraction
from typing import Any

import msgspec

from transforms.segments.conditions import Since, Total
from transforms.segments.evidence import (
    Extremes,
    Kind,
    Origin,
    SourceSum,
    SourceSums,
    Stamp,
    exact,
    hash_of,
    value_hashes,
)
from transforms.segments.leaf_stamps import MAX_SAME
from transforms.segments.operators import Operator, compile_test
from transforms.segments.values import HOUR, SECOND, compile_path, is_number, start_of_day

__all__ = [
    "MICRO",
    "QUARTER",
    "Buckets",
    "amounts_of",
    "compile_comparison",
    "compile_total",
    "extremes_of",
    "flatten",
    "micros",
    "written_amount",
]

#: Amounts are whole numbers of millionths.
MICRO = 1_000_000
#: Days begin at a full quarter of an hour, UTC, in every zone since 1973, and within 15 hours of UTC's.
QUARTER = 15 * 60 * SECOND
_FARTHEST = 15 * HOUR

_Cells = dict[int, tuple[int, int]]
#: Whether an amount and a number of summands are as asked.
_Test = Callable[[int, int], bool]


class Buckets:
    """The buckets of time, and until when each counts. `width` is in microseconds. Without `within` there is one bucket
    for all time; with a date as `since`, those around the day, from `first` to `last`.
    """

    def __init__(self, within: int | None, since: Since) -> None:
        self.within = within
        self.since = since
        self.width = QUARTER if within is None else max(SECOND, -(-within // 512))
        day = start_of_day(since, "UTC") if isinstance(since, date) else 0
        self.first, self.last = (day - _FARTHEST) // QUARTER, (day + _FARTHEST) // QUARTER

    def of(self, time: int) -> int | None:
        """The bucket of a time; None if it can never count."""
        if self.within is not None:
            return time // self.width
        if isinstance(self.since, date):  # the zone matters only around the change of day
            bucket = time // self.width
            return None if bucket < self.first else min(bucket, self.last)
        return 0 if self.since is None or time >= self.since else None

    def floor(self, now: int, zone: str) -> int:
        """The first bucket that counts."""
        if self.within is not None:
            return (now - self.within) // self.width
        return -(-start_of_day(self.since, zone) // self.width) if isinstance(self.since, date) else 0

    def oldest(self, newest: int) -> int:
        """The first bucket that may still count once time has come to a bucket."""
        return self.floor(newest // self.width * self.width, "")

    def end(self, bucket: int) -> int:
        """When a bucket ceases to count."""
        return (bucket + 1) * self.width + (self.within or 0)


def compile_total(condition: Total) -> Kind:
    """Keeps at most 514 buckets with `within`, 121 with a date as `since`, else one; for sums, one set for each source.

    With `same`, it keeps that for each of the 64 values with the newest events. A merged user is a source as long as it
    has a bucket that may count.
    """
    if condition.aggregate in ("minimum", "maximum"):
        return _compile_extreme(condition)
    return _compile_sum(condition)


def flatten(kept: SourceSums) -> SourceSums | tuple[()]:
    """All sources as one: what two evaluators of the same events must agree on."""
    values: dict[int, SourceSum] = {}
    for tally in kept.tallies if kept else ():
        before = values.get(tally.value, SourceSum())
        cells = _sum_cells([before, tally], None)
        values[tally.value] = SourceSum(0, 0, tally.value, 0, max(before.newest, tally.newest), _packed(cells))
    found = tuple(values[value] for value in sorted(values) if value or values[value].cells)
    return SourceSums(found) if found else ()


def micros(value: float) -> int:
    """A number in millionths: the product in double precision, rounded half to even; exact for a whole number."""
    if isinstance(value, float) and not value.is_integer():
        return round(value * MICRO)
    return int(value) * MICRO


def _compile_sum(condition: Total) -> Kind:
    buckets = Buckets(condition.within, condition.since)
    counts = condition.aggregate == "count"
    numbers = (lambda _properties: [0]) if counts else _numbers(condition.of)
    values = _hashes(condition.same) if condition.same is not None else None
    test = compile_comparison(condition)

    def prune(tallies: Iterable[SourceSum]) -> SourceSums:
        kept = _newest_values(tallies) if values is not None else list(tallies)
        if buckets.within is not None and kept:
            floor = buckets.oldest(max(tally.newest for tally in kept))
            kept = [_without(tally, floor) for tally in kept]
        # One's own source stays, so that its version goes on; values of `same` stay, since nothing is an answer too.
        kept = [tally for tally in kept if tally.cells or tally.owner == 0 or tally.value]
        return SourceSums(tuple(sorted(kept, key=_key)))

    def add(kept: SourceSums, stamp: Stamp, _tag: int, properties: dict[str, Any]) -> SourceSums:
        time, amounts, bucket = stamp[0], numbers(properties), buckets.of(stamp[0])
        if values is None and (bucket is None or not amounts):
            return kept
        asked = [0] if values is None else values(properties)
        if not asked:
            return kept
        cell = None if bucket is None or not amounts else (bucket, len(amounts), sum(map(micros, amounts)))
        found = {_key(tally): tally for tally in kept.tallies} if kept else {}
        fresh = values is not None
        for value in asked:
            before = found.get((0, 0, value), SourceSum(0, 0, value))
            fresh = fresh or not before.version or (cell is not None and cell[0] not in before.cells)
            found[0, 0, value] = _added(before, time, cell)
        return prune(found.values()) if fresh else SourceSums(tuple(found.values()))

    def join(one: SourceSums, other: SourceSums, origin: Origin) -> SourceSums:
        if not other:
            return one
        found = {_key(tally): tally for tally in one.tallies} if one else {}
        for theirs in other.tallies:
            tally = _renamed(theirs, origin)
            mine = found.get(_key(tally))
            if mine is None or tally.version > mine.version:
                found[_key(tally)] = tally
        return prune(found.values())

    def evaluate(kept: SourceSums, now: int, zone: str) -> tuple[bool, int | None]:
        floor = buckets.floor(now, zone)
        answers = [_turn(cells, test, buckets) for cells in _cells_by_value(condition, kept, floor)]
        deadlines = [deadline for _, deadline in answers if deadline is not None]
        return any(truth for truth, _ in answers), min(deadlines, default=None)

    return Kind(add, join, evaluate)


def amounts_of(condition: Total, kept: SourceSums, now: int, zone: str) -> list[tuple[int, int]]:
    """The number of summands that count now, and their sum in millionths: once, or for each value of `same`."""
    floor = Buckets(condition.within, condition.since).floor(now, zone)
    found = [cells.values() for cells in _cells_by_value(condition, kept, floor)]
    return [(sum(many for many, _ in cells), sum(much for _, much in cells)) for cells in found]


def extremes_of(condition: Total, kept: Extremes, now: int, zone: str) -> list[Any]:
    """The minima or maxima of all buckets that count now."""
    floor = Buckets(condition.within, condition.since).floor(now, zone)
    return [value for bucket, value in kept.cells.items() if bucket >= floor] if kept else []


def _cells_by_value(condition: Total, kept: SourceSums, floor: int) -> list[_Cells]:
    tallies = kept.tallies if kept else ()
    asked = {tally.value for tally in tallies} if condition.same is not None else {0}
    return [_sum_cells([tally for tally in tallies if tally.value == value], floor) for value in asked]


def _turn(cells: _Cells, test: _Test, buckets: Buckets) -> tuple[bool, int | None]:
    """The truth, and when it changes as one bucket after another leaves the window."""
    many, much = sum(n for n, _ in cells.values()), sum(amount for _, amount in cells.values())
    truth = test(much, many)
    if buckets.within is not None:
        for bucket in sorted(cells):
            many, much = many - cells[bucket][0], much - cells[bucket][1]
            if test(much, many) is not truth:
                return truth, buckets.end(bucket)
    return truth, None


def compile_comparison(condition: Total) -> _Test:
    """A test of an amount in millionths and a number of summands."""
    compare = _compile_bounds(condition.operator, 1 if condition.aggregate == "count" else MICRO)
    if condition.aggregate == "count":
        return lambda _much, many: compare(many, 1)
    if condition.aggregate == "sum":
        return lambda much, _many: compare(much, 1)
    return lambda much, many: many > 0 and compare(much, many)


def _compile_bounds(operator: Operator, scale: int) -> Callable[[int, int], bool]:
    """Compares an amount with a multiple of a bound, in whole numbers; a bound is exactly what its decimals say."""
    name, operand = operator.name, operator.operand
    low, high = (
        (Fraction(str(bound)) * scale).as_integer_ratio()
        for bound in (operand if name == "between" else (operand, operand))
    )
    match name:
        case "is":
            return lambda much, many: much * low[1] == low[0] * many
        case "at_least":
            return lambda much, many: much * low[1] >= low[0] * many
        case "at_most":
            return lambda much, many: much * low[1] <= low[0] * many
        case "more_than":
            return lambda much, many: much * low[1] > low[0] * many
        case "less_than":
            return lambda much, many: much * low[1] < low[0] * many
    return lambda much, many: much * low[1] >= low[0] * many and much * high[1] <= high[0] * many


def _compile_extreme(condition: Total) -> Kind:
    buckets = Buckets(condition.within, condition.since)
    best: Callable[..., Any] = min if condition.aggregate == "minimum" else max
    numbers, test = _numbers(condition.of), compile_test(condition.operator)

    def prune(cells: dict[int, Any]) -> Extremes:
        if buckets.within is None:
            return Extremes(cells)
        floor = buckets.oldest(max(cells) * buckets.width)
        return Extremes({bucket: value for bucket, value in cells.items() if bucket >= floor})

    def add(kept: Extremes, stamp: Stamp, _tag: int, properties: dict[str, Any]) -> Extremes:
        amounts, bucket = numbers(properties), buckets.of(stamp[0])
        if bucket is None or not amounts:
            return kept
        cells = kept.cells if kept else {}
        value = best(map(exact, amounts))
        if bucket not in cells:
            return prune({**cells, bucket: value})
        value = best(cells[bucket], value)
        return kept if value == cells[bucket] else Extremes({**cells, bucket: value})

    def join(one: Extremes, other: Extremes, _origin: Origin) -> Extremes:
        if not one or not other:
            return one or other
        cells = dict(one.cells)
        for bucket, value in other.cells.items():
            cells[bucket] = best(cells.get(bucket, value), value)
        return prune(cells)

    def evaluate(kept: Extremes, now: int, zone: str) -> tuple[bool, int | None]:
        cells = kept.cells if kept else {}
        floor = buckets.floor(now, zone)
        order = sorted(bucket for bucket in cells if bucket >= floor)
        # The answers as one bucket after another leaves, from the last on.
        answers, value = [False], None
        for bucket in reversed(order):
            value = cells[bucket] if value is None else best(value, cells[bucket])
            answers.append(test([value]))
        answers.reverse()
        if buckets.within is not None:
            for bucket, answer in zip(order, answers[1:], strict=True):
                if answer is not answers[0]:
                    return answers[0], buckets.end(bucket)
        return answers[0], None

    return Kind(add, join, evaluate)


def _numbers(path: str) -> Callable[[dict[str, Any]], list[Any]]:
    find = compile_path(path)
    return lambda properties: [value for value in find(properties) if is_number(value)]


def _hashes(path: str) -> Callable[[dict[str, Any]], list[int]]:
    find = compile_path(path)
    return lambda properties: value_hashes(find(properties))


def _key(tally: SourceSum) -> tuple[int, int, int]:
    return tally.owner, tally.seed, tally.value


def _added(tally: SourceSum, time: int, cell: tuple[int, int, int] | None) -> SourceSum:
    newest = max(time, tally.newest) if tally.version else time
    cells = tally.cells
    if cell is not None:
        bucket, many, much = cell
        before = cells.get(bucket, (0, 0))
        cells = {**cells, bucket: (before[0] + many, written_amount(int(before[1]) + much))}
    return msgspec.structs.replace(tally, version=tally.version + 1, newest=newest, cells=cells)


def _without(tally: SourceSum, floor: int) -> SourceSum:
    """Without the buckets before one."""
    if all(bucket >= floor for bucket in tally.cells):
        return tally
    cells = {bucket: cell for bucket, cell in tally.cells.items() if bucket >= floor}
    return msgspec.structs.replace(tally, cells=cells)


def _renamed(tally: SourceSum, origin: Origin) -> SourceSum:
    """A source under the name that it has for the user who takes it over."""
    owner, seed = tally.owner, tally.seed
    if owner == 0 and seed == 0 and origin.source != "live":
        seed = hash_of(origin.source)
    if owner == 0 and origin.theirs:
        owner = hash_of(origin.theirs)
    if owner == hash_of(origin.mine):
        owner = 0
    return msgspec.structs.replace(tally, owner=owner, seed=seed)


def _newest_values(tallies: Iterable[SourceSum]) -> list[SourceSum]:
    """The tallies of the 64 values with the newest events."""
    kept = list(tallies)
    newest: dict[int, int] = {}
    for tally in kept:
        newest[tally.value] = max(tally.newest, newest.get(tally.value, tally.newest))
    order = sorted(newest, key=lambda value: (newest[value], value), reverse=True)
    chosen = set(order[:MAX_SAME])
    return [tally for tally in kept if tally.value in chosen]


def _sum_cells(tallies: Iterable[SourceSum], floor: int | None) -> _Cells:
    """The buckets of several sources as one, from `floor` on."""
    cells: _Cells = {}
    for tally in tallies:
        for bucket, (many, much) in tally.cells.items():
            if floor is None or bucket >= floor:
                before = cells.get(bucket, (0, 0))
                cells[bucket] = (before[0] + many, before[1] + int(much))
    return cells


def _packed(cells: _Cells) -> dict[int, tuple[int, int | str]]:
    return {bucket: (many, written_amount(much)) for bucket, (many, much) in cells.items()}


def written_amount(amount: int) -> int | str:
    """An amount as `SourceSum.cells` holds it."""
    return amount if -(2**63) <= amount < 2**63 else str(amount)
