"""Marks of inbox messages: what somebody did with them, as receipts, and beside the messages in the store."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from services.problems import away
from transforms.events.times import write_time
from transforms.storage.inbox import Inbox
from transforms.storage.rows import InboxMarks, InboxRow
from transforms.storage.store import StoreError
from transforms.users.control import Receipt

__all__ = ["MARKS", "InboxMarker", "marks_at", "receipts_of"]

#: What an app may say, and the marks that it sets: who clicks has read.
MARKS = {"read": ("opened",), "clicked": ("opened", "clicked"), "dismissed": ("dismissed",)}


class InboxMarker:
    """Writes marks to a store, from an event loop: a thread of its own writes.

    Args:
      store: gives the store, or raises StoreError.
    """

    def __init__(self, store: Callable[[], Inbox]) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, "marks")

    async def mark(self, rows: Sequence[InboxRow], marks: InboxMarks) -> None:
        """Set those marks that are not set yet.

        Raises:
          HttpProblem: 503, the store does not take them now.
        """
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write, rows, marks)
        except (StoreError, RuntimeError):  # the store refuses, or this is closed
            raise away("the store does not take more now") from None

    def close(self) -> None:
        """Write what waits. The store stays open."""
        self._thread.shutdown()

    def _write(self, rows: Sequence[InboxRow], marks: InboxMarks) -> None:
        self._store().mark_inbox(rows, marks)


def marks_at(said: str, now: int) -> InboxMarks:
    """The marks of what an app says, set at a time."""
    return InboxMarks(**dict.fromkeys(MARKS[said], now))


def receipts_of(rows: Iterable[InboxRow], said: str, now: int) -> Iterator[Receipt]:
    """What is new to the users' state: a mark that is set already says nothing."""
    for row in rows:
        for kind in MARKS[said]:
            if not getattr(row, kind):
                yield Receipt(
                    user_id=row.user,
                    kind=kind,
                    channel="inbox",
                    time=write_time(now),
                    send=row.send,
                    campaign=row.campaign,
                    step=row.step,
                )
