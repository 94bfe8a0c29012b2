"""How long dead letters are kept, and how many; and deleting what is beyond that, whether others arrive or not."""

import logging
import time
from collections.abc import Callable

from transforms.storage.dead_letters import DeadLetters
from transforms.storage.store import StoreError

__all__ = ["KEPT_FOR", "keep_pruned", "prune"]

#: How long letters are kept by default, in microseconds: 30 days.
KEPT_FOR = 30 * 24 * 3_600_000_000
#: The most letters that are kept, and the most bytes, about: the newest.
MOST_ROWS, MOST_BYTES = 100_000, 500_000_000
#: How often a live job looks, in microseconds; and how often it looks whether it is to stop, in seconds.
_EVERY, _REST_SECONDS = 3_600_000_000, 0.2

_log = logging.getLogger(__name__)


def prune(store: DeadLetters, now: int, kept_for: int = KEPT_FOR) -> int:
    """Delete the letters that are too old at `now`, or too many; returns how many.

    Args:
      store: whose they are.
      now: microseconds UTC.
      kept_for: how long they are kept, in microseconds; 0 keeps none.

    Raises:
      StoreError: the store cannot be read or written.
    """
    return store.prune_dead_letters(now - kept_for, MOST_ROWS, MOST_BYTES)


def keep_pruned(
    store: DeadLetters,
    kept_for: int,
    stopped: Callable[[], bool],
    *,
    clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Prune at once, and then every hour until it is told to stop; see `prune`.

    A job that keeps no letters (`kept_for` 0) leaves those of others the time that is usual. A store that refuses is
    logged: what is too old waits for the next hour.
    """
    due = clock()
    while not stopped():
        if (now := clock()) >= due:
            try:
                prune(store, now, kept_for or KEPT_FOR)
            except StoreError as error:
                _log.warning("dead letters that are too old wait for the store: %s", error)
            due = now + _EVERY
        sleep(_REST_SECONDS)
