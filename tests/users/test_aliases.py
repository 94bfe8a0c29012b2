"""Known users who are merged by `alias`, in chains, forks and circles, while control delivers in any order and again.

The loop of a live job is played without Beam: whatever a user passes on waits as a control message, and any message
that waits may come next. Invariant 6: merging is union, nothing is counted twice.
"""

from collections import Counter
from random import Random
from typing import Any

from core import (
    DAY,
    HOUR,
    Loop,
    compile_plain,
    decode_all,
    essence,
    known,
    of_type,
    outcomes,
    routed,
    run_bounded,
    within_horizon,
)
from generators import START, definitions, histories, instants, iso
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships
from shop import SHOP
from strength import examples

from transforms.campaigns.effects import Send
from transforms.events.event import Event

Plain = dict[str, Any]
#: (previous id, user id that survives), as `alias` has them.
Alias = tuple[str, str]

USERS = ["u1", "u2", "u3", "u4"]
some = settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
CAMPAIGNS = compile_plain(
    {**SHOP, "campaigns": {name: {**body, "exit": []} for name, body in SHOP["campaigns"].items()}}
)


def first_copies(history: list[Plain]) -> list[Plain]:
    """Each message as it came first; repetitions are made here, with the same arrival."""
    by_arrival = sorted(history, key=lambda message: message["arrival"], reverse=True)
    return list({message["messageId"]: message for message in by_arrival}.values())


def alias_calls(aliases: list[Alias], hours: list[int]) -> list[Plain]:
    return [
        {
            "type": "alias",
            "messageId": f"alias {number} {previous} {user}",
            "userId": user,
            "previousId": previous,
            "timestamp": iso(START + hour * HOUR),
            "arrival": iso(START + hour * HOUR),
            "context": {},
        }
        for number, ((previous, user), hour) in enumerate(zip(aliases, hours, strict=True))
    ]


def components(aliases: list[Alias]) -> list[set[str]]:
    groups = [{user} for user in USERS]
    for pair in aliases:
        joined = set().union(*(group for group in groups if group & set(pair)))
        groups = [group for group in groups if not group & joined] + [joined]
    return groups


def survivors_of(loop: Loop, aliases: list[Alias]) -> dict[str, str]:
    """Whom each user goes on as: of a group that was merged exactly one stands, if anything is known of it."""
    survivors: dict[str, str] = {}
    for group in components(aliases):
        standing = group & set(known(loop.users))
        assert len(standing) <= 1, f"{group} were merged, and these stand: {standing}"
        survivors |= dict.fromkeys(group, min(standing, default=min(group)))
    return survivors


def united(history: list[Plain], survivors: dict[str, str]) -> list[Plain]:
    """The same history as one user's, for each group of users."""
    return [
        {**message, "userId": survivors[message["userId"]]} if "userId" in message else message for message in history
    ]


ALIASES = st.lists(st.permutations(USERS).map(lambda users: (users[0], users[1])), min_size=1, max_size=5)
#: Seeds, since what Hypothesis draws itself is mostly the first of all.
RANDOMS = st.integers(0, 2**32).map(Random)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Plain], list[Alias]]:
    """A history with aliases of known users in it."""
    aliases = draw(ALIASES)
    hours = draw(st.lists(st.integers(0, 60), min_size=len(aliases), max_size=len(aliases)))
    return [*first_copies(draw(histories())), *alias_calls(aliases, hours)], aliases


@some
@given(cases(), RANDOMS, st.sampled_from([0.0, 0.3]), st.data())
def test_every_order_of_delivery_ends_in_the_union(
    case: tuple[list[Plain], list[Alias]], random: Random, again: float, data: st.DataObject
) -> None:
    """Each group of users ends as one, who is the user who did it all; the oracle reads the united history."""
    history, aliases = case
    plain = data.draw(definitions())
    events, compiled = decode_all(history), compile_plain(plain)
    last = max(event.arrival for event in events)
    as_of = data.draw(st.sampled_from([time for time in instants(plain, history) if time >= last] or [last]))
    repeatable = within_horizon(events)
    loop = Loop(compiled, random, again=again if repeatable else 0.0)
    loop.deliver(routed([*events, *(random.choices(events, k=2) if repeatable else ())]))
    loop.settle(as_of)
    survivors = survivors_of(loop, aliases)
    assert known(loop.users) == memberships(plain, united(history, survivors), as_of)
    alone, _ = run_bounded(decode_all(united(history, survivors)), compiled, as_of)
    assert essence(loop.users, compiled) == essence(alone, compiled)


#: How often users did E, by which a history counted twice would show: once by a leaf that keeps which events it has
#: counted, and once by one that only adds them up.
COUNTS = compile_plain(
    {
        "segments": {f"n{n}": {"members": {"event": "E", "count": {"is": n}}} for n in range(8)}
        | {f"s{n}": {"members": {"event": "E", "sum": {"of": "one", "is": n}}} for n in range(8)}
    }
)


def counted(times: int) -> set[str]:
    return {f"n{times}", f"s{times}"}


def track(number: int, user: str, hour: int) -> Event:
    return Event(f"e{number}", "track", "E", START + hour * HOUR, START + hour * HOUR, user, properties={"one": 1})


@settings(max_examples=examples(1_500), deadline=None)
@given(ALIASES, st.lists(st.tuples(st.sampled_from(USERS), st.integers(0, 20)), max_size=5), st.data(), RANDOMS)
def test_every_message_ends_once_and_counts_once(
    aliases: list[Alias], tracks: list[tuple[str, int]], data: st.DataObject, random: Random
) -> None:
    hours = data.draw(st.lists(st.integers(0, 20), min_size=len(aliases), max_size=len(aliases)))
    calls = decode_all(alias_calls(aliases, hours))
    events = [track(number, *each) for number, each in enumerate(tracks)]
    sent = [*events, *calls, *data.draw(st.lists(st.sampled_from([*events, *calls]), max_size=2))]
    loop = Loop(COUNTS, random)
    loop.deliver(routed(sent))
    loop.settle(START + DAY)
    survivors = survivors_of(loop, aliases)
    expected = Counter(survivors[event.user] for event in events if event.user is not None)
    found = known(loop.users)
    assert found == {user: counted(expected[user]) for user in found}
    assert expected.keys() <= known(loop.users).keys()
    assert {message: len(ends) for message, ends in outcomes(loop.effects).items()} == Counter(each.id for each in sent)


@settings(max_examples=examples(300), deadline=None)
@given(st.permutations(USERS), st.integers(2, 4), st.sets(st.sampled_from(USERS)), RANDOMS, st.sampled_from([0.0, 0.3]))
def test_of_users_who_are_merged_in_a_circle_at_once_the_one_with_the_least_id_stays(
    order: list[str], size: int, active: set[str], random: Random, again: float
) -> None:
    """Whoever of them is known; what the others did is theirs."""
    circle, tail = order[:size], order[size:]
    aliases = [*zip(circle, [*circle[1:], circle[0]], strict=True), *((user, circle[0]) for user in tail)]
    loop = Loop(COUNTS, random, again=again)
    for number, user in enumerate(sorted(active)):
        loop.take(user, track(number, user, 0))
    calls = decode_all(alias_calls(aliases, [1] * len(aliases)))
    passed = [loop.take(event.previous, event) for event in calls if event.previous is not None]
    loop.deliver([message for messages in passed for message in messages] + [("u1", track(9, "u1", 2))])
    loop.settle(START + DAY)
    assert known(loop.users) == {min(circle): counted(len(active) + 1)}


@some
@given(histories(), ALIASES, RANDOMS, st.sampled_from([0.0, 0.3]))
def test_no_send_is_named_twice(history: list[Plain], aliases: list[Alias], random: Random, again: float) -> None:
    """The ledger lets a name out once; two names for one message of one entry would slip through it."""
    events = decode_all([*first_copies(history), *alias_calls(aliases, [30] * len(aliases))])
    loop = Loop(CAMPAIGNS, random, again=again)
    loop.deliver(routed(events))
    loop.settle(max(event.arrival for event in events) + 60 * DAY)
    sends = {send.id: send for send in of_type(Send, loop.effects)}
    named = Counter((send.campaign, send.entry, send.step, send.user, send.address) for send in sends.values())
    assert set(named.values()) <= {1}
