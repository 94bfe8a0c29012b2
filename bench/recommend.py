"""Recommendations of an invented shop's orders: made in this process, and looked up as a courier does.

Seconds are of the processor, beside those of the clock.

python -m bench.recommend --events 1000000 --users 100000 [--products 10000] [--sends 2000]
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import msgspec
import numpy as np

from transforms.campaigns.effects import Send
from transforms.campaigns.load import compiled
from transforms.channels.recommending import Recommender
from transforms.events.event import Event
from transforms.events.times import write_time
from transforms.segments.values import DAY
from transforms.storage.rows import RecommendationRun
from transforms.storage.scratch.folder import scratch_folder
from transforms.storage.sqlite.store import SqliteStore
from transforms.users.archive import event_row
from transforms.users.cooccurrence.transforms import asked_by
from transforms.users.cooccurrence.writing import recommend
from transforms.users.effects import Recorded

__all__: list[str] = []

_NOW = 1_774_915_200_000_000
_TEXTS = (
    (
        "shop.yaml",
        """
recommend: {event: Ordered, product: "products[].id", within: 90d, segments: [regular]}
segments: {regular: {owner: g, members: {event: Ordered, count: {at_least: 5}}}}
messages: {m: {channel: push, title: "{{ recommendations.size }}"}}
campaigns: {c: {owner: g, consent: n, trigger: {enters: regular}, steps: [{send: m}]}}
""",
    ),
)
#: Products of an order.
_BASKET = 2


def _orders(events: int, users: int, products: int) -> Iterator[tuple[int, int, list[str]]]:
    """User, time and products of orders; few products sell often."""
    chance = np.random.default_rng(1)
    while events > 0:
        many = min(events, 100_000)
        who, when = chance.integers(0, users, many), _NOW - chance.integers(0, 60 * DAY, many)
        what = np.minimum(chance.zipf(1.3, (many, _BASKET)), products)
        for user, at, ids in zip(who.tolist(), when.tolist(), what.tolist(), strict=True):
            yield user, at, [f"p{each}" for each in ids]
        events -= many


def _calls(events: int, users: int, products: int) -> Iterator[bytes]:
    for number, (user, at, ids) in enumerate(_orders(events, users, products)):
        said = {"type": "track", "event": "Ordered", "userId": f"u{user}", "messageId": f"m{number}"}
        properties = {"products": [{"id": each} for each in ids]}
        yield msgspec.json.encode(said | {"timestamp": write_time(at), "properties": properties})


def main() -> None:
    """Measure, and print."""
    flags = argparse.ArgumentParser()
    for name, value in (("events", 1_000_000), ("users", 100_000), ("products", 10_000), ("sends", 2_000)):
        flags.add_argument(f"--{name}", type=int, default=value)
    asked = flags.parse_args()
    with scratch_folder() as folder:
        store = SqliteStore(folder / "s.db")
        began = _now()
        calls = _calls(asked.events, asked.users, asked.products)
        parts = max(8, asked.events // 100_000)
        (folder / "work").mkdir()
        sums = recommend(calls, asked_by(_TEXTS, _NOW), store, _NOW, Path(folder) / "work", parts=parts)
        took, busy = (after - before for after, before in zip(_now(), began, strict=True))
        peak = getrusage(RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{sums['lists']:,} lists in {took:.1f} s, {busy:.1f} of the processor: "
            f"{asked.events / busy:,.0f} events/s, {asked.users / busy:,.0f} users/s, peak {peak:,.0f} MB"
        )
        store.publish_recommendations(RecommendationRun(_NOW, _NOW))
        _look_up(store, asked.sends, asked.products)
        store.close()


def _now() -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    return time.perf_counter(), time.process_time()


def _look_up(store: SqliteStore, sends: int, products: int) -> None:
    for number, (user, at, ids) in enumerate(_orders(10 * sends, sends, products)):
        said = {"products": [{"id": each} for each in ids]}
        event = Event(f"m{number}", "track", "Ordered", at, at, f"u{user}", None, None, said, {}, {})
        store.write_events([event_row(Recorded(f"u{user}", event), 1)])
    recommender = Recommender(lambda _: _NOW, store)
    definitions = compiled(_TEXTS)
    recommender.follow(definitions.recommend, definitions.messages)
    fields = {"campaign": "c", "entry": "e", "step": "m", "channel": "push", "message": "m", "address": "a"}
    batch = [Send(id=f"s{n}", user=f"u{n}", decided_at=_NOW, not_after=_NOW, **fields) for n in range(sends)]
    began = _now()
    for start in range(0, sends, 64):
        recommender.look_up(batch[start : start + 64], {})
    took, busy = (after - before for after, before in zip(_now(), began, strict=True))
    print(f"{sends:,} sends of users with 10 orders looked up in {took:.1f} s, {busy:.2f} of the processor")
    recommender.close()


if __name__ == "__main__":
    main()
