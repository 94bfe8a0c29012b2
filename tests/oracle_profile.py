"""What the oracle knows of one user, and what operators say of it."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from oracle_values import COMPARE, EPOCH, duration, instant, walk

__all__ = ["NAMED", "Call", "Definition", "Profile", "satisfied", "timely"]

NAMED = ("track", "page", "screen")
CONTEXT = ("app.version", "app.build", "os.name", "os.version", "device.type", "device.model", "locale", "timezone")
ZONES = frozenset(available_timezones()) - {"Factory", "localtime"}

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

    def grouped(self, path: str) -> list[Any]:
        """The values at a path such as `group.id` or `group.traits.plan`."""
        found: dict[str, Any] = {}
        for call in self.calls:
            if call.type == "group":
                found.update(call.traits)
        if path == "group.id":
            return [found[path]] if path in found else []
        inner = path.removeprefix("group.traits.")
        name = inner.split(".")[0].removesuffix("[]")
        return walk({name: found.get(f"group.traits.{name}")}, inner)

    def attribute(self, path: str) -> list[Any]:
        """The values at a path: one, or with `[]` any number; none where it is missing."""
        if path == "group.id" or path.startswith("group.traits."):
            return self.grouped(path)
        if not path.startswith("context."):
            return walk(self.traits, path)
        path = path.removeprefix("context.")
        if path in CONTEXT or path.startswith("location."):
            for call in reversed(self.calls):
                if values := walk(call.context, path):
                    return values
        return []


def satisfied(test: Definition, values: list[Any], profile: Profile) -> bool:
    """Whether `{operator: argument}` is true of any of the values found."""
    ((operator, argument),) = test.items()
    if operator == "exists":
        return bool(values) is argument
    if operator == "anniversary":
        ahead = 0 if argument is True else duration(argument["before"]) // duration("1d")
        return any(anniversary(value, ahead, profile) for value in values)
    if operator in ("within", "older_than", "within_next", "before", "after"):
        times = [time for value in values if (time := instant(value, profile.zone)) is not None]
        return any(timely(operator, argument, time, profile) for time in times)
    if operator not in COMPARE:
        raise ValueError(f"not an operator: {operator}")
    return any(COMPARE[operator](value, argument) for value in values)


def timely(operator: str, argument: str, time: int, profile: Profile) -> bool:
    """Whether a time is on the right side of an age or of another time."""
    if operator == "within":
        return profile.now - duration(argument) < time <= profile.now
    if operator == "older_than":
        return time <= profile.now - duration(argument)
    if operator == "within_next":
        return profile.now <= time < profile.now + duration(argument)
    other = instant(argument, profile.zone)
    if other is None:
        raise ValueError(f"not a time: {argument}")
    return {"before": time < other, "after": time > other, "since": time >= other}[operator]


def anniversary(value: Any, ahead: int, profile: Profile) -> bool:
    """Whether so many days from today are the month and day of a date, or of the user's day that a time lies in."""
    time = instant(value, profile.zone)
    if time is None:
        return False
    born, today = (local_day(moment, profile.zone) for moment in (time, profile.now))
    that = today + timedelta(days=ahead)
    if (born.month, born.day) == (2, 29) and (that.month, that.day) == (2, 28):
        return (that + timedelta(days=1)).month == 3
    return (born.month, born.day) == (that.month, that.day)


def local_day(time: int, zone: ZoneInfo) -> date:
    return (EPOCH + timedelta(microseconds=time)).astimezone(zone).date()
