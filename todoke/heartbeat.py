"""How a live job on this machine does: a line a minute, and what it has in hand brought to an end when it stops."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from transforms.channels.held_up import HeldUp
from transforms.events.live.feed import Feeds
from transforms.events.live.inflight import InFlight
from transforms.events.plain import counted
from transforms.events.progress import Progress
from transforms.job import Job
from transforms.logs import fields

__all__ = ["DRAIN_SECONDS", "Heartbeat"]

_log = logging.getLogger(__name__)

#: How long a run that is to stop waits for what is in flight.
DRAIN_SECONDS = 15.0
#: How long nothing must have been in flight or been sent before a stopping run counts as at rest.
REST_SECONDS = 0.5


class Heartbeat:
    """What the steps of a job have in hand in this process."""

    def __init__(self, job: Job) -> None:
        self._in_flight = job.part(InFlight)
        self._feeds = job.part(Feeds)
        self._progress = job.part(Progress)
        self._held_up = job.part(HeldUp)

    @contextmanager
    def beating(self, seconds: float) -> Iterator[None]:
        """Tell so often, as long as the context lasts."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(seconds):
                self.tell()
                self._held_up.tell()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def tell(self) -> None:
        """Log how far the job is, and what waits."""
        read, sends = self._progress.read, self._progress.sends
        flight, oldest, waiting = len(self._in_flight), self._in_flight.oldest(), self._held_up.counts()
        backlog, more = self._feeds.backlog(), {}
        if backlog is not None:
            since = 0.0 if backlog.since is None else max(0.0, time.time() - backlog.since / 1_000_000)
            more = {"queued": backlog.messages, "queued_oldest_s": round(since, 3)}
        said = ", ".join(f"{channel} {count:,}" for channel, count in waiting.items())
        _log.info(
            "%s",
            f"read {read:,}  sends {sends:,}  in flight {flight:,}, the oldest for {oldest:.0f} s"
            + (f"  queued {backlog.messages:,}, the oldest for {since:.0f} s" if backlog is not None else "")
            + (f"  waiting for providers {sum(waiting.values()):,} ({said})" if waiting else ""),
            extra=fields(read=read, sends=sends, in_flight=flight, oldest_s=round(oldest, 3), waiting=waiting, **more),
        )

    def moved(self) -> tuple[int, int, int]:
        """Another one whenever a message was accounted for, a send ended, or a user was told of an announcement."""
        return self._in_flight.settled, self._progress.sends, self._progress.users

    def waiting(self) -> int:
        """How many messages are in flight."""
        return len(self._in_flight)

    def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Read nothing more, and bring what is in flight to its end: inputs first, then the sends that they led to.

        It takes `seconds` at most.
        """
        held = len(self._in_flight)
        _log.info("stopping; %s in flight", counted(held, "message"), extra=fields(in_flight=held))
        self._feeds.pause()
        until = time.monotonic() + seconds
        sends, rested = self._progress.sends, time.monotonic()
        while time.monotonic() < until and time.monotonic() < rested + REST_SECONDS:
            if self._in_flight or self._progress.delivering or self._progress.sends != sends:
                sends, rested = self._progress.sends, time.monotonic()
            time.sleep(0.05)
        if held := len(self._in_flight):
            said = counted(held, "message")
            _log.warning("stopped with %s in flight; they come again", said, extra=fields(in_flight=held))
        self._feeds.close()
