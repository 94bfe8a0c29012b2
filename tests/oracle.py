"""Who is in which segment, worked out the slow way: read everything, then ask each question of the full list.

Tests hold the real evaluators against this module, so it imports nothing of them, keeps no state between questions
and prefers the obvious to the fast. It reads the first set of the language; any other form raises `ValueError`.

Where the language leaves room, this is the reading chosen:

* An operator between different types is false, `is_not` too. `not_in` is true when nothing in the list is equal and
  something in it has the value's type. Arrays and objects have no type to compare: only `exists` and (for arrays)
  `contains` can be true of them.
* Order operators compare numbers, or texts by code point; of booleans they are false. A text is a time only for
  `before`, `after`, `within` and `older_than`: `is`, `between` and the rest see text.
* A time is ISO 8601's extended form with `T` and a zone, cut to microseconds. A local time without a zone and a number
  are not times. A date alone uses the zone that the user has now, on both sides of an operator and in `since`.
* With `[]` an operator is true if any element satisfies it, also `is_not`. Nulls are absent, an empty array has no
  elements, and `exists: false` means that the path finds nothing at all. Each path of a `where` finds its own element.
* `within` and `older_than` in a `where` are ages now, not at the event.
* Traits come from identify calls only, whole per top-level key. Each path under `context.` is that of the newest call
  of any type that has it; null there is absent and deletes nothing. Ties of time go to the greater message id, as text.
* A zone name nobody knows is as if it were not there, so an older known one counts. Without a default zone it is UTC.
* In `missing`, an event that is both A and B is a B at A's instant, so the condition is false. B's `within` is only the
  least age of A: a B at any time from A on answers it. A window or `since` beside A must hold the newest A.
* Consent Changed counts only as a track with text `topic` and `channel` and boolean `granted`. `all` is a topic of its
  own: while it is denied the channel is closed, and granting it opens no other topic.
* A device token needs no device type. Any text that is not empty is a mailbox.
* Refused ids are compared as written (`Guest` is an id), an empty one is not the same as an absent one, and one
  refused id (user, anonymous or previous) refuses the call. Ids are text. Wrong types of known fields are dead letters.
* Of the copies of a message the first to arrive counts. Alias takes previousId as an anonymous id only.

Outside: deletion, receipts, tokens and addresses taken over by another user. A message must have its messageId.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import re2

__all__ = ["Call", "duration", "instant", "memberships", "read"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}
NAMED = ("track", "page", "screen")
REFUSED = frozenset(
    ["", "null", "undefined", "none", "nil", "nan", "0", "-1", "true", "false", "guest", "anonymous", "[object Object]"]
)
CONTEXT = ("app.version", "app.build", "os.name", "os.version", "device.type", "device.model", "locale", "timezone")
ZONES = frozenset(available_timezones())
#: What consent is while nobody has said anything.
UNSET = {"email": False, "line": False, "push": True, "inbox": True, "webhook": True}

FILTERS = frozenset(["event", "type", "where", "within"])

Definition = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One readable message. Times are microseconds since the epoch, UTC."""

    id: str
    type: str
    name: str
    time: int
    arrival: int
    user: str | None
    anonymous: str | None
    previous: str | None
    properties: dict[str, Any]
    traits: dict[str, Any]
    context: dict[str, Any]


@dataclass(frozen=True)
class Profile:
    """What is known of one user (or `~anonymous id`) at `now`: the calls, oldest first by (time, id)."""

    key: str
    calls: tuple[Call, ...]
    now: int
    default_zone: str

    @property
    def traits(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for call in self.calls:
            if call.type == "identify":
                found.update(call.traits)
        return {key: value for key, value in found.items() if value is not None}

    @property
    def zone(self) -> ZoneInfo:
        newest_first = [walk(call.context, "timezone") for call in reversed(self.calls)]
        for names in [walk(self.traits, "timezone"), *newest_first]:
            if names and isinstance(names[0], str) and names[0] in ZONES:
                return ZoneInfo(names[0])
        return ZoneInfo(self.default_zone)

    def attribute(self, path: str) -> list[Any]:
        """The values at a path: one, or with `[]` any number; none where it is missing."""
        if not path.startswith("context."):
            return walk(self.traits, path)
        path = path.removeprefix("context.")
        if path in CONTEXT or path.startswith("location."):
            for call in reversed(self.calls):
                if values := walk(call.context, path):
                    return values
        return []


def memberships(definitions: Definition, history: Iterable[dict[str, Any]], as_of: int) -> dict[str, set[str]]:
    """The segments of each profile at `as_of` (microseconds since the epoch, UTC), from what had arrived by then.

    `definitions` is the plain form of the YAML, `history` the messages as a JSON Lines file holds them, in any
    order. Anonymous profiles are keyed `~` and the id. Raises `ValueError` for what is not in the first set.
    """
    segments = definitions["segments"]
    default_zone = definitions.get("policies", {}).get("default_zone", "UTC")
    answer = {}
    for key, calls in whose(arrived(history, as_of)).items():
        oldest_first = tuple(sorted(calls, key=lambda call: (call.time, call.id)))
        profile = Profile(key, oldest_first, as_of, default_zone)
        answer[key] = {name for name in segments if holds(segments[name]["members"], profile, segments)}
    return answer


def read(message: dict[str, Any]) -> Call | None:
    """The call in a message, or None where it is a dead letter."""
    fields = {key: value for key, value in message.items() if value is not None}
    type_ = fields.get("type")
    if type_ == "delete":
        raise ValueError("deletion is outside this oracle")
    if type_ not in (*NAMED, "identify", "alias"):
        return None
    name = fields.get("event") if type_ == "track" else fields.get("name", "") if type_ in NAMED else ""
    ids: list[Any] = [fields.get(key) for key in ("userId", "anonymousId", "previousId")]
    bodies: list[Any] = [fields.get(key, {}) for key in ("properties", "traits", "context")]
    readable = (
        isinstance(name, str)
        and (name or type_ != "track")
        and (ids[0] is not None or ids[1] is not None)
        and all(acceptable(id_) for id_ in ids if id_ is not None)
        and all(isinstance(body, dict) for body in bodies)
    )
    times = when(fields)
    if not readable or times is None:
        return None
    return Call(fields["messageId"], type_, str(name), *times, *ids, *bodies)


def acceptable(id_: Any) -> bool:
    return isinstance(id_, str) and id_ not in REFUSED and len(id_.encode()) <= 256


def when(fields: dict[str, Any]) -> tuple[int, int] | None:
    """The time and the arrival of a message; None if there is none, or one that cannot be read."""
    times: dict[str, int] = {}
    for key in ("timestamp", "sentAt", "receivedAt", "arrival"):
        if key in fields:
            moment = instant(fields[key])
            if moment is None:
                return None
            times[key] = moment
    arrival = times.get("arrival", times.get("receivedAt", times.get("timestamp")))
    if arrival is None:
        return None
    time = times.get("timestamp", arrival)
    if {"timestamp", "sentAt", "receivedAt"} <= times.keys():
        time += times["receivedAt"] - times["sentAt"]
    return min(time, arrival), arrival


def arrived(history: Iterable[dict[str, Any]], as_of: int) -> list[Call]:
    """Every readable call that had arrived, once, in the order of (arrival, message id)."""
    calls = [call for message in history if (call := read(message)) and call.arrival <= as_of]
    first: dict[str, Call] = {}
    for call in sorted(calls, key=lambda call: (call.arrival, call.id)):
        first.setdefault(call.id, call)
    return list(first.values())


def whose(calls: list[Call]) -> dict[str, list[Call]]:
    """The calls of each profile. The order of `calls` is that of their arrival."""
    owner: dict[str, str] = {}
    found: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.user is not None:
            for anonymous in (call.anonymous, call.previous if call.type == "alias" else None):
                if anonymous is not None:
                    # There is something to take over only at the first identify of this anonymous id.
                    found[call.user] += found.pop(f"~{anonymous}", [])
                    owner[anonymous] = call.user
            found[call.user].append(call)
        elif call.anonymous is not None:
            found[owner.get(call.anonymous, f"~{call.anonymous}")].append(call)
    return found


def holds(condition: Definition, profile: Profile, segments: Definition) -> bool:
    """Whether a condition is true of a profile now."""
    if "attribute" in condition:
        test = {key: value for key, value in condition.items() if key != "attribute"}
        return satisfied(test, profile.attribute(condition["attribute"]), profile)
    if "event" in condition:
        return behaved(condition, profile)
    match list(condition.items()):
        case [("all", parts)]:
            answer = all(holds(part, profile, segments) for part in parts)
        case [("any", parts)]:
            answer = any(holds(part, profile, segments) for part in parts)
        case [("not", part)]:
            answer = not holds(part, profile, segments)
        case [("segment", name)]:
            answer = holds(segments[name]["members"], profile, segments)
        case [("identified", True)]:
            answer = not profile.key.startswith("~")
        case [("reachable", channel)]:
            answer = reachable(channel, profile)
        case [("consented", {"topic": topic, "channel": channel, **rest})] if not rest:
            answer = consented(topic, channel, profile)
        case _:
            raise ValueError(f"not a condition of the first set: {condition}")
    return answer


def behaved(condition: Definition, profile: Profile) -> bool:
    """Whether a condition on a named event is true."""
    aggregates = condition.keys() - FILTERS - {"since"}
    if condition["event"] == "any" or len(aggregates) > 1 or {"within", "since"} <= condition.keys():
        raise ValueError(f"not a condition of the first set: {condition}")
    times = times_of(condition, profile)
    windows = [key for key in ("within", "since") if key in condition]
    inside = [time for time in times if all(timely(key, condition[key], time, profile) for key in windows)]
    match aggregates.pop() if aggregates else "count":
        case "count":
            answer = satisfied(condition.get("count", {"at_least": 1}), [len(inside)], profile)
        case "first" | "last" as which if not windows:
            ((operator, age),) = condition[which].items()
            answer = bool(times) and timely(operator, age, times[0 if which == "first" else -1], profile)
        case "missing" if condition["missing"].keys() <= FILTERS:
            other = condition["missing"]
            # The window is asked of the newest A: where that one is outside, no older one is inside.
            answer = bool(inside) and (
                profile.now - inside[-1] >= duration(other["within"])
                and not any(time >= inside[-1] for time in times_of(other, profile))
            )
        case _:
            raise ValueError(f"not a condition of the first set: {condition}")
    return answer


def times_of(condition: Definition, profile: Profile) -> list[int]:
    """The times, oldest first, of the events that a condition names, whatever its window."""
    kinds = [condition["type"]] if "type" in condition else NAMED
    where = condition.get("where", {}).items()
    return [
        call.time
        for call in profile.calls
        if call.type in kinds
        and call.name == condition["event"]
        and all(satisfied(test, walk(call.properties, path), profile) for path, test in where)
    ]


def timely(operator: str, argument: str, time: int, profile: Profile) -> bool:
    """Whether a time is on the right side of an age or of another time."""
    if operator == "within":
        return profile.now - duration(argument) < time <= profile.now
    if operator == "older_than":
        return time <= profile.now - duration(argument)
    other = instant(argument, profile.zone)
    if other is None:
        raise ValueError(f"not a time: {argument}")
    return {"before": time < other, "after": time > other, "since": time >= other}[operator]


def reachable(channel: str, profile: Profile) -> bool:
    if channel == "push":
        addresses = [token for call in profile.calls for token in walk(call.context, "device.token")]
    elif channel == "email":
        addresses = walk(profile.traits, "email")
    else:
        raise ValueError(f"not a channel of the first set: {channel}")
    return any(isinstance(address, str) and address for address in addresses)


def consented(topic: str, channel: str, profile: Profile) -> bool:
    said = {}
    for call in profile.calls:
        if call.type == "track" and call.name == "Consent Changed":
            match call.properties:
                case {"topic": str(about), "channel": str(where), "granted": bool(granted)}:
                    said[about, where] = granted
    return said.get((topic, channel), UNSET[channel]) and said.get(("all", channel), True)


def walk(value: Any, path: str) -> list[Any]:
    """What stands at a path such as `products[].category`: any number of values, never null."""
    values = [value]
    for step in path.split("."):
        key, brackets, _ = step.partition("[]")
        values = [item[key] for item in values if isinstance(item, dict) and key in item]
        if brackets:
            values = [element for item in values if isinstance(item, list) for element in item]
    return [item for item in values if item is not None]


def satisfied(test: Definition, values: list[Any], profile: Profile) -> bool:
    """Whether `{operator: argument}` is true of any of the values found."""
    ((operator, argument),) = test.items()
    if operator == "exists":
        return bool(values) is argument
    if operator in ("within", "older_than", "before", "after"):
        times = [time for value in values if (time := instant(value, profile.zone)) is not None]
        return any(timely(operator, argument, time, profile) for time in times)
    if operator not in COMPARE:
        raise ValueError(f"not an operator of the first set: {operator}")
    return any(COMPARE[operator](value, argument) for value in values)


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "nothing that compares"


def alike(value: Any, other: Any) -> bool:
    return kind(value) == kind(other) != "nothing that compares"


def ordered(value: Any, other: Any) -> bool:
    return alike(value, other) and kind(value) != "boolean"


def texts(value: Any, other: Any) -> bool:
    return kind(value) == kind(other) == "text"


def equal(value: Any, other: Any) -> bool:
    return alike(value, other) and bool(value == other)


def contains(value: Any, part: Any) -> bool:
    if isinstance(value, list):
        return any(equal(element, part) for element in value)
    return texts(value, part) and part in value


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "is": equal,
    "is_not": lambda value, other: alike(value, other) and value != other,
    "in": lambda value, others: any(equal(value, other) for other in others),
    "not_in": lambda value, others: (
        any(alike(value, other) for other in others) and not any(equal(value, other) for other in others)
    ),
    "at_least": lambda value, least: ordered(value, least) and value >= least,
    "at_most": lambda value, most: ordered(value, most) and value <= most,
    "more_than": lambda value, limit: ordered(value, limit) and value > limit,
    "less_than": lambda value, limit: ordered(value, limit) and value < limit,
    "between": lambda value, ends: ordered(value, ends[0]) and ordered(value, ends[1]) and ends[0] <= value <= ends[1],
    "contains": contains,
    "starts_with": lambda value, start: texts(value, start) and value.startswith(start),
    "ends_with": lambda value, end: texts(value, end) and value.endswith(end),
    "matches": lambda value, pattern: texts(value, pattern) and re2.search(pattern, value) is not None,
}


def instant(value: Any, zone: ZoneInfo | None = None) -> int | None:
    """The microseconds since the epoch of ISO 8601 text with a zone or, where `zone` is given, of a date alone.

    None for anything else. Of a midnight that a zone skips or has twice, `fold=0` gives what RFC 5545 says.
    """
    if not isinstance(value, str):
        return None
    date = zone is not None and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value)
    clock = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?"
    if not date and not re.fullmatch(
        rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{clock}(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)", value
    ):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:  # for example a thirteenth month
        return None
    if date:
        moment = moment.replace(tzinfo=zone)
    return (moment - EPOCH) // timedelta(microseconds=1)


def duration(text: str) -> int:
    """The microseconds of a duration such as `15m`; a day is 24 hours. Raises `ValueError` for other texts."""
    if not re.fullmatch(r"[0-9]+[smhdw]", text):
        raise ValueError(f"not a duration: {text}")
    return int(text[:-1]) * UNITS[text[-1]]
