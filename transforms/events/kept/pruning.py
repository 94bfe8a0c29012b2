"""How long dead letters are kept, and how many; and deleting what is beyond that, whether others arrive or not."""

import time
from collections.abc import Callable

from transforms.storage.dead_letters import DeadLetters

__all__ = ["KEPT_FOR", "keep_pruned", "prune"]

#: How long letters are kept by default, in microseconds: 30 days.
KEPT_FOR = 30 * 24 * 3_600_000_000
#: The most letters that are kept, and the most bytes, about: the newest.
MOST_ROWS, MOST_BYTES = 100_000, 500_000_000
#: How often a live job looks, in microseconds; and how often it looks whether it is to stop, in seconds.
_EVERY, _REST_SECONDS = 3_600_000_000, 0.2


def prune(store: DeadLetters, now: int, kept_for: int = KEPT_FOR) -> int:
    """Delete the letters that are too old at `now`, or too many; returns how many.

    Args:
      store: whose they are.
      now: microseconds UTC.
      kept_for: how long they are kept, in microseconds. A job that keeps none (0) leaves those of others their time.

    Raises:
      StoreError: the store cannot be read or written.
    """
    return store.prune_dead_letters(now - (kept_for or KEPT_FOR), MOST_ROWS, MOST_BYTES)


def keep_pruned(
    store: DeadLetters,
    kept_for: int,
    stopped: Callable[[], bool],
    *,
    clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Prune at once, and then every hour until it is told to stop; see `prune`."""
    due = clock()
    while not stopped():
        if (now := clock()) >= due:
            prune(store, now, kept_for)
            due = now + _EVERY
        sleep(_REST_SECONDS)
