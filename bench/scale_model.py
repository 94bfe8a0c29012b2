"""A live job as it is on Dataflow, in one process and in the time of its events: each input is a bundle of its own.

State machine, rows, courier, receipts and the messages of control are the product's; the runner is not there. Its part
(state, one timer a key, the control topic) is a few dictionaries, and what would cross it is counted.
"""

import heapq
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from bench.scale_tables import CountedTables
from transforms.campaigns.effects import Send
from transforms.campaigns.load import Definitions
from transforms.channels.courier import Courier
from transforms.channels.destinations import Channels
from transforms.channels.receipts import receipt_of
from transforms.channels.rules import rules_of
from transforms.channels.settings import MailSettings
from transforms.events.event import Event
from transforms.storage.bigtable.store import BigtableStore
from transforms.users.control import decode_control, encode_inputs_control, encode_receipt
from transforms.users.effects import Account, Forward
from transforms.users.hydrate.hints import Hinted, encode_hinted
from transforms.users.parts import PARTS
from transforms.users.user import ANONYMOUS, Input, TokenReassigned, User, Wake, encode_inputs, route
from transforms.users.write_batch import WriteBatch

__all__ = ["LiveModel"]

#: Between a message of control and its arrival.
_WAY_BACK = 1_000_000


class LiveModel:
    """Users of a live job, with their timers and what is on its way to them.

    Attributes:
      users: by key.
      sends: how many were delivered; the bytes of each as it waits in a queue are in `bytes["send"]`.
      counted: inputs by kind (`event`, `wake`, `control`), and what they made.
      bytes: what crossed shuffles, state and topics, by kind.
      seconds: of the processor, by kind.
    """

    def __init__(self, definitions: Definitions, store: BigtableStore, tables: CountedTables, folder: Path) -> None:
        self.definitions = definitions
        self.tables = tables
        self.users: dict[str, User] = {}
        self.counted: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.sends: list[Send] = []
        self._store = store
        self._timers: list[tuple[int, str]] = []
        self._due: dict[str, int] = {}
        self._control: list[tuple[int, int, bytes]] = []
        self._numbers = count()
        settings = MailSettings()
        self._courier = Courier(
            definitions.messages,
            Channels(str(folder)).open(settings, store),
            settings,
            definitions.policies.default_locale,
            lambda send: send.decided_at,
            store=store,
            rules=rules_of(definitions),
            bounded=False,
        )

    @property
    def timers(self) -> int:
        """Users for whom a deadline is set."""
        return len(self._due)

    def close(self) -> None:
        """Close the courier."""
        self._courier.close()

    def take(self, event: Event) -> None:
        """An event, after everything that falls due before its arrival."""
        self.wait(event.arrival)
        self._apply(route(event), [event], "event", event.arrival)

    def wait(self, until: int) -> None:
        """Let time pass: timers fire, and messages of control arrive, in the order of their times."""
        while True:
            timer = self._next_timer()
            control = self._control[0][0] if self._control else None
            first = min((at for at in (timer, control) if at is not None), default=None)
            if first is None or first > until:
                return
            if control == first:
                at, _, payload = heapq.heappop(self._control)
                key, inputs = decode_control(payload, at)
                self._apply(key, inputs, "control", at)
            else:
                due, key = heapq.heappop(self._timers)
                del self._due[key]
                self._apply(key, [Wake(due)], "wake", due)

    def _next_timer(self) -> int | None:
        """When the next timer fires; those that were set anew since are dropped."""
        while self._timers and self._due.get(self._timers[0][1]) != self._timers[0][0]:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _apply(self, key: str, inputs: Sequence[Input], kind: str, at: int) -> None:
        started = time.process_time()
        self.counted[kind] += 1
        hint = None
        if kind != "wake":  # a timer crosses no shuffle
            if key not in self.users:
                hint = b"".join(row.state for row in self._store.read_users([key]).values())
            self.bytes["shuffle"] += len(key) + len(encode_hinted(Hinted((encode_inputs([*inputs]),), hint)))
        batch = WriteBatch(self.definitions, self._store, clock=lambda: at)
        user, state = batch.apply(self.users.get(key) or User(key), [*inputs])
        self.users[key] = user
        self.bytes["state"] += len(state)
        self._set_timer(key, PARTS.deadline_of(user))
        results = [*batch.flush()]
        self.seconds[kind] += time.process_time() - started
        self._deliver([each for each in results if isinstance(each, Send)])
        self._pass_on(key, (each for each in results if isinstance(each, Forward)), at)
        self.counted["refused"] += sum(isinstance(each, Account) for each in results)

    def _set_timer(self, key: str, deadline: int | None) -> None:
        self._due.pop(key, None)
        if deadline is not None:
            self._due[key] = -(-deadline // 1000) * 1000  # as the unbounded shell sets it
            heapq.heappush(self._timers, (self._due[key], key))

    def _deliver(self, sends: list[Send]) -> None:
        if not sends:
            return
        started = time.process_time()
        self.bytes["send"] += sum(len(msgspec.msgpack.encode(send)) for send in sends)
        self.sends += sends
        receipts = [receipt_of(each, bounded=False) for each in self._courier.deliver(sends)]
        for receipt in receipts:
            if receipt is not None:
                self._publish(encode_receipt(receipt), sends[0].decided_at)
        self.seconds["send"] += time.process_time() - started

    def _pass_on(self, key: str, forwards: Iterator[Forward], at: int) -> None:
        """What visitors forward goes on in the graph; all else by the control topic."""
        for each in forwards:
            if key.startswith(ANONYMOUS) and not isinstance(each.input, TokenReassigned):
                self._apply(each.user, [each.input], "forwarded", at)
            else:
                self._publish(encode_inputs_control(each.user, [each.input]), at)

    def _publish(self, payload: bytes, at: int) -> None:
        self.counted["published"] += 1
        self.bytes["control"] += len(payload)
        heapq.heappush(self._control, (at + _WAY_BACK, next(self._numbers), payload))

    def per_event(self, table: str, kind: str) -> tuple[float, float]:
        """Rows of a table that an event writes or reads, and the bytes of one."""
        found: Any = self.tables.traffic(table, kind)
        return found.rows / max(1, self.counted["event"]), found.row_bytes
