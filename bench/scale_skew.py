"""Key skew: a minute of events whose users follow a Zipf law, with one hot visitor, laid on the product's own keys.

Where an event goes is said by `route`, `user_key`, `shard_of` and `AskedKeys`; what a key with too many messages does,
by the state machine itself.
"""

import random
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

from bench.scale_sizes import DEFINITIONS
from transforms.campaigns.effects import Send
from transforms.campaigns.load import load
from transforms.channels.flight import SHARDS, shard_of
from transforms.events.event import Event
from transforms.segments.values import DAY, MINUTE
from transforms.storage.bigtable.keys import user_key
from transforms.users.advance import fold
from transforms.users.effects import Account
from transforms.users.hydrate.hints import AskedKeys
from transforms.users.rate_limit import HOT_ID, MOST_A_MINUTE, MOST_OWNERS
from transforms.users.user import ANONYMOUS, User, encode_user, route

__all__ = ["HotKey", "Skew", "measure_hot_key", "simulate_skew", "zipf"]

START = 1_772_323_200_000_000  # 2026-03-01
#: Ranks that are drawn one by one; those after them are as good as equal.
_HEAD = 10_000


class Skew(NamedTuple):
    """A minute. Shares are of its events; `over` is by how much the fullest part has more than the mean.

    `hot` keys passed the limit of a minute, which set aside `refused` events. `reread` is the share of events whose row
    a process of `Hydrate` reads, since it has not met the key lately: of the second half of as many events of its own.
    """

    events: int
    keys: int
    busiest: str
    busiest_events: int
    hot: int
    refused: int
    over_ranges: float
    over_shards: float
    reread: float


class HotKey(NamedTuple):
    """One key alone: microseconds of a processor for a message that is applied, and for one that is set aside."""

    applied: float
    set_aside: float
    state: int

    @property
    def a_second(self) -> float:
        """Messages of one key that one core can set aside in a second."""
        return 1e6 / self.set_aside


def zipf(users: int, exponent: float, chance: random.Random) -> Callable[[], int]:
    """Draws users by a Zipf law: the user of rank r with a weight of r to the power of minus `exponent`.

    The first ranks are drawn exactly, the others by the integral of the law.
    """
    head = [*accumulate(rank**-exponent for rank in range(1, min(users, _HEAD) + 1))]
    low, high = len(head) + 0.5, users + 0.5
    rest = 1 - exponent

    def area(rank: float) -> float:
        return rank**rest / rest

    tail = max(0.0, area(high) - area(low))
    total = head[-1] + tail

    def draw() -> int:
        at = chance.random() * total
        if at < head[-1]:
            return bisect_left(head, at)
        found = ((at - head[-1] + area(low)) * rest) ** (1 / rest)
        return min(users - 1, int(found - 0.5))

    return draw


def simulate_skew(
    events: int,
    users: int,
    *,
    exponent: float = 0.9,
    visitor: float = 0.01,
    remembered: int = 200_000,
    seed: int = 7,
) -> Skew:
    """Draw a minute of events and lay them on keys.

    Args:
      events: in the minute.
      users: who make them.
      exponent: of the law, not 1.
      visitor: the share of events whose anonymous id is one constant, as of a client with a fault.
      remembered: keys that a process remembers (`AskedKeys`).
    """
    chance = random.Random(seed)
    draw = zipf(users, exponent, chance)
    asked = AskedKeys(remembered)
    keys: Counter[str] = Counter()
    reread = 0
    for number in range(events):
        user = f"user-{draw():09d}"
        anonymous = "0" if chance.random() < visitor else None
        key = route(Event(f"m{number}", "track", "Product Viewed", START, START, user, anonymous))
        keys[key] += 1
        reread += number >= events // 2 and bool(asked.unknown([key]))
        asked.remember([key])
    busiest, most = keys.most_common(1)[0]
    ranges = _parts(keys, lambda key: user_key(key)[:2].decode())
    shards = _parts(keys, lambda key: shard_of(_send(key)))
    return Skew(
        events,
        len(keys),
        busiest,
        most,
        sum(number > MOST_A_MINUTE for number in keys.values()),
        sum(max(0, number - _applied(key)) for key, number in keys.items()),
        max(ranges.values()) / (events / 256),
        max(shards.values()) / (sum(shards.values()) / SHARDS),
        reread / (events - events // 2),
    )


def measure_hot_key(messages: int) -> HotKey:
    """Send one key more than a minute allows, and see what a message costs before and after the limit."""
    definitions = load(DEFINITIONS)
    user = User("hot")
    spent: Counter[bool] = Counter()
    numbers: Counter[bool] = Counter()
    for number in range(messages):
        at = START + number % MINUTE
        event = Event(f"m{number}", "track", "Product Viewed", at, at, "hot", properties={"price": number % 1000})
        started = time.process_time()
        user, effects = fold(user, [event], definitions)
        state = encode_user(user)
        aside = any(isinstance(each, Account) and each.cause == HOT_ID for each in effects)
        spent[aside] += time.process_time() - started
        numbers[aside] += 1
    return HotKey(*(spent[aside] * 1e6 / max(1, numbers[aside]) for aside in (False, True)), len(state))


def _applied(key: str) -> int:
    """How many messages of a key are applied in a minute at most; a visitor of too many users gets no more, ever."""
    return MOST_OWNERS if key.startswith(ANONYMOUS) else MOST_A_MINUTE


def _parts(keys: Counter[str], part_of: Callable[[str], str]) -> Counter[str]:
    """How many events each part has."""
    found: Counter[str] = Counter()
    for key, number in keys.items():
        found[part_of(key)] += number
    return found


def _send(user: str) -> Send:
    return Send("", "c", "e", "s", user, "push", "m", "", START, START + DAY)
