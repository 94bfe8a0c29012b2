"""How far a live job on one machine is behind: looked at every second, and kept in the table of metrics; and what
waits in its queue.

Times are microseconds since the epoch, UTC.
"""

import logging
import time
from collections.abc import Callable

from transforms.events.live.feed import Backlog, Feeds, now
from transforms.events.live.inflight import InFlight
from transforms.events.live.pubsub import IDLE
from transforms.segments.values import MINUTE
from transforms.storage.metrics import Metrics
from transforms.storage.rows import MetricRow
from transforms.storage.store import StoreError
from transforms.users.tally import Tallies, series_for

__all__ = ["keep_behind", "time_behind"]

#: Between two looks, and between two writes of what they found, in seconds. A process that dies loses the last looks.
LOOK_SECONDS, WRITE_SECONDS = 1.0, 10.0
#: How often a job that is to stop is looked after, in seconds.
_REST_SECONDS = 0.1

_log = logging.getLogger(__name__)


def time_behind(in_flight: InFlight, feeds: Feeds, moment: int) -> int:
    """For how long the oldest message that was published has waited until now, whatever for; 0 where none waits.

    What was handed on is known by its time. Of what may wait at the broker the watermark tells, which stands still
    while nothing can come, and else is `IDLE` behind the clock.
    """
    oldest, watermark = in_flight.oldest_published(), feeds.watermark()
    unseen = moment - watermark - IDLE if watermark else 0
    return max(0, unseen, moment - oldest if oldest is not None else 0)


def keep_behind(
    in_flight: InFlight,
    feeds: Feeds,
    store: Metrics,
    stopped: Callable[[], bool],
    clock: Callable[[], int] = now,
) -> None:
    """Look and write until it is told to stop. What the store refuses is logged and lost."""
    tallies, looked, written = Tallies(MINUTE), 0.0, time.monotonic()
    while not stopped():
        if time.monotonic() >= looked + LOOK_SECONDS:
            looked, moment = time.monotonic(), clock()
            tallies.observe("behind", micros=time_behind(in_flight, feeds, moment), at=moment)
        if looked >= written + WRITE_SECONDS:
            _write(store, tallies, feeds.backlog(), clock())
            tallies, written = Tallies(MINUTE), looked
        time.sleep(_REST_SECONDS)
    _write(store, tallies, feeds.backlog(), clock())


def _write(store: Metrics, tallies: Tallies, backlog: Backlog | None, moment: int) -> None:
    try:
        store.add_metrics(tallies.rows(moment))
        if backlog is not None:  # as it is now, whole, in a window of its own
            since = moment if backlog.since is None else backlog.since
            queued = MetricRow(series_for("queued", ()), 0, backlog.messages)
            store.write_metrics([queued, MetricRow(series_for("queued_since", ()), 0, since)])
    except StoreError as error:
        _log.warning("how far the job is behind could not be written: %s", error)
