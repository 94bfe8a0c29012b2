"""How journeys begin, begin again, and end: triggers, re-entry and exits read from a definition file."""

import re
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from transforms.campaigns.definitions import TRIGGERS, Exit, Reentry, TriggerRule
from transforms.campaigns.schedule import EACH_USER, Schedule, check_cron
from transforms.events.plain import quoted
from transforms.identity.zones import known_zone
from transforms.segments.document import Document, Node, Problems
from transforms.segments.grammar import read_filter
from transforms.segments.operators import read_duration, read_path
from transforms.segments.synonyms import hint
from transforms.segments.values import DATE_FORM, is_duration, written_time

__all__ = [
    "EXITS",
    "LOCAL_FORM",
    "LOCAL_TIME_FORM",
    "REENTRIES",
    "read_exits",
    "read_minute",
    "read_reentry",
    "read_same",
    "read_trigger",
    "read_zone",
]

#: The kinds of exits, and of re-entry but for {after: D} and {each: PATH}.
EXITS = ("event", "segment", "leaves")
REENTRIES = ("never", "always", "restart")

#: How a local time of the day, and one of a date, is written.
LOCAL_TIME_FORM = r"([01][0-9]|2[0-3]):([0-5][0-9])"
LOCAL_FORM = rf"{DATE_FORM}T{LOCAL_TIME_FORM}(:[0-5][0-9])?"

_LOCAL_TIME = re.compile(LOCAL_TIME_FORM)
_LOCAL = re.compile(LOCAL_FORM)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - of the wall clock
_MICROSECOND = timedelta(microseconds=1)


def read_trigger(node: Node, segments: Collection[str], default_zone: str, problems: Problems) -> TriggerRule | None:
    """Read what lets a user in. `segments` may be referred to; a schedule without a zone is in `default_zone`."""
    instead = f"{{event: {_name_in(node)}}} or {{enters: {_name_in(node)}}}"
    fields = problems.mapping(node, (*TRIGGERS, "type", "where", "include_current"), instead=instead)
    kind = problems.one_key(node, fields, TRIGGERS) if fields is not None else None
    if fields is None or kind is None:
        return None
    if not TRIGGERS[kind].by_event:
        _only_with("event", ("type", "where"), fields, problems)
    if kind != "enters":
        _only_with("enters", ("include_current",), fields, problems)
    return _READERS[kind](kind, fields, _Known(segments, default_zone), problems)


class _Known(NamedTuple):
    """What a trigger may refer to: segments, and the zone of schedules that name none."""

    segments: Collection[str]
    default_zone: str


def _of_segment(kind: str, fields: Document, known: _Known, problems: Problems) -> TriggerRule:
    current = kind == "enters" and "include_current" in fields and bool(problems.boolean(fields["include_current"]))
    return TriggerRule(kind, _segment(fields[kind], kind, known.segments, problems), include_current=current)


def _of_events(kind: str, fields: Document, _known: _Known, problems: Problems) -> TriggerRule:
    return TriggerRule(kind, events=read_filter({**fields, "event": fields[kind]}, problems))


def _of_time(kind: str, fields: Document, known: _Known, problems: Problems) -> TriggerRule | None:
    schedule = _schedule(fields[kind], known.default_zone, problems)
    return None if schedule is None else TriggerRule(kind, schedule=schedule)


#: How every kind of trigger is read.
_READERS: dict[str, Callable[[str, Document, _Known, Problems], TriggerRule | None]] = {
    "enters": _of_segment,
    "leaves": _of_segment,
    "event": _of_events,
    "schedule": _of_time,
    "announcement": _of_events,
}


def read_exits(node: Node, segments: Collection[str], trigger: TriggerRule, problems: Problems) -> tuple[Exit, ...]:
    """Read what ends a journey: one, or a list."""
    exits = []
    for item in node.value if isinstance(node.value, list) else [node]:
        instead = f"{{event: {_name_in(item)}}} or {{segment: {_name_in(item)}}}"
        fields = problems.mapping(item, (*EXITS, "type", "where", "same"), instead=instead)
        kind = problems.one_key(item, fields, EXITS) if fields is not None else None
        if fields is None or kind is None:
            continue
        if kind == "event":
            same = read_same(fields, trigger, problems)
            exits.append(Exit("event", events=read_filter(fields, problems), same=same))
        else:
            _only_with("event", ("type", "where", "same"), fields, problems)
            exits.append(Exit(kind, _segment(fields[kind], kind, segments, problems)))
    return tuple(exits)


def read_reentry(body: Node, node: Node | None, trigger: TriggerRule | None, problems: Problems) -> Reentry | None:
    """Read whether users may enter again; it must be said for events and schedules."""
    if node is None:
        if trigger is not None and trigger.of_kind.again:
            cause = f"`reenter` is missing: this trigger needs {', '.join(REENTRIES)}, {{after: D}} or {{each: PATH}}"
            problems.add(body, cause)
        return Reentry("always")
    if not isinstance(node.value, dict):
        instead = f"{{after: {node.value}}}" if isinstance(node.value, str) and is_duration(node.value) else ""
        kind = problems.choice(node, REENTRIES, instead=instead)
        return None if kind is None else Reentry(kind)
    fields = problems.mapping(node, ("after", "each"))
    kind = problems.one_key(node, fields, ("after", "each")) if fields is not None else None
    if fields is None or kind is None:
        return None
    if kind == "after":
        after = read_duration(fields["after"], problems)
        return None if after is None else Reentry("after", after)
    each = _one_value(fields["each"], problems)
    if trigger is not None and not trigger.of_kind.by_event:
        problems.add(fields["each"], "goes with triggers by an event: others have no properties")
    return None if each is None else Reentry("each", each=each)


def read_same(fields: Document, trigger: TriggerRule | None, problems: Problems) -> str | None:
    """Read the path at which an event has the trigger's value."""
    if "same" not in fields:
        return None
    if trigger is not None and not trigger.of_kind.by_event:
        problems.add(fields["same"], "`same` goes with triggers by an event: others have no properties")
    return _one_value(fields["same"], problems)


def read_minute(node: Node, problems: Problems) -> int | None:
    """Read a local time of the day as a minute of it."""
    match = _LOCAL_TIME.fullmatch(node.value) if isinstance(node.value, str) else None
    if match is None:
        problems.add(node, f'expected a local time from "00:00" to "23:59"; found {quoted(node.plain())}')
        return None
    return int(match[1]) * 60 + int(match[2])


def read_zone(fields: Document, default: str, problems: Problems) -> str | None:
    """Read `zone`: `user`, or a name of the IANA database."""
    if "zone" not in fields:
        return default
    zone = problems.text(fields["zone"])
    if zone is not None and zone != EACH_USER and not known_zone(zone):
        problems.add(fields["zone"], f"expected user; no time zone of the IANA database is called {quoted(zone)}")
    return zone


def _name_in(node: Node) -> str:
    """The name that somebody wrote in place of a mapping with it."""
    item = node.value[0] if isinstance(node.value, list) and node.value else node
    return item.written if isinstance(item.value, str) else "…"


def _one_value(node: Node, problems: Problems) -> str | None:
    """A path at which there is one value at most."""
    path = read_path(node, problems)
    if path is not None and "[]" in path:
        problems.add(node, "expected a path to one value; [] leads to many")
    return path


def _segment(node: Node, key: str, segments: Collection[str], problems: Problems) -> str:
    """The segment of `enters` or `leaves`; `segment` itself is checked wherever it stands."""
    name = (
        problems.text(node, "one segment, which may be `any` of several" if isinstance(node.value, list) else "") or ""
    )
    if name and name not in segments and key != "segment":
        problems.add(node, f"refers to segment `{name}`, which does not exist{hint(name, segments)}")
    return name


def _only_with(kind: str, keys: Collection[str], fields: Document, problems: Problems) -> None:
    for key in keys:
        if key in fields:
            problems.add(fields[key], f"`{key}` goes with `{kind}` only")


def _schedule(node: Node, default_zone: str, problems: Problems) -> Schedule | None:
    written = node.written if isinstance(node.value, str) else '"30 7 * * 1"'
    fields = problems.mapping(node, ("at", "cron", "zone"), instead=f"{{cron: {written}, zone: user}}")
    kind = problems.one_key(node, fields, ("at", "cron")) if fields is not None else None
    if fields is None or kind is None:
        return None
    zone = read_zone(fields, default_zone, problems)
    if zone is None:
        return None
    if kind == "at":
        return _at(fields, zone, problems)
    cron = problems.text(fields["cron"])
    if cron is None:
        return None
    try:
        check_cron(cron)
    except ValueError as error:
        problems.add(fields["cron"], str(error))
    return Schedule(zone, cron=" ".join(cron.split()))


def _at(fields: Document, zone: str, problems: Problems) -> Schedule | None:
    """One time: of a wall clock, or with a zone of its own."""
    node = fields["at"]
    text = node.value if isinstance(node.value, str) else ""
    moment = written_time(text)
    if isinstance(moment, int):
        if "zone" in fields:
            problems.add(fields["zone"], "`at` has a zone of its own; remove one of the two")
        return Schedule("UTC", moment)
    try:
        local = datetime.fromisoformat(text) if _LOCAL.fullmatch(text) else None
    except ValueError:
        problems.add(node, f"there is no such time; found {quoted(text)}")
        return None
    if local is None:
        daily = _LOCAL_TIME.fullmatch(text)
        hint = f'; for every day write cron: "{int(daily[2])} {int(daily[1])} * * *"' if daily else ""
        problems.add(node, f'expected a local time such as "2026-07-01T10:00"; found {quoted(node.plain())}{hint}')
        return None
    return Schedule(zone, (local - _EPOCH) // _MICROSECOND)
