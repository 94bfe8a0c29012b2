"""The judge: takes touches, waits for their moment to be over, and publishes their receipts. Times are microseconds.

A touch is done when its receipts are durable. A judge that dies leaves the others where they are; the next one judges
them again, and gives their receipts the same ids.
"""

import logging
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from services.engage.tracking.feeds import FeedAway, FeedHeld, TouchFeed
from services.engage.tracking.receipts import touch_receipt
from services.engage.tracking.touches import VISITED, Touch, decode_touch
from services.engage.tracking.verdicts import TOGETHER, judged
from services.problems import HttpProblem
from transforms.segments.values import MINUTE
from transforms.storage.store import StoreError
from transforms.users.control import Receipt

__all__ = ["Judge", "judging"]

#: How often it looks, and how long it waits when something does not answer, in seconds.
LOOK_SECONDS, AWAY_SECONDS = 0.25, 1.0
#: Clocks of several processes differ by less, in microseconds.
SET_BACK = MINUTE
#: Touches that wait are in memory: no more are taken meanwhile.
MOST_WAITING = 100_000
#: Messages whose receipts are published together.
JUDGED_AT_ONCE = 200
#: How long it is waited for when the process ends, in seconds.
END_SECONDS = 3.0

_log = logging.getLogger(__name__)


class _Taken(NamedTuple):
    handle: Any
    touch: Touch


class Judge:
    """Judges by `step`, which is called again and again by one thread.

    Args:
      feed: gives touches.
      publish: makes receipts durable, or raises HttpProblem.
      hand_off: when a user's send went to its provider, or None; it may raise StoreError.
      clock: the time now.
    """

    def __init__(
        self,
        feed: TouchFeed,
        publish: Callable[[Sequence[Receipt]], None],
        hand_off: Callable[[str, str], int | None],
        clock: Callable[[], int],
    ) -> None:
        self._feed = feed
        self._publish = publish
        self._hand_off = hand_off
        self._clock = clock
        #: By send, in the order of their first touches.
        self._waiting: dict[str, list[_Taken]] = {}
        self._many = 0

    def step(self) -> bool:
        """Take what came, and judge what has waited long enough; returns whether more has.

        Raises:
          FeedAway, HttpProblem, StoreError: something does not answer; what was not judged is judged later.
        """
        if self._many < MOST_WAITING:
            self._take()
        now = self._clock()
        # Sends are in the order of their first touches, but for what came late. What is of the future was noted before
        # the clock was set back, and nobody waits until it is there again.
        due = (
            name for name, taken in self._waiting.items() if not now - TOGETHER < taken[0].touch.at <= now + SET_BACK
        )
        moments = {send: self._moment(send) for send in islice(due, JUDGED_AT_ONCE)}
        receipts = [
            receipt
            for send, moment in moments.items()
            for receipt in _receipts(moment, self._hand_off(moment[0].touch.send.user, send))
        ]
        if receipts:
            self._publish(receipts)
        for send, moment in moments.items():
            self._forget(send, moment)
        if moments:
            self._feed.done([each.handle for moment in moments.values() for each in moment])
        return len(moments) == JUDGED_AT_ONCE

    def _moment(self, send: str) -> list[_Taken]:
        taken = self._waiting[send]
        return [each for each in taken if each.touch.at <= taken[0].touch.at + TOGETHER]

    def _take(self) -> None:
        unreadable = []
        for handle, payload in self._feed.take():
            try:
                touch = decode_touch(payload)
            except msgspec.MsgspecError as error:  # nobody but us writes here
                _log.error("a touch cannot be read, and is dropped: %s", error)
                unreadable.append(handle)
                continue
            taken = self._waiting.setdefault(touch.send.send, [])
            again = [place for place, each in enumerate(taken) if each.touch.id == touch.id]
            if again:  # a broker sends again what waits long, and goes by the newest handle
                taken[again[0]] = _Taken(handle, touch)
                continue
            taken.append(_Taken(handle, touch))
            taken.sort(key=lambda each: each.touch.at)
            self._many += 1
        if unreadable:
            self._feed.done(unreadable)

    def _forget(self, send: str, moment: Sequence[_Taken]) -> None:
        left = self._waiting.pop(send)[len(moment) :]
        if left:
            self._waiting[send] = left
        self._many -= len(moment)


def _receipts(moment: Sequence[_Taken], handed_off: int | None) -> list[Receipt]:
    """The receipts of what was touched: in one moment one for each link and verdict, the first."""
    touches = [each.touch for each in moment]
    found: dict[tuple[str, str, str], Receipt] = {}
    for touch, machine in zip(touches, judged(touches, handed_off), strict=True):
        if touch.kind != VISITED:
            found.setdefault((touch.kind, touch.link, machine), touch_receipt(touch, machine))
    return list(found.values())


@contextmanager
def judging(opened: Callable[[], AbstractContextManager[tuple[Judge, TouchFeed]]]) -> Iterator[None]:
    """Let a thread judge as long as the context lasts; it opens and closes what it needs by itself.

    A fault that nobody foresaw is logged by its kind and where it was, and the thread begins anew: nobody else judges.
    """
    ending = threading.Event()

    def run() -> None:
        while not ending.is_set():
            try:
                _judge_until(ending, opened)
            except Exception as error:  # noqa: BLE001 - its text may have what somebody sent
                where = "".join(traceback.format_tb(error.__traceback__)).rstrip()
                _log.error("the judge failed, and begins anew: %s\n%s", type(error).__name__, where)
                ending.wait(AWAY_SECONDS)

    thread = threading.Thread(target=run, name="judge", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(END_SECONDS)


def _judge_until(
    ending: threading.Event, opened: Callable[[], AbstractContextManager[tuple[Judge, TouchFeed]]]
) -> None:
    with opened() as (judge, feed), closing(feed):
        complaint, wait = "", 0.0
        while not ending.wait(wait):
            try:
                wait = 0.0 if judge.step() else LOOK_SECONDS
                complaint = ""
            except (FeedAway, HttpProblem, StoreError) as error:
                wait = AWAY_SECONDS
                if not isinstance(error, FeedHeld) and complaint != (complaint := type(error).__name__):
                    _log.warning("touches wait for their verdict: %s", error)
