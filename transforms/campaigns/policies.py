"""What holds for all campaigns: the `policies:` section of definition files."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from transforms.campaigns.grammar_triggers import read_minute
from transforms.campaigns.quiet import QuietHours
from transforms.events.plain import quoted
from transforms.identity.zones import known_zone
from transforms.messages.definitions import LOCALE_FORM
from transforms.messages.preferences import Preferences, read_preferences
from transforms.messages.tracking import TrackingPolicy, read_tracking_policy
from transforms.segments.conditions import EventFilter
from transforms.segments.document import Document, Node, Problems
from transforms.segments.grammar_events import read_filter
from transforms.segments.operators import read_duration, read_path
from transforms.segments.values import HOUR, SECOND
from transforms.slos.definitions import LevelOwner
from transforms.slos.owners import read_owners

__all__ = [
    "FIELDS",
    "MAX_CAPPED",
    "NO_QUIET",
    "Cap",
    "GlobalHoldout",
    "Policies",
    "ProgrammeGoal",
    "read_policies",
    "read_quiet",
]

#: The keys, in the order in which they are read.
FIELDS = (
    "default_zone",
    "default_locale",
    "default_region",
    "max_event_age",
    "settling",
    "sessions",
    "global_holdout",
    "frequency_caps",
    "quiet_hours",
    "retention",
    "tracking",
    "preferences",
    "owners",
)
#: So many messages a user are remembered for a cap at most.
MAX_CAPPED = 1000
#: What a campaign writes that has no quiet hours, though the policies have.
NO_QUIET = "none"


class Cap(msgspec.Struct, frozen=True):
    """At most so many messages by these channels in any window of `per` microseconds."""

    channels: tuple[str, ...]
    at_most: int
    per: int


class ProgrammeGoal(msgspec.Struct, frozen=True):
    """What all campaigns together are for: one of `events` in a period; `value` is the path of what is added up."""

    events: EventFilter
    value: str | None = None


class GlobalHoldout(msgspec.Struct, frozen=True):
    """A percentage of all users who get nothing but transactional messages; another salt takes other users. By `goals`
    they are compared with everybody else.
    """

    percent: float
    salt: str
    goals: dict[str, ProgrammeGoal] = {}


class Policies(msgspec.Struct, frozen=True):
    """What holds for all campaigns. `max_event_age`, `sessions`, their gap (None: no sessions), and `settling`, how
    long facts about a user who is new may come late, are microseconds. `quiet_hours` are those of campaigns that say
    nothing of theirs. `default_region` is that of phone numbers that name none (ISO 3166, two capital letters), empty
    for none. `retention` is how long the archive keeps events, in microseconds, None for ever. `tracking` holds where
    campaigns and messages say nothing. `preferences` are what the preference page shows. `owners` answer for service
    levels.
    """

    default_zone: str = "UTC"
    default_locale: str = "en"
    max_event_age: int = HOUR
    sessions: int | None = None
    global_holdout: GlobalHoldout | None = None
    frequency_caps: tuple[Cap, ...] = ()
    settling: int = 30 * SECOND
    quiet_hours: QuietHours | None = None
    retention: int | None = None
    default_region: str = ""
    tracking: TrackingPolicy = TrackingPolicy()
    preferences: Preferences = Preferences()
    owners: Mapping[str, LevelOwner] = {}


def read_policies(nodes: Iterable[Node], problems: Problems, files: Mapping[str, str]) -> Policies:
    """Read the sections of all files; each policy is set once. `files` are the texts beside the definitions."""
    fields: Document = {}
    for node in nodes:
        for name, child in (problems.mapping(node, FIELDS) or {}).items():
            if name in fields:
                problems.add(child, f"`{name}` is already set at {fields[name].file}:{fields[name].line}")
            fields[name] = child
    readers: dict[str, Callable[[Node, Problems], Any]] = {
        **_READ,
        "preferences": partial(read_preferences, files=files),
    }
    read = {name: readers[name](fields[name], problems) for name in FIELDS if name in fields}
    return Policies(**{name: value for name, value in read.items() if value is not None})


def read_quiet(node: Node, problems: Problems, *, or_none: bool = False) -> QuietHours | None:
    """Read the hours in which nothing is sent; with `or_none` the word `none` may stand there, for no such hours."""
    if or_none and node.plain() == NO_QUIET:
        return None
    hours = '{from: "21:00", to: "08:00"}'
    fields = problems.mapping(node, ("from", "to"), required=("from", "to"), instead=hours)
    if fields is None or len(fields) < 2:
        return None
    begin, end = (read_minute(fields[name], problems) for name in ("from", "to"))
    if begin is None or end is None:
        return None
    if begin == end:
        problems.add(node, "`from` and `to` are the same: these hours would be always, or never")
    return begin, end


def _zone(node: Node, problems: Problems) -> str | None:
    zone = problems.text(node)
    if zone and not known_zone(zone):
        problems.add(node, f"no time zone of the IANA database is called {quoted(zone)}")
    return zone


def _locale(node: Node, problems: Problems) -> str | None:
    locale = problems.text(node)
    if locale is not None and not re.fullmatch(LOCALE_FORM, locale):
        problems.add(node, f"`{locale}` is not a locale such as en, ja or pt-BR")
        return None
    return locale


def _region(node: Node, problems: Problems) -> str | None:
    import phonenumbers  # noqa: PLC0415 - its tables are for the few definitions that name a region

    region = problems.text(node)
    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        problems.add(node, f"`{region}` is no region that phone numbers have, such as JP, US or DE")
        return None
    return region


def _sessions(node: Node, problems: Problems) -> int | None:
    fields = problems.mapping(node, ("gap",), required=("gap",))
    return read_duration(fields["gap"], problems) if fields and "gap" in fields else None


def _settling(node: Node, problems: Problems) -> int | None:
    return 0 if node.plain() == "0s" else read_duration(node, problems)


def _global_holdout(node: Node, problems: Problems) -> GlobalHoldout | None:
    fields = problems.mapping(node, ("percent", "salt", "goals"), required=("percent", "salt"))
    if not fields or not {"percent", "salt"} <= fields.keys():
        return None
    percent, salt = problems.number(fields["percent"], 0, 100), problems.text(fields["salt"])
    goals = _programme_goals(fields["goals"], problems) if "goals" in fields else {}
    return None if percent is None or salt is None else GlobalHoldout(percent, salt, goals)


def _programme_goals(node: Node, problems: Problems) -> dict[str, ProgrammeGoal]:
    found = {}
    for name, child in problems.named(node, "goals such as {ordered: {event: …, value: …}}").items():
        fields = problems.mapping(child, ("event", "type", "where", "value"), required=("event",))
        if fields is not None and "event" in fields:
            value = read_path(fields["value"], problems) if "value" in fields else None
            found[name] = ProgrammeGoal(read_filter(fields, problems), value)
    return found


def _caps(node: Node, problems: Problems) -> tuple[Cap, ...]:
    found = [_cap(item, problems) for item in problems.sequence(node, "caps") or []]
    return tuple(cap for cap in found if cap is not None)


def _cap(node: Node, problems: Problems) -> Cap | None:
    keys = ("channels", "at_most", "per")
    fields = problems.mapping(node, keys, required=keys)
    if not fields or len(fields) < len(keys):
        return None
    items = problems.sequence(fields["channels"], "channels") or []
    channels = [problems.channel(item) for item in items]
    at_most = problems.integer(fields["at_most"], 1, MAX_CAPPED)
    per = read_duration(fields["per"], problems)
    if at_most is None or per is None:
        return None
    return Cap(tuple(channel for channel in channels if channel is not None), at_most, per)


_READ: dict[str, Callable[[Node, Problems], Any]] = {
    "default_zone": _zone,
    "default_locale": _locale,
    "default_region": _region,
    "max_event_age": read_duration,
    "settling": _settling,
    "quiet_hours": read_quiet,
    "sessions": _sessions,
    "global_holdout": _global_holdout,
    "frequency_caps": _caps,
    "retention": read_duration,
    "tracking": read_tracking_policy,
    "owners": read_owners,
}
