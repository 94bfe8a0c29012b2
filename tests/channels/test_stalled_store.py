"""A store that stalls holds up what is to be written, and no answer of a provider."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from channels.handing import Whole

from transforms.channels.inbox.message import InboxMessage
from transforms.channels.inbox.transport import InboxSender
from transforms.channels.outcome import Outcome
from transforms.channels.rules import Rule
from transforms.messages.definitions import Text
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import StoreError

NOW = 1_772_000_000_000_000
RULES = {"win_back": Rule(broadcast=True)}


class Beside:
    """A store that must not be asked on an event loop."""

    def __init__(self, store):
        self.store = store
        self.asked = set()

    def __getattr__(self, name):
        def ask(*args):
            with pytest.raises(RuntimeError, match="no running event loop"):
                asyncio.get_running_loop()
            self.asked.add(name)
            return getattr(self.store, name)(*args)

        return ask


class Kept(Whole):
    async def send(self, send, made):
        return Outcome.retry("quota", 1.0) if "quota" in send.address else Outcome.handed_off("kept")


def test_no_call_of_the_store_is_made_on_the_event_loop(store, make_courier, make_send):
    beside = Beside(store)
    channels = {"push": Kept(), "email": Kept(), "inbox": InboxSender(beside)}
    messages = {"inbox": InboxMessage(id="inbox", title=Text({"": "Hi"}))}
    for number in range(2):
        sends = [
            make_send("quota", message="inbox"),
            make_send("a@example.com", id=f"mail{number}", message="inbox"),
            make_send("u1", id=f"inbox{number}", user="u1", channel="inbox", message="inbox"),
        ]
        courier = make_courier(
            beside,
            senders=channels,
            messages=messages,
            rules=RULES,
            bounded=False,
            now=NOW + number * 10**8,
        )
        courier.deliver(sends)
    assert beside.asked == {"read_users", "read_hold", "claim", "resolve", "record", "write_inbox"}


def test_what_was_accepted_while_the_file_was_locked_is_handed_off(tmp_path: Path, make_courier, make_send):
    """The lock goes when a second answer was taken, while the first one's record waited for the lock."""
    path = tmp_path / "store.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    class Store(SqliteStore):
        def record(self, rows):
            loop.call_soon_threadsafe(recording.set)
            super().record(rows)

    class Slow(Whole):
        async def send(self, send, made):
            nonlocal loop
            loop = asyncio.get_running_loop()
            if send.address == "first":
                other.execute("BEGIN IMMEDIATE")
            else:
                await recording.wait()
                other.execute("COMMIT")
            return Outcome.handed_off(send.address)

    loop, recording, store = None, asyncio.Event(), Store(path, busy_seconds=20)
    deliveries = make_courier(store, senders={"push": Slow()}).deliver([make_send("first"), make_send("second")])
    assert [each.state for each in deliveries] == ["handed_off", "handed_off"]
    assert {row.detail for row in store.scan_ledger()} == {"first", "second"}
    store.close()
    other.close()


def test_outcomes_that_could_not_be_recorded_are_with_those_that_come_later(store, make_courier, make_send):
    """The store refuses one write, and takes the next."""
    refused = []

    class Refusing(Beside):
        def record(self, rows):
            if not refused:
                refused.append(len(rows))
                loop.call_soon_threadsafe(late.set)
                raise StoreError("locked")
            self.store.record(rows)

    class Slow(Whole):
        async def send(self, send, made):
            nonlocal loop
            loop = asyncio.get_running_loop()
            if send.address == "late":
                await late.wait()
            return Outcome.handed_off(send.address)

    loop, late, ledger = None, asyncio.Event(), Refusing(store)
    sends = [make_send("early1"), make_send("early2"), make_send("late")]
    assert {each.state for each in make_courier(ledger, senders={"push": Slow()}).deliver(sends)} == {"handed_off"}
    assert {row.state for row in store.scan_ledger()} == {"handed_off"}
    assert refused == [2]
