"""Random definitions and histories, built so that conditions are often true and boundaries are often hit exactly.

Everything is drawn from small vocabularies. Moments are sums of the same durations that windows use, sometimes one
microsecond off, around the night on which Beirut changes its clocks (and skips a midnight). Values are plain, as YAML
or a line of JSON gives them. Definitions stay clear of what a checker may refuse (reversed ranges, windows that nothing
can pass, cycles); histories hold no dead letters, and each device token and mailbox has one owner.

Draw the history first: what is drawn last comes out smaller. One instant shows little, so ask at several.
"""

from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from generate_conditions import definitions, questions
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from oracle import duration, instant, read
from vocabulary import (
    ANONYMOUS,
    CHANNELS,
    DATES,
    DELAYS,
    EVENTS,
    LINES,
    LISTS,
    MOMENTS,
    NUMBERS,
    PLACES,
    PLANS,
    START,
    STEPS,
    STRAY,
    TEXTS,
    TIMES,
    TOPICS,
    USERS,
    VERSIONS,
    WINDOWS,
    ZONES,
    Plain,
    iso,
    mostly,
)

__all__ = ["START", "definitions", "histories", "instants", "iso", "questions"]

HOMES = st.builds(lambda place, more: place | more, PLACES, st.sampled_from([{}, {}, {"latitude": "north"}]))
BIRTHDAYS = st.sampled_from(["1990-03-27", "2000-03-29", "1988-04-04", "1999-03-28T23:30:00Z", "2004-02-29"])
TRAITS = st.fixed_dictionaries(
    {},
    optional={
        "points": mostly(NUMBERS, STRAY, st.none()),
        "plan": mostly(PLANS, STRAY, st.none()),
        "vip": mostly(st.booleans(), STRAY, st.none()),
        "renews_at": mostly(st.one_of(TIMES, *[st.sampled_from(DATES)] * 2), STRAY, st.none()),
        "tags": mostly(LISTS, STRAY, st.none()),
        "born": mostly(BIRTHDAYS, STRAY, st.none()),
        "home": mostly(st.fixed_dictionaries({"city": mostly(TEXTS, st.none())}) | HOMES, STRAY, st.none()),
        "homes": mostly(st.lists(HOMES, max_size=2), STRAY, st.none()),
        "lines": mostly(LINES, STRAY, st.none()),
        "timezone": st.sampled_from([*ZONES, "Mars/Olympus", None]),
        "email": st.sampled_from(["MAILBOX", "MAILBOX", None]),
    },
)
BODIES = st.fixed_dictionaries(
    {"amount": mostly(NUMBERS, STRAY | st.none()), "kind": mostly(TEXTS, STRAY | st.none())},
    optional={
        "gift": mostly(st.booleans(), STRAY),
        "due_at": TIMES,
        "app": mostly(VERSIONS, STRAY),
        "tags": mostly(LISTS, STRAY),
        "shop": mostly(st.fixed_dictionaries({"city": TEXTS}), STRAY),
        "lines": mostly(LINES, STRAY),
    },
)
CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "os": st.fixed_dictionaries({"name": st.sampled_from(["ios", "android", None])}),
        "app": st.fixed_dictionaries({"version": st.sampled_from(["1.9", "2.10", "2.9.5", "beta"])}),
        "device": st.just({"type": "ios", "token": "TOKEN"}),
        "locale": st.sampled_from(["en-US", "ja-JP", "ja"]),
        "timezone": st.sampled_from([*ZONES, None]),
        "location": st.fixed_dictionaries({"city": TEXTS, "country": st.sampled_from(["JP", "DE"])}) | PLACES,
    },
)
CONSENTS = st.fixed_dictionaries(
    {
        "topic": st.sampled_from([*TOPICS, *TOPICS, "all", " ALL"]),
        "channel": st.sampled_from([*CHANNELS, *CHANNELS, "Push", "EMAIL "]),
        "granted": st.booleans(),
    }
)
#: What kinds of calls there are, more of the frequent ones.
KINDS = ["track"] * 9 + ["page", "screen"] + ["identify"] * 5 + ["consent"] * 2 + ["group"] * 2 + ["alias"]
#: What a group call says of the group.
GROUPS = st.fixed_dictionaries({}, optional={"plan": mostly(PLANS, STRAY, st.none()), "tags": LISTS})
#: How many calls a history has before repetitions.
SIZES = [1, 6, 12, 16, 20, 20]


@st.composite
def histories(draw: DrawFn, *, shared_devices: bool = False) -> list[Plain]:
    """Up to about twenty messages of one to three users and as many anonymous ids, over some days, in any order.

    They come late, twice (within two hours) and with clocks that are off. Without `shared_devices` each anonymous
    id is only ever used together with one user, so that the answer does not depend on the order of arrival.
    """
    users = USERS[: draw(st.sampled_from([1, 1, 2, 3]))]
    anonymous = ANONYMOUS[: draw(st.sampled_from([1, 1, 2, 3]))]
    owners = {id_: users if shared_devices else [draw(st.sampled_from(users))] for id_ in anonymous}
    numbers = draw(st.permutations(range(draw(st.sampled_from(SIZES)))))
    history = [draw(_call(users, owners)) | {"messageId": f"m{number:02}"} for number in numbers]
    for original in draw(st.lists(st.sampled_from(history), max_size=3)):
        first_arrival = instant(original["arrival"])
        assert first_arrival is not None
        history.append(original | {"arrival": iso(first_arrival + draw(st.sampled_from([0, 1, *STEPS[:4]])))})
    return draw(st.permutations(history))


@st.composite
def _call(draw: DrawFn, users: list[str], owners: dict[str, list[str]]) -> Plain:
    kind = draw(st.sampled_from(KINDS))
    user = draw(st.sampled_from(users))
    call: Plain = {"type": "track" if kind == "consent" else kind, "context": draw(CONTEXTS)}
    if kind == "alias":
        previous = draw(st.sampled_from(sorted(owners)))
        call |= {"userId": draw(st.sampled_from(owners[previous])), "previousId": previous}
    else:
        who = draw(st.sampled_from(["user", "anonymous", "anonymous", "both"]))
        if who != "user":
            call["anonymousId"] = draw(st.sampled_from(sorted(owners)))
            user = draw(st.sampled_from(owners[call["anonymousId"]]))
        if who != "anonymous":
            call["userId"] = user
    owner = call.get("userId") or call["anonymousId"]
    if kind == "identify":
        call["traits"] = draw(TRAITS)
        if call["traits"].get("email"):
            call["traits"]["email"] = f"{owner}@example.com"
        if draw(st.sampled_from([False, False, True])):  # as some SDKs send them
            call["context"] = call["context"] | {"traits": call.pop("traits")}
    elif kind == "group":
        call |= {"groupId": draw(st.sampled_from(["g1", "g2", 7])), "traits": draw(GROUPS)}
    elif kind == "consent":
        call |= {"event": "Consent Changed", "properties": draw(CONSENTS)}
    elif kind != "alias":
        call |= {"event" if kind == "track" else "name": draw(st.sampled_from(EVENTS)), "properties": draw(BODIES)}
    if "device" in call["context"]:
        call["context"]["device"] = {"type": "ios", "token": f"token-{owner}"}
    return call | draw(_clocks())


@st.composite
def _clocks(draw: DrawFn) -> Plain:
    """When it happened and when it came: mostly at once, else late, from the future, from a wrong clock or unknown."""
    time, delay = draw(MOMENTS), draw(st.sampled_from(DELAYS))
    form = draw(st.sampled_from(["plain"] * 6 + ["future", "skewed", "corrected", "unknown"]))
    if form == "future":
        return {"timestamp": iso(time + delay), "arrival": iso(time)}
    if form in ("skewed", "corrected"):
        skew = draw(st.sampled_from([-1, 1])) * draw(st.sampled_from(STEPS))
        arrival = iso(time + delay)
        names = ["timestamp", "originalTimestamp"] if form == "skewed" else ["originalTimestamp"]
        return {
            draw(st.sampled_from(names)): iso(time + skew),
            **({"timestamp": iso(time)} if form == "corrected" else {}),
            "sentAt": iso(time + delay + skew),
            "receivedAt": arrival,
            "arrival": arrival,
        }
    if form == "unknown":
        return {"arrival": iso(time)}
    return {
        "timestamp": draw(st.sampled_from([iso(time), iso(time).replace("+00:00", "Z")])),
        "arrival": iso(time + delay),
    }


def instants(definitions: Plain, history: list[Plain]) -> list[int]:
    """Every time at which an answer may change, and a microsecond either side, from the first arrival on, sorted.

    These are the times and arrivals of the messages and the times in traits (a date in each zone), plus nothing or
    plus or minus any duration in the definitions; the ends of buckets plus their window; and the begin of each day. To
    draw one: `st.sampled_from(instants(...))`.
    """
    calls = [call for message in history if (call := read(message))]
    moments = {moment for call in calls for moment in (call.time, call.arrival)}
    traits = [text for call in calls for text in _texts(call.traits)]
    zones = [ZoneInfo(name) for name in ZONES]
    written = {moment for text in traits for zone in zones if (moment := instant(text, zone)) is not None}
    ages = {duration(text) for text in _texts(definitions) if text in WINDOWS}
    turns = moments | written | {moment + age for moment in moments | written for age in ages}
    turns |= {moment - age for moment in written for age in ages}
    for age in ages:
        width = max(1_000_000, -(-age // 512))
        turns |= {(moment // width + 1) * width + age for moment in moments}
    days = [f"2026-{day}" for day in ("03-27", "03-28", "03-29", "03-30", "03-31", "04-01", "04-03", "04-04", "04-05")]
    turns |= {moment for day in days for zone in zones if (moment := instant(day, zone)) is not None}
    earliest = min(call.arrival for call in calls)
    around = {turn + nudge for turn in turns for nudge in (-1, 0, 1)}
    return sorted(moment for moment in around if moment >= earliest)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
