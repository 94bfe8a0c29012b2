"""A live job on one machine makes its own seeds from the store's archive, for what a publication asks anew.

It watches the definitions that the job has. Once an activation is over, each waiting user gets a seed. It looks again
until nobody waits: a message that lagged behind makes a seed end as `again`, and a user who comes late waits like the
others. Times are microseconds UTC.
"""

import logging
import time
from collections.abc import Callable

from beam_pipelines.options import CONTROL_RATE, Config
from todoke.seeds import seed_from_archive
from transforms.campaigns.load import Definitions
from transforms.campaigns.transforms import watcher_of
from transforms.events.plain import counted
from transforms.events.times import write_time
from transforms.job import Job
from transforms.logs import fields
from transforms.segments.values import HOUR, MINUTE, SECOND
from transforms.storage.open import open_store
from transforms.storage.store import Store
from transforms.users.seeding import Seeding

__all__ = ["Looks", "keep_seeded"]

_log = logging.getLogger(__name__)

#: How long after an activation its seeds are made: by then most of what arrived before it has been applied.
OVER = 5 * SECOND
#: Seconds between looks at the definitions, and between asking whether to stop.
_LOOK, _NAP = 2.0, 0.2
#: The pause before the store is searched again, after somebody waited or nobody did; the second doubles each time.
_SOON, _LATER, _LATEST = 10 * SECOND, MINUTE, HOUR


class Looks:
    """When to search again for users who wait for an activation."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}
        self._pause: dict[int, int] = {}

    def due(self, definitions: Definitions, now: int) -> set[int]:
        """The activations whose users must be searched for now."""
        over = {each.at for each in definitions.awaited or () if each.at + OVER <= now}
        return {at for at in over if self._next.get(at, 0) <= now}

    def note(self, wanted: set[int], done: Seeding, now: int) -> None:
        """Note how many a search found."""
        for at in wanted:
            if done.seeded[at] or done.empty[at]:
                self._next[at], self._pause[at] = now + _SOON, _LATER
            else:
                pause = self._pause.get(at, _LATER)
                self._next[at], self._pause[at] = now + pause, min(2 * pause, _LATEST)


def keep_seeded(config: Config, job: Job, stopped: Callable[[], bool]) -> None:
    """Seed the users of a live job's store, by the definitions that the job has, until `stopped` says so.

    Raises:
      StoreError, ControlFailed: the store cannot be read, or what it is told cannot be published.
    """
    assert config.store is not None
    store, known, looks = open_store(config.store), watcher_of(config.definitions, job), Looks()
    topic = None if config.control_topic is None else f"pubsub:{config.control_topic}"
    while not stopped():
        _look(store, known.now(), topic, looks, stopped)
        until = time.monotonic() + _LOOK
        while not stopped() and time.monotonic() < until:
            time.sleep(_NAP)
    store.close()


def _look(store: Store, definitions: Definitions, topic: str | None, looks: Looks, stopped: Callable[[], bool]) -> None:
    if not (wanted := looks.due(definitions, time.time_ns() // 1000)):
        return
    done = Seeding()
    seed_from_archive(store, definitions, wanted, topic, CONTROL_RATE, done=done, stopped=stopped)
    looks.note(wanted, done, time.time_ns() // 1000)
    for at in sorted(wanted):
        if seeds := done.seeded[at] + done.empty[at]:
            _log.info(
                "%s for conditions that count from %s",
                counted(seeds, "seed"),
                write_time(at),
                extra=fields(seeds=seeds),
            )
