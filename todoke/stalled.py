"""Whether a live job stands still: messages are in flight, and none has ended for minutes."""

import time
from collections.abc import Callable, Hashable

from transforms.errors import RunFailed

__all__ = ["STALL_SECONDS", "RunStalled", "keep_moving"]

#: How long nothing may end while messages are in flight. Clients give up earlier on a store or a provider that does not
#: answer, which fails the run or ends the send.
STALL_SECONDS = 180.0
_LOOK_SECONDS = 1.0


class RunStalled(RunFailed):
    """A live run stands still; it is started again, which loses nothing: what is in flight was never acknowledged."""


def keep_moving(
    stopped: Callable[[], bool],
    *,
    moved: Callable[[], Hashable],
    waiting: Callable[[], int],
    patience: float = STALL_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Watch until `stopped` says so.

    Args:
      stopped: whether the run is over.
      moved: returns a value that changes whenever a message was accounted for, or anything else came to its end.
      waiting: how many messages are in flight.
      patience: how long nothing may come to its end, in seconds.
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
