"""Waves: a campaign at 09:00 by each user's clock, with a wait of a day, to many users in many zones.

What one user costs (wakes, rows, messages) and when is taken from the product: `bench.scale_model` runs a few users of
each zone. The rest is arithmetic by the second: so many decisions and pushes a second, and what waits meanwhile.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from bench.scale_model import LiveModel
from bench.scale_tables import CountedTables, counted_store
from transforms.campaigns.effects import Send
from transforms.campaigns.load import compiled
from transforms.channels.flight import WAITING_SHARDS, shard_of, waiting_key
from transforms.channels.waiting.transforms import WAITING_SECONDS
from transforms.events.event import Event
from transforms.segments.values import DAY

__all__ = ["FCM_A_SECOND", "ZONES", "Flow", "OneUser", "Wave", "fullest", "measure_one_user", "simulate_wave"]

#: https://firebase.google.com/docs/cloud-messaging/throttling-and-quotas: 600,000 messages a minute and project.
FCM_A_SECOND = 10_000
#: Shares of users by zone: made up, so that a wave has the shape of an audience on several continents.
ZONES = {
    "Asia/Tokyo": 0.15,
    "Asia/Shanghai": 0.20,
    "Asia/Kolkata": 0.20,
    "Europe/Berlin": 0.15,
    "America/New_York": 0.15,
    "America/Sao_Paulo": 0.10,
    "America/Los_Angeles": 0.05,
}
#: The first second of the simulation: the day before 09:00 comes anywhere.
START = 1_772_323_200_000_000  # 2026-03-01
_DEFINITIONS = (
    (
        "wave.yaml",
        """
segments:
  buyers: {owner: bench, members: {event: Order Completed}}
campaigns:
  morning:
    owner: bench
    trigger: {schedule: {at: "2026-03-03T09:00", zone: user}}
    audience: {segment: buyers}
    steps: [{send: hello}, {wait: 1d}, {send: again}]
    reenter: always
    consent: news
messages:
  hello: {channel: push, title: "Good morning", body: "Your {{ user.plan | default: 'free' }} plan is waiting."}
  again: {channel: push, title: "Still here", body: "It is waiting."}
""",
    ),
)


class OneUser(NamedTuple):
    """What the wave is for one user: wakes, sends, rows written (`checks` of them atomic), messages of control.

    `due` is when the first push is decided, by zone, in microseconds UTC. A user outside the audience has
    `wakes_outside`.
    """

    due: dict[str, int]
    wakes: float
    wakes_outside: float
    sends: float
    writes: float
    checks: float
    control: float
    send_bytes: float
    ledger_bytes: float


class Flow(NamedTuple):
    """What a second can take: inputs of the state machine, and pushes."""

    decisions: int
    pushes: int = FCM_A_SECOND


class Wave(NamedTuple):
    """What became of one wave; times are seconds after 09:00 of the first zone, bytes of what waits to be sent.

    `shard_bytes` are those of the fullest shard of Deliver, if all of it waited there (as it did); `key_bytes` those of
    the fullest key in which sends wait, if all were due in the same seconds. `late` is how long after the user's own
    09:00 the last push of a zone goes out.
    """

    users: int
    planned: int
    decided: int
    sent: int
    most_waiting: int
    most_bytes: int
    shard_bytes: int
    key_bytes: int
    late: dict[str, int]


def measure_one_user(each: int = 4) -> OneUser:
    """Run so many users of each zone through the wave who are in the audience, and as many who are not."""
    members, tables = _waved(each, buys=True)
    others, _ = _waved(each, buys=False)
    users = len(ZONES) * each
    return OneUser(
        {send.zone: send.decided_at for send in members.sends if send.step == "hello"},
        members.counted["wake"] / users,
        others.counted["wake"] / users,
        len(members.sends) / users,
        sum(tables.traffic(*call).rows for call in _WRITES) / users,
        tables.traffic("ledger", "check").rows / users,
        members.counted["published"] / users,
        members.bytes["send"] / len(members.sends),
        tables.traffic("ledger", "check").row_bytes,
    )


def _waved(each: int, *, buys: bool) -> tuple[LiveModel, CountedTables]:
    """Users who were made known, and what time has brought about since; of that alone is counted."""
    store, tables = counted_store()
    with tempfile.TemporaryDirectory() as folder:
        model = LiveModel(compiled(_DEFINITIONS), store, tables, Path(folder))
        for zone in ZONES:
            for number in range(each):
                for event in _calls(f"{zone}-{number}", zone, buys=buys):
                    model.take(event)
        tables.forget_counts()
        model.counted.clear()
        model.wait(START + 6 * DAY)
        model.close()
    store.close()
    return model, tables


def simulate_wave(users: int, flow: Flow, one: OneUser, zones: Mapping[str, float] = ZONES) -> Wave:
    """Let the wave go through, a second at a time.

    Args:
      users: in the audience.
      flow: what a second can take; half of `decisions` is left for events.
      one: what the wave is for a user.
      zones: shares of users.
    """
    first = min(one.due[zone] for zone in zones)
    budget = flow.decisions / 2
    planned = int(users / budget)
    due = {zone: (one.due[zone] - first) // 1_000_000 for zone in zones}
    to_decide = dict.fromkeys(zones, 0.0)
    waiting = dict.fromkeys(zones, 0.0)
    left = {zone: users * share for zone, share in zones.items()}
    late: dict[str, int] = {}
    decided = second = 0
    most = 0.0
    while len(late) < len(zones):
        for zone in zones:
            if due[zone] == second:
                to_decide[zone] = left[zone]
        for zone, number in _shares(to_decide, budget).items():
            to_decide[zone] -= number
            waiting[zone] += number
            decided = second if number else decided
        most = max(most, sum(waiting.values()))
        for zone, number in _shares(waiting, flow.pushes).items():
            waiting[zone] -= number
            left[zone] -= number
            if number and left[zone] < 0.5:
                late[zone] = second - due[zone]
        second += 1
    size = int(most * one.send_bytes)
    in_keys = (int(size * fullest(key_of)) for key_of in (shard_of, _wait_together))
    return Wave(users, planned, decided, second - 1, int(most), size, *in_keys, late)


def fullest(key_of: Callable[[Send], str], users: int = 400_000) -> float:
    """The share of users whom the fullest of some keys has."""
    return max(Counter(key_of(_send(f"user-{number:09d}")) for number in range(users)).values()) / users


def _wait_together(send: Send) -> str:
    return waiting_key(send, START, WAITING_SHARDS, WAITING_SECONDS)


#: Calls that write rows.
_WRITES = (
    *(("users", "write"), ("events", "write"), ("members", "write"), ("identities", "write")),
    *(("ledger", "check"), ("ledger", "write"), ("ledger_by_state", "write")),
)


def _shares(wanted: Mapping[str, float], budget: float) -> dict[str, float]:
    """What each gets of a second's budget, by how much it wants."""
    total = sum(wanted.values())
    part = min(1.0, budget / total) if total else 0.0
    return {name: number * part for name, number in wanted.items()}


def _calls(user: str, zone: str, *, buys: bool) -> list[Event]:
    context = {"device": {"token": f"token-{user}", "type": "ios"}, "timezone": zone}
    name = "Order Completed" if buys else "Product Viewed"
    return [
        Event(f"{user}-1", "identify", "", START, START, user, context=context, traits={"plan": "gold"}),
        Event(f"{user}-2", "track", name, START, START, user, properties={"revenue": 9}),
    ]


def _send(user: str) -> Send:
    return Send("", "c", "e", "s", user, "push", "m", "", START, START + DAY)
