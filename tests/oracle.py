"""Who is in which segment, worked out the slow way: read everything, then ask each question of the full list.

Tests hold the real evaluators against this module, so it imports nothing of them, keeps no state between questions
and prefers the obvious to the fast. What it cannot read raises `ValueError`.

Where the language leaves room, this is the reading chosen:

* An operator between different types is false, `is_not` too. `not_in` is true when nothing in the list is equal and
  something in it has the value's type. Arrays and objects have no type to compare: only `exists` and (for arrays)
  `contains` can be true of them.
* Order operators compare numbers, or texts by code point; of booleans they are false. A text is a time only for
  `before`, `after`, `within` and `older_than`: `is`, `between` and the rest see text.
* A time is ISO 8601's extended form with `T` and a zone, cut to microseconds. A local time without a zone and a number
  are not times. A date alone uses the zone that the user has now, on both sides of an operator and in `since`.
* With `[]` an operator is true if any element satisfies it, also `is_not`. Nulls are absent, an empty array has no
  elements, and `exists: false` means that the path finds nothing at all. Each path of a `where` finds its own
  element, and a path with `[]` that has paths of its own finds one for all of them; an element that is no object has
  nothing at any path.
* `anniversary` and `within_next` move with the clock as `within` does. A time has its anniversary on the day in the
  user's zone. Versions have digits and dots only, and zeros at the end make no difference.
* `sum` and its kin take every number that the path finds, several of one event where it finds several. An amount is
  the number's product with 10^6 in double precision, rounded; a bound is exactly what is written in decimals.
* `distinct` and `same` tell texts, numbers and booleans apart; other values are none. A value of `same` is there as
  soon as an event has it, in the window or not. `count` is in buckets if a number beyond 1,000 is written in it.
* A percentile is the hash of the JSON array of salt and user id; that of an anonymous profile starts with `~`.
* A place is an object with numbers `latitude` and `longitude`, or `context.location`; `within_km` takes in its end.
* Traits come from identify calls only, whole per top-level key. Each path under `context.` is that of the newest call
  of any type that has it; null there is absent and deletes nothing. Ties of time go to the greater message id, as text.
* A zone name nobody knows is as if it were not there, so an older known one counts. Without a default zone it is UTC.
* In `missing`, an event that is both A and B is a B at A's instant, so the condition is false. B's `within` is only the
  least age of A: a B at any time from A on answers it. A window or `since` beside A must hold the newest A.
* Consent Changed is a track with text `topic`, a known `channel` in any case and boolean `granted`, else a dead letter.
  Topics are compared as written, without blanks around them. `all` in any case is a topic of its own: while it is
  denied the channel is closed, and granting it opens no other topic.
* `group.id` and each trait of a group are attributes by themselves, of the newest group call that has them.
* A device token needs no device type. Any text that is not empty is a mailbox.
* Refused ids are compared as written (`Guest` is an id), an empty one is absent, and one refused id (user, anonymous or
  previous) refuses the call. Ids are text or integers. Wrong types of known fields are dead letters.
* Of the copies of a message the first to arrive counts. Alias takes previousId as an anonymous id only.

Outside: deletion, receipts, tokens and addresses taken over by another user. A message must have its messageId.
"""

from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b
from json import dumps
from math import acos, cos, radians, sin
from typing import Any

from oracle_events import behaved, followed
from oracle_profile import NAMED, Call, Definition, Profile, satisfied
from oracle_values import duration, instant, kind, walk

__all__ = ["Call", "duration", "instant", "memberships", "read"]

REFUSED = frozenset(
    ["", "null", "undefined", "none", "nil", "nan", "0", "-1", "true", "false", "guest", "anonymous", "[object Object]"]
)
#: What consent is while nobody has said anything.
UNSET = {"sms": False, "email": False, "line": False, "push": True, "inbox": True, "webhook": True}


def memberships(definitions: Definition, history: Iterable[dict[str, Any]], as_of: int) -> dict[str, set[str]]:
    """The segments of each profile at `as_of` (microseconds since the epoch, UTC), from what had arrived by then.

    `definitions` is the plain form of the YAML, `history` the messages as a JSON Lines file holds them, in any
    order. Anonymous profiles are keyed `~` and the id. Raises `ValueError` for what it cannot read.
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
    if type_ not in (*NAMED, "identify", "group", "alias"):
        return None
    name = fields.get("event") if type_ == "track" else fields.get("name", "") if type_ in NAMED else ""
    ids: list[Any] = [as_text(fields.get(key)) for key in ("userId", "anonymousId", "previousId")]
    bodies: list[Any] = [fields.get(key, {}) for key in ("properties", "traits", "context")]
    if type_ == "identify" and isinstance(bodies[2], dict) and isinstance(bodies[2].get("traits"), dict):
        bodies[1] = {**bodies[2]["traits"], **bodies[1]}
    if type_ == "group":
        group = as_text(fields.get("groupId"))
        if group is None:
            return None
        bodies[1] = {"group.id": group} | {f"group.traits.{key}": value for key, value in bodies[1].items()}
    if name == "Consent Changed" and type_ == "track" and consent(bodies[0]) is None:
        return None
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


def as_text(id_: Any) -> Any:
    """An integer is its decimal text, an empty id is none."""
    return None if id_ == "" else str(id_) if isinstance(id_, int) and not isinstance(id_, bool) else id_


def consent(said: dict[str, Any]) -> tuple[str, str, bool] | None:
    """The topic, the channel and the word of a Consent Changed; None if it cannot be understood."""
    match said:
        case {"topic": str(topic), "channel": str(channel), "granted": bool(granted)}:
            topic, channel = topic.strip(), channel.strip().lower()
            if topic and channel in UNSET:
                return ("all" if topic.lower() == "all" else topic), channel, granted
    return None


def acceptable(id_: Any) -> bool:
    return isinstance(id_, str) and id_ not in REFUSED and len(id_.encode()) <= 256


def when(fields: dict[str, Any]) -> tuple[int, int] | None:
    """The time and the arrival of a message; None if there is none, or one that cannot be read."""
    times: dict[str, int] = {}
    for key in ("timestamp", "originalTimestamp", "sentAt", "receivedAt", "arrival"):
        if key in fields:
            moment = instant(fields[key])
            if moment is None:
                return None
            times[key] = moment
    said = times.get("timestamp", times.get("originalTimestamp"))
    arrival = times.get("arrival", times.get("receivedAt", said))
    if arrival is None:
        return None
    time = arrival if said is None else said
    corrected = {"timestamp", "originalTimestamp"} <= times.keys()
    if said is not None and {"sentAt", "receivedAt"} <= times.keys() and not corrected:
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
    if "sequence" in condition:
        return followed(condition, profile)
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
        case [("bucket", {"salt": salt, "from": low, "below": high, **rest})] if not rest:
            answer = low <= percentile(salt, profile.key) < high
        case [("near", place)]:
            answer = near(place, profile)
        case _:
            raise ValueError(f"not a condition: {condition}")
    return answer


def percentile(salt: str, user: str) -> float:
    """Where a user stands in [0, 100): the 8-byte hash of a JSON array of two texts as a share of all hashes."""
    text = dumps([salt, user], ensure_ascii=False, separators=(",", ":"))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64 * 100


def near(condition: Definition, profile: Profile) -> bool:
    """Whether a place with `latitude` and `longitude` is not too far, by the angle between two vectors."""
    path = condition["attribute"]
    if path == "context.location":
        names = ("latitude", "longitude")
        places = [{name: value for name in names for value in profile.attribute(f"{path}.{name}")}]
    else:
        places = [value for value in profile.attribute(path) if isinstance(value, dict)]
    return any(
        on_earth(place.get("latitude"), 90)
        and on_earth(place.get("longitude"), 180)
        and 6371.0088 * angle(place, condition) <= condition["within_km"]
        for place in places
    )


def on_earth(value: Any, limit: int) -> bool:
    return kind(value) == "number" and abs(value) <= limit


def angle(one: dict[str, Any], other: dict[str, Any]) -> float:
    (x, y, z), (u, v, w) = vector(one), vector(other)
    return acos(max(-1.0, min(1.0, x * u + y * v + z * w)))


def vector(place: dict[str, Any]) -> tuple[float, float, float]:
    up, round_ = radians(place["latitude"]), radians(place["longitude"])
    return cos(up) * cos(round_), cos(up) * sin(round_), sin(up)


def reachable(channel: str, profile: Profile) -> bool:
    if channel == "push":
        addresses = [token for call in profile.calls for token in walk(call.context, "device.token")]
    elif channel == "email":
        addresses = walk(profile.traits, "email")
    else:
        raise ValueError(f"not a channel: {channel}")
    return any(isinstance(address, str) and address for address in addresses)


def consented(topic: str, channel: str, profile: Profile) -> bool:
    said = {}
    for call in profile.calls:
        if call.type == "track" and call.name == "Consent Changed":
            heard = consent(call.properties)
            if heard is not None:
                about, where, granted = heard
                said[about, where] = granted
    return said.get((topic, channel), UNSET[channel]) and said.get(("all", channel), True)
