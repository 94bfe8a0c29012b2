"""What the oracle says of events: everything is worked out from the whole list, each time anew."""

from collections import defaultdict
from fractions import Fraction
from hashlib import blake2b
from typing import Any

from oracle_profile import NAMED, Call, Definition, Profile, satisfied, timely
from oracle_values import COMPARE, duration, kind, walk

__all__ = ["behaved", "followed"]

FILTERS = frozenset(["event", "type", "where"])
SECOND = 1_000_000


def behaved(condition: Definition, profile: Profile) -> bool:
    """Whether a condition on an event is true."""
    aggregates = condition.keys() - FILTERS - {"within", "since", "same"}
    if len(aggregates) > 1 or {"within", "since"} <= condition.keys():
        raise ValueError(f"not a condition: {condition}")
    aggregate = aggregates.pop() if aggregates else "count"
    calls = matching(condition, profile)
    if aggregate == "missing":
        return absent(condition, calls, profile)
    if "same" in condition:
        if aggregate not in ("count", "sum"):
            raise ValueError(f"not a condition: {condition}")
        groups = by_value(condition["same"], [calls])
        return any(holds_of(aggregate, condition, group, profile) for (group,) in groups)
    return holds_of(aggregate, condition, calls, profile)


def holds_of(aggregate: str, condition: Definition, calls: list[Call], profile: Profile) -> bool:
    """Whether an aggregate of these calls, oldest first, is as the condition wants it."""
    asked = condition.get(aggregate, {"at_least": 1})
    windows = [key for key in ("within", "since") if key in condition]
    match aggregate:
        case "first" | "last" if not windows and "same" not in condition:
            ((operator, age),) = asked.items()
            return bool(calls) and timely(operator, age, calls[0 if aggregate == "first" else -1].time, profile)
        case "count":
            ((operator, bound),) = asked.items()
            wide = max(bound if isinstance(bound, list) else [bound]) > 1000
            inside = [call for call in calls if counts(condition, call.time, profile, buckets=wide)]
            return compares(operator, len(inside), bound)
        case "distinct":
            return distinct(condition, calls, profile)
        case "sum" | "average" | "minimum" | "maximum":
            inside = [call for call in calls if counts(condition, call.time, profile, buckets=True)]
            return amounts(aggregate, asked, inside)
    raise ValueError(f"not a condition: {condition}")


def counts(condition: Definition, time: int, profile: Profile, *, buckets: bool = False) -> bool:
    """Whether a time is in the window of a condition; with `buckets` until its bucket has left it."""
    if buckets and "within" in condition:
        within = duration(condition["within"])
        width = max(SECOND, within // 512 + (1 if within % 512 else 0))
        end = time - time % width + width
        return profile.now < end + within
    return all(timely(key, condition[key], time, profile) for key in ("within", "since") if key in condition)


def amounts(aggregate: str, asked: Definition, calls: list[Call]) -> bool:
    """Whether the numbers at a path of these calls add up, or are on the average or at the end, as asked."""
    numbers = [value for call in calls for value in walk(call.properties, asked["of"]) if kind(value) == "number"]
    ((operator, bound),) = ((key, value) for key, value in asked.items() if key != "of")
    if aggregate in ("minimum", "maximum"):
        extreme = min(numbers, default=None) if aggregate == "minimum" else max(numbers, default=None)
        return extreme is not None and COMPARE[operator](extreme, bound)
    total = Fraction(sum(millionths(number) for number in numbers), 1_000_000)
    if aggregate == "average":
        return bool(numbers) and compares(operator, total / len(numbers), bound)
    return compares(operator, total, bound)


def millionths(number: float) -> int:
    """A number in millionths: a whole one exactly, else its product in double precision, half to even."""
    return int(number) * 1_000_000 if number == int(number) else round(number * 1e6)


def compares(operator: str, value: Fraction | int, bound: Any) -> bool:
    """Compares exactly with a bound as it is written in decimals."""
    low, high = (Fraction(str(end)) for end in (bound if operator == "between" else [bound, bound]))
    return {
        "is": value == low,
        "at_least": value >= low,
        "at_most": value <= low,
        "more_than": value > low,
        "less_than": value < low,
        "between": low <= value <= high,
    }[operator]


def distinct(condition: Definition, calls: list[Call], profile: Profile) -> bool:
    """Of each value the last time counts, of the 10,000 with the newest ones."""
    asked = condition["distinct"]
    last = {value: call.time for call in calls for value in scalars(call, asked["of"])}
    newest = sorted(last.values(), reverse=True)[:10_000]
    ((operator, bound),) = ((key, value) for key, value in asked.items() if key != "of")
    return compares(operator, sum(counts(condition, time, profile) for time in newest), bound)


def scalars(call: Call, path: str) -> set[tuple[str, Any]]:
    """The different texts, numbers and booleans at a path; true is not 1."""
    found = walk(call.properties, path)
    return {(kind(value), value) for value in found if kind(value) in ("text", "number", "boolean")}


def by_value(path: str, lists: list[list[Call]]) -> list[list[list[Call]]]:
    """For each of the 64 values with the newest calls, those of each list that have it."""
    groups: dict[tuple[str, Any], list[list[Call]]] = defaultdict(lambda: [[] for _ in lists])
    for index, calls in enumerate(lists):
        for call in calls:
            for value in scalars(call, path):
                groups[value][index].append(call)
    newest = sorted(groups.values(), key=lambda group: max(call.time for calls in group for call in calls))
    return newest[-64:]


def absent(condition: Definition, calls: list[Call], profile: Profile) -> bool:
    """Whether the newest A is old enough and no B came at its instant or later, of any value of `same`."""
    other = condition["missing"]
    if other.keys() - FILTERS - {"within", "same"} or "same" in condition:
        raise ValueError(f"not a condition: {condition}")
    answers = matching(other, profile)
    groups = by_value(other["same"], [calls, answers]) if "same" in other else [[calls, answers]]
    for mine, theirs in groups:
        # The window is asked of the newest A: where that one is outside, no older one is inside.
        if (
            mine
            and counts(condition, mine[-1].time, profile)
            and profile.now - mine[-1].time >= duration(other["within"])
            and not any(call.time >= mine[-1].time for call in theirs)
        ):
            return True
    return False


def followed(condition: Definition, profile: Profile) -> bool:
    """Whether events came one after another; of each step only the newest 256 are looked at."""
    if condition.keys() - {"sequence", "within"}:
        raise ValueError(f"not a condition: {condition}")
    chains: list[tuple[int, int]] = []
    for number, step in enumerate(condition["sequence"]):
        stamps = sorted((call.time, hash_of(call.id)) for call in matching(step, profile))[-256:]
        if number == 0:
            chains = stamps
            continue
        most = duration(step["within"]) if "within" in step else None
        chains = [
            stamp
            for stamp in stamps
            if any(before < stamp and (most is None or stamp[0] - before[0] < most) for before in chains)
        ]
    return any(counts(condition, time, profile) for time, _ in chains)


def hash_of(message: str) -> int:
    return int.from_bytes(blake2b(message.encode(), digest_size=8).digest(), "big")


def matching(condition: Definition, profile: Profile) -> list[Call]:
    """The calls, oldest first, that a condition names, whatever its window."""
    kinds = [condition["type"]] if "type" in condition else NAMED
    where = condition.get("where", {})
    return [
        call
        for call in profile.calls
        if call.type in kinds and condition["event"] in ("any", call.name) and fits(where, call.properties, profile)
    ]


def fits(where: Definition, properties: Any, profile: Profile) -> bool:
    """Whether properties are as asked; under a path with `[]` one element may have to have them all."""
    for path, tests in where.items():
        found = walk(properties, path)
        if path.endswith("[]") and all(isinstance(each, dict) for each in tests.values()):
            if not any(fits(tests, element, profile) for element in found):
                return False
        elif not all(satisfied({operator: argument}, found, profile) for operator, argument in tests.items()):
            return False
    return True
