"""A live job on one machine makes its own seeds from the store's archive, for what a publication asks anew, and keeps
in which minutes users wait for them.

It watches the definitions that the job has. Once an activation is over, each waiting user gets a seed. It looks again
until nobody waits: a message that lagged behind makes a seed end as `again`, and a user who comes late waits like the
others. A job that is to make none looks too, and counts. Times are microseconds UTC.
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
from transforms.storage.rows import MetricRow
from transforms.storage.store import StoreError
from transforms.users.seeding import Seeding, awaited
from transforms.users.tally import series_for

__all__ = ["Looks", "keep_seeded", "keep_warming"]

_log = logging.getLogger(__name__)

#: How long after an activation its seeds are made: by then most of what arrived before it has been applied.
OVER = 5 * SECOND
#: Seconds between looks at the definitions, and between asking whether to stop.
_LOOK, _NAP = 2.0, 0.2
#: The pause before the store is searched again, after somebody waited or nobody did; the second doubles each time.
SOON, _LATER, _LATEST = 10 * SECOND, MINUTE, HOUR


class Looks:
    """When to search again for users who wait for an activation, and for which somebody does.

    Args:
      started: when the job was; of an activation before that nobody is known to wait until a search finds them.
      soon: the pause after somebody waited.
    """

    def __init__(self, started: int = 0, soon: int = SOON) -> None:
        self._started = started
        self._soon = soon
        self._next: dict[int, int] = {}
        self._pause: dict[int, int] = {}
        self._found: dict[int, bool] = {}
        self._search = Seeding()

    def due(self, definitions: Definitions, now: int) -> set[int]:
        """The activations whose users must be searched for now."""
        over = {each.at for each in definitions.awaited or () if each.at + OVER <= now}
        return {at for at in over if self._next.get(at, 0) <= now}

    def begin(self) -> Seeding:
        """Begin a search, which counts here whom it finds."""
        self._search = Seeding()
        return self._search

    def waiting(self, definitions: Definitions, now: int) -> frozenset[int]:
        """The activations for which somebody waits, as far as searches have found; one that has just come, too."""
        over = (each.at for each in definitions.awaited or () if each.at <= now)
        return frozenset(at for at in over if _has_found(self._search, at) or self._found.get(at, at >= self._started))

    def note(self, wanted: set[int], done: Seeding, now: int) -> None:
        """Note how many a search found."""
        for at in wanted:
            self._found[at] = _has_found(done, at)
            if self._found[at]:
                self._next[at], self._pause[at] = now + self._soon, _LATER
            else:
                pause = self._pause.get(at, _LATER)
                self._next[at], self._pause[at] = now + pause, min(2 * pause, _LATEST)


def _has_found(search: Seeding, at: int) -> bool:
    return bool(search.seeded[at] or search.empty[at])


def keep_seeded(config: Config, job: Job, looks: Looks, stopped: Callable[[], bool]) -> None:
    """Seed the users of a live job's store, by the definitions that the job has, until `stopped` says so.

    With `config.seed` False it only looks whether they wait.

    Raises:
      StoreError, ControlFailed: the store cannot be read, or what it is told cannot be published.
    """
    assert config.store is not None
    store, known = open_store(config.store), watcher_of(config.definitions, job)
    topic = None if config.control_topic is None else f"pubsub:{config.control_topic}"
    while not stopped():
        if wanted := looks.due(known.now(), _now()):
            done = looks.begin()
            if config.seed:
                seed_from_archive(store, known.now(), wanted, topic, CONTROL_RATE, done=done, stopped=stopped)
                _tell(wanted, done)
            else:
                done.empty.update(awaited(store.scan_users(), known.now()))
            looks.note(wanted, done, _now())
        _rest(_LOOK, stopped)
    store.close()


def keep_warming(config: Config, job: Job, looks: Looks, stopped: Callable[[], bool]) -> None:
    """Count each minute in which users wait for seeds, by segment, until `stopped` says so.

    What the store refuses is logged and lost.
    """
    assert config.store is not None
    store, known, written = open_store(config.store), watcher_of(config.definitions, job), 0
    while not stopped():
        minute = _now() // MINUTE * MINUTE
        definitions = known.now()
        segments = definitions.index.waiting(looks.waiting(definitions, _now())) if minute > written else ()
        if segments:
            rows = [MetricRow(series_for("warming", (segment,)), minute, 1) for segment in segments]
            try:
                store.add_metrics(rows)
                written = minute
            except StoreError as error:
                _log.warning("which segments wait for seeds could not be written: %s", error)
        _rest(_LOOK, stopped)
    store.close()


def _now() -> int:
    return time.time_ns() // 1000


def _rest(seconds: float, stopped: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not stopped() and time.monotonic() < until:
        time.sleep(_NAP)


def _tell(wanted: set[int], done: Seeding) -> None:
    for at in sorted(wanted):
        if seeds := done.seeded[at] + done.empty[at]:
            _log.info(
                "%s for conditions that count from %s",
                counted(seeds, "seed"),
                write_time(at),
                extra=fields(seeds=seeds),
            )
