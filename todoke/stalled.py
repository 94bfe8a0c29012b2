"""Whether a live job stands still: messages are in flight, and none has ended for minutes."""

import time
from collections.abc import Callable, Hashable

from transforms.errors import RunFailed
from transforms.events.live.inflight import in_flight
from transforms.events.progress import progress

__all__ = ["STALL_SECONDS", "RunStalled", "keep_moving"]

#: How long nothing may end while messages are in flight. Clients give up earlier on a store or a provider that does not
#: answer, which fails the run or ends the send.
STALL_SECONDS = 180.0
_LOOK_SECONDS = 1.0


class RunStalled(RunFailed):
    """A live run stands still; it is started again, which loses nothing: what is in flight was never acknowledged."""


def _moved() -> Hashable:
    return in_flight.settled, progress.sends


def keep_moving(
    stopped: Callable[[], bool],
    *,
    patience: float = STALL_SECONDS,
    moved: Callable[[], Hashable] = _moved,
    waiting: Callable[[], int] = lambda: len(in_flight),
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Watch until `stopped` says so.

    Args:
      stopped: whether the run is over.
      patience: how long nothing may come to its end, in seconds.
      moved: returns a value that changes whenever a message was accounted for, or a send ended.
      waiting: how many messages are in flight.
      clock: seconds on any scale that does not go back.
      sleep: how to wait, in seconds.

    Raises:
      RunStalled: messages are in flight, and nothing has ended for `patience`.
    """
    last, since = moved(), clock()
    while not stopped():
        now = clock()
        if (seen := moved()) != last or not waiting():
            last, since = seen, now
        elif now >= since + patience:
            raise RunStalled(f"{waiting():,} messages are in flight, and nothing has ended for {now - since:.0f} s")
        sleep(_LOOK_SECONDS)
