"""Whole campaigns wait to be sent: no key of state gets all of them, and none is written back over and over.

The two steps of Deliver run over a state of a few dictionaries, which counts what is written. The clock stands at the
time of the timer that fires.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
import pytest
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue
from core import texts_of

from transforms.campaigns.effects import Send
from transforms.channels.destinations import Channels
from transforms.channels.flight import SHARDS, WAITING_SHARDS, shard_of, waiting_key
from transforms.channels.transforms import RECEIPTS, sharded
from transforms.channels.waiting.transforms import LATER, DeliverUnbounded
from transforms.events.times import read_time
from transforms.storage.open import open_store

SECOND = 1_000_000
HOUR = 3600 * SECOND
EVENING, MORNING = read_time("2026-03-10T22:00:00Z"), read_time("2026-03-11T08:00:00Z")
DAILY = {
    "trigger": {"schedule": {"cron": "0 9 * * *"}},
    "audience": {"segment": "buyers"},
    "steps": [{"send": "push"}],
    "reenter": "always",
    "consent": "offers",
}
TEXTS = texts_of(
    {
        "segments": {"buyers": {"members": {"event": "Bought"}}},
        "campaigns": {"daily": DAILY, "rated": {**DAILY, "rate": {"at_most": 3_200, "per": "1m"}}},
        "messages": {"push": {"channel": "push", "title": "Hello"}},
    }
)


class Cell:
    """A bag, a value or a timer of one key."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.most = self.writes = 0

    def add(self, item: bytes) -> None:
        self.kept.append(item)
        self.writes += 1
        self.most = max(self.most, len(self.kept))

    def write(self, item: Any) -> None:
        self.kept = [item]

    def clear(self) -> None:
        self.kept = []


class Bag(Cell):
    def read(self) -> list[Any]:
        return [*self.kept]


class Value(Cell):
    def read(self) -> Any:
        return self.kept[0] if self.kept else None


class Timer(Cell):
    def set(self, at: Timestamp) -> None:
        self.kept = [at.micros]


class Delivery:
    """Both steps, with the state of each key, and what they gave out."""

    def __init__(self, folder: Path, now: int) -> None:
        self.now = now
        self.url = f"sqlite:{folder / 'store.db'}"
        transform = DeliverUnbounded(TEXTS, Channels(str(folder)), self.url, lambda: self.now)
        self.queue, self.again = transform.steps()
        self.bags: dict[tuple[str, str], Bag] = defaultdict(Bag)
        self.values: dict[tuple[str, str], Value] = defaultdict(Value)
        self.timers: dict[tuple[str, str], Timer] = defaultdict(Timer)
        self.told: dict[str, tuple[str, int]] = {}
        self.times_told: Counter[str] = Counter()
        for step in (self.queue, self.again):
            step.setup()

    def take(self, *sends: Send) -> None:
        step: Any = self.queue
        for send in sends:
            key, data = sharded(send)
            step.process((key, data), Timestamp(micros=self.now), self.bags["queue", key], self.timers["turn", key])

    def fire(self, until: int) -> None:
        """Let timers fire in the order of their times."""
        while waiting := [(timer.kept[0], name) for name, timer in self.timers.items() if timer.kept]:
            at, (kind, key) = min(waiting)
            if at > until:
                return
            self.timers[kind, key].clear()
            self.now = max(self.now, at)
            self.bundle(kind, key, at)

    def bundle(self, kind: str, key: str, fired: int) -> None:
        """A bundle of one timer that fires."""
        at = Timestamp(micros=fired)
        step: Any = self.queue if kind == "turn" else self.again
        step.start_bundle()
        if kind == "turn":
            results = step.deliver(at, self.bags["queue", key], self.values["pace", key])
        else:
            later = (self.bags["later", key], self.values["due", key], self.timers["retry", key])
            results = step.deliver_again(at, *later)
        self._keep_all(results)

    def move(self, key: str, fired: int) -> None:
        """The timer fires that a job of before has set for what waits in the key of a shard."""
        step: Any = self.queue
        step.start_bundle()
        waited = (self.bags["waited", key], self.values["waited", key], self.timers["waited", key])
        self._keep_all(step.move(Timestamp(micros=fired), *waited))

    def _keep_all(self, results: Iterator[Any]) -> None:
        for result in [*results]:
            value = result.value if isinstance(result, WindowedValue) else result
            if isinstance(value, beam.pvalue.TaggedOutput):
                self._keep(value.tag, value.value)

    def _keep(self, tag: str, value: Any) -> None:
        if tag == RECEIPTS:
            receipt = msgspec.json.decode(value)
            self.told[receipt["send"]] = receipt["kind"], self.now
            self.times_told[receipt["send"]] += 1
        elif tag == LATER:
            step: Any = self.again
            key = value[0]
            step.process(value, self.bags["later", key], self.values["due", key], self.timers["retry", key])

    def most(self, kind: str) -> int:
        return max((bag.most for (name, _), bag in self.bags.items() if name == kind), default=0)

    def writes(self, kind: str) -> int:
        return sum(bag.writes for (name, _), bag in self.bags.items() if name == kind)

    def ledger(self) -> Counter[str]:
        store = open_store(self.url)
        found = Counter(row.state for row in store.scan_ledger())
        store.close()
        return found

    def close(self) -> None:
        for step in (self.queue, self.again):
            step.teardown()


@pytest.fixture
def delivery(tmp_path: Path) -> Iterator[Delivery]:
    made = Delivery(tmp_path, EVENING)
    yield made
    made.close()


def of_one_shard(number: int, campaign: str = "daily", **changes: Any) -> list[Send]:
    """Sends of as many users, all of the same shard."""
    fields: dict[str, Any] = {"campaign": campaign, "entry": "e", "step": "s", "channel": "push", "message": "push"}
    fields |= {"decided_at": EVENING, "not_after": EVENING + 24 * HOUR, "topic": "offers", **changes}
    found: list[Send] = []
    users = 0
    while len(found) < number:
        send = Send(id=f"send-{users}", user=f"u{users}", address=f"token-{users}", **fields)
        users += 1
        if shard_of(send) == "push/0":
            found.append(send)
    return found


def test_a_shard_delivers_so_many_in_a_turn_and_the_others_at_once_elsewhere(delivery: Delivery) -> None:
    sends = of_one_shard(3_000)
    delivery.take(*sends)
    delivery.fire(EVENING)
    assert delivery.told == {send.id: ("accepted", EVENING) for send in sends}
    assert set(delivery.times_told.values()) == {1}
    assert delivery.writes("later") == 2_000
    assert delivery.most("later") < 2_000 / (WAITING_SHARDS / SHARDS) * 3
    assert delivery.ledger() == {"handed_off": 3_000}


@pytest.mark.parametrize("watermark", [EVENING, -1])
def test_in_a_backlog_what_is_beyond_a_turn_does_not_wait_for_the_watermark_to_catch_up(
    delivery: Delivery, watermark: int
) -> None:
    sends = of_one_shard(1_500)
    delivery.take(*sends)
    delivery.now += HOUR
    delivery.timers["turn", "push/0"].set(Timestamp(micros=watermark))
    delivery.fire(EVENING)
    assert delivery.told == {send.id: ("accepted", EVENING + HOUR) for send in sends}


def test_what_a_rate_holds_back_is_not_written_back_for_each_that_goes(delivery: Delivery) -> None:
    """3,200 a minute are 100 a minute of one of 32 shards."""
    sends = of_one_shard(1_000, campaign="rated")
    delivery.take(*sends)
    delivery.fire(EVENING + 2 * HOUR)
    assert sorted(at - EVENING for _, at in delivery.told.values()) == [n * 600_000 for n in range(1_000)]
    assert 999 <= delivery.writes("later") < 1_100
    assert delivery.most("later") <= 3


def test_a_night_of_sends_is_due_in_many_keys(delivery: Delivery) -> None:
    sends = of_one_shard(2_000, quiet=(21 * 60, 8 * 60))
    delivery.take(*sends)
    delivery.fire(MORNING - 1)
    assert delivery.told == {}
    delivery.fire(MORNING)
    assert delivery.told == {send.id: ("accepted", MORNING) for send in sends}
    assert delivery.most("later") < 2_000 / (WAITING_SHARDS / SHARDS) * 3


def test_what_waits_in_a_shard_of_a_job_of_before_goes_to_the_smaller_keys(delivery: Delivery) -> None:
    """It is read once, and each send still goes out at its time; one that came too late then is missed."""
    *sends, missed = of_one_shard(301)
    missed = msgspec.structs.replace(missed, not_after=EVENING - 1)
    waited = [*((EVENING + number * SECOND, send) for number, send in enumerate(sends)), (0, missed)]
    for each in waited:
        delivery.bags["waited", "push/0"].add(msgspec.msgpack.encode(each))
    delivery.values["waited", "push/0"].write(EVENING)
    delivery.move("push/0", EVENING + HOUR)
    assert not delivery.told
    delivery.move("push/0", EVENING)
    assert not delivery.bags["waited", "push/0"].kept
    assert not delivery.values["waited", "push/0"].kept
    delivery.fire(EVENING + HOUR)
    assert delivery.told.pop(missed.id) == ("suppressed", EVENING)
    assert delivery.told == {send.id: ("accepted", at) for at, send in waited[:-1]}
    assert delivery.most("later") < 10


def test_what_came_too_late_is_missed_also_behind_a_turn(delivery: Delivery) -> None:
    sends = of_one_shard(1_500, not_after=EVENING - 1)
    delivery.take(*sends)
    delivery.fire(EVENING)
    assert {kind for kind, _ in delivery.told.values()} == {"suppressed"}
    assert delivery.ledger() == {"suppressed": 1_500}


def test_what_waits_out_its_time_behind_a_turn_expires(delivery: Delivery) -> None:
    sends = of_one_shard(1_200, not_after=EVENING)
    delivery.take(*sends)
    delivery.bundle("turn", "push/0", EVENING)
    delivery.now = EVENING + SECOND
    delivery.fire(EVENING + SECOND)
    assert Counter(kind for kind, _ in delivery.told.values()) == {"accepted": 1_000, "expired": 200}


def test_keys_of_what_waits_are_by_user_and_time() -> None:
    first, second, *_ = of_one_shard(2)
    assert waiting_key(first, EVENING, SHARDS, 60) == waiting_key(second, EVENING + 59 * SECOND, SHARDS, 60)
    assert waiting_key(first, EVENING, SHARDS, 60) != waiting_key(first, EVENING + 60 * SECOND, SHARDS, 60)
    assert waiting_key(first, EVENING, WAITING_SHARDS, 60) != waiting_key(second, EVENING, WAITING_SHARDS, 60)
