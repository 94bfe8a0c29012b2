"""The calls that are published: the same for the same arguments, but for the moment at which they begin.

A person browses as a visitor, identifies (by a call with both ids, or by alias), goes on on a second device, and
sometimes turns out to be two known users, who are merged. Some calls come late by their own clock, some twice.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["STEP", "Call", "merged_users", "owners", "stream", "tokens_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES = ("Product Viewed", "Product Added", "Order Completed", "Search", "Session Started", "Coupon Viewed")
_WEIGHTS = (40, 15, 10, 10, 20, 5)
#: How old a call may be when it is published, in seconds, and how often; older ones than an hour trigger nothing.
_LAGS, _LAG_WEIGHTS = (0, 1, 30, 600, 7_000), (75, 10, 10, 3, 2)

#: Between two calls of one person where their order must be certain, in seconds: longer than a job that keeps up is
#: behind.
STEP = 5.0

Plain = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One message: when to publish it, in seconds after the begin, its content, and its time in microseconds."""

    at: float
    plain: Plain
    time: int

    @property
    def id(self) -> str:
        """The message id; a repeated call has the same."""
        return str(self.plain["messageId"])

    @property
    def payload(self) -> bytes:
        """What is published."""
        return json.dumps(self.plain).encode()


def stream(events: int, seconds: float, begin: int, seed: int, *, step: float | None = None) -> list[Call]:
    """A number of calls over a number of seconds, in the order of publishing.

    Args:
      begin: the time at which publishing begins, in microseconds.
      step: one person's calls are so many whole seconds apart or a multiple of that, and happened half a second off,
        so that no deadline of theirs falls on a call: what comes first does not depend on milliseconds. Without it they
        come at any time.
    """
    chance = random.Random(seed)
    placed: list[tuple[float, int, int, Plain]] = []
    person = 0
    while len(placed) < events:
        script = list(_script(chance, person))
        moments = _anyhow(chance, len(script), seconds) if step is None else _apart(chance, len(script), seconds, step)
        placed += [(at, person, place, plain) for place, (at, plain) in enumerate(zip(moments, script, strict=True))]
        person += 1
    placed.sort(key=lambda each: each[:3])
    times: dict[str, int] = {}
    calls = []
    for at, _, _, plain in placed[:events]:
        lag = chance.choices(_LAGS, _LAG_WEIGHTS)[0] * chance.random()
        lag = lag if step is None else int(lag) + 0.5
        # Not later than it arrives: the broker tells milliseconds, and an event from after its arrival counts as then.
        time = times.setdefault(plain["messageId"], begin + int((at - lag) * 1_000_000) - 1_000)
        calls.append(Call(at, plain | {"timestamp": (_EPOCH + timedelta(microseconds=time)).isoformat()}, time))
    return calls


def _anyhow(chance: random.Random, count: int, seconds: float) -> list[float]:
    """One person's moments: anywhere, or for one person in five in a burst."""
    length = seconds * (0.02 if chance.random() < 0.2 else 1.0)
    first = chance.uniform(0, seconds - length)
    return sorted(first + chance.uniform(0, length) for _ in range(count))


def _apart(chance: random.Random, count: int, seconds: float, step: float) -> list[float]:
    """One person's moments, on a grid of their own."""
    slots = range(max(count, int(seconds / step)))
    phase = chance.uniform(0, step)
    return [phase + step * slot for slot in sorted(chance.sample(slots, count))]


def owners(calls: list[Call]) -> dict[str, str]:
    """The user of each anonymous id (with `~`) that the calls identify, and of each known user who was merged."""
    found = {}
    for call in calls:
        plain = call.plain
        if plain["type"] == "alias":
            found[f"~{plain['previousId']}"] = found[plain["previousId"]] = plain["userId"]
        elif "userId" in plain and "anonymousId" in plain:
            found[f"~{plain['anonymousId']}"] = plain["userId"]
    return found


def merged_users(calls: list[Call]) -> dict[str, str]:
    """By the id of each known user who was merged, the user who survived."""
    known = {call.plain["userId"] for call in calls if "userId" in call.plain}
    return {name: owner for name, owner in owners(calls).items() if name in known}


def tokens_of(call: Call) -> list[str]:
    """The device tokens that the person of a call may have."""
    person = call.id[1:6]
    return [_token(f"{kind}{person}") for kind in "auv"]


def _token(owner: str) -> str:
    """The push server answers a third of them late, so that kills come between a hand-off and its answer."""
    return f"{'slow' if int(owner[1:]) % 3 == 0 else 'token'}-{owner}"


def _script(chance: random.Random, person: int) -> Iterator[Plain]:
    """What one person does, in order."""
    user, visitor, second = f"u{person:05}", f"a{person:05}", f"v{person:05}"
    said: list[Plain] = []

    def say(type_: str, **fields: Any) -> Plain:
        call = {"type": type_, "messageId": f"m{person:05}.{len(said):02}", **fields}
        said.append(call)
        return call

    def do(**whose: str) -> Plain:
        name = chance.choices(_NAMES, _WEIGHTS)[0]
        number = f"m{person:05}.{len(said):02}"
        properties = {
            "number": number,
            "price": chance.randrange(1000),
            "revenue": chance.randrange(1000),
            "category": chance.choice(["shoes", "books", "music"]),
        }
        context = {"context": _device(chance, *whose.values())} if chance.random() < 0.3 else {}
        return say("track", event=name, properties=properties, **whose, **context)

    if chance.random() < 0.6:
        for _ in range(chance.randrange(1, 4)):
            yield do(anonymousId=visitor)
        if chance.random() < 0.2:
            yield say("alias", userId=user, previousId=visitor)
        else:
            yield say("identify", userId=user, anonymousId=visitor, traits=_traits(chance, user))
        if chance.random() < 0.3:
            yield do(anonymousId=visitor)
    if chance.random() < 0.8:
        yield say("identify", userId=user, traits=_traits(chance, user), context=_device(chance, user))
    if chance.random() < 0.4:
        about = {"topic": "marketing", "channel": chance.choice(["email", "email", "push"])}
        granted = about["channel"] == "email" or chance.random() < 0.5
        yield say("track", userId=user, event="Consent Changed", properties=about | {"granted": granted})
    for _ in range(chance.randrange(4)):
        yield do(userId=user)
    if chance.random() < 0.05:
        yield say("identify", userId=second, traits=_traits(chance, second), context=_device(chance, second))
        yield do(userId=second)
        yield say("alias", userId=user, previousId=second)
        yield do(userId=second)
    if chance.random() < 0.05 and said:
        yield chance.choice(said)


def _device(chance: random.Random, owner: str) -> Plain:
    """A device of its own for each id, so that no token is ever somebody else's."""
    device = {"token": _token(owner), "type": chance.choice(["ios", "android"])}
    return {"device": device, "timezone": chance.choice(["Asia/Tokyo", "Europe/Berlin"])}


def _traits(chance: random.Random, user: str) -> Plain:
    traits: Plain = {"country": chance.choice(["JP", "US", "DE"]), "age": chance.randrange(15, 70)}
    return traits | ({"email": f"{user}@example.com"} if chance.random() < 0.8 else {})
