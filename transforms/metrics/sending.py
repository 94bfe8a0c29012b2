"""Sending what was counted to a collector of OpenTelemetry, every so often, from a thread that nothing waits for.

Only the newest sums are sent, so that nothing queues while a collector is away: they say all that was counted
meanwhile. Times are microseconds UTC.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING

from transforms.errors import NotStarted, WrongUse
from transforms.events.live.feed import now
from transforms.events.plain import quoted
from transforms.metrics.families import Labels
from transforms.storage.store import StoreError

if TYPE_CHECKING:
    from transforms.metrics.otlp import OtlpExporter

__all__ = ["CountedSums", "check_otlp", "instance_of", "keep_sending", "sending"]

#: The variables of OpenTelemetry that are read here; the exporter reads those of its own.
INTERVAL, PROTOCOL = "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_EXPORTER_OTLP_PROTOCOL"
#: What the protocol may be.
_HTTP = "http/protobuf"
#: How often sums are sent where nothing is said, in milliseconds, as OpenTelemetry has it.
_USUAL = 60_000
#: How long a process that ends waits for what it sends last, in seconds.
END_SECONDS = 1.0
_NAP = 0.2

#: Gives the sums that are to be sent, and since when they count.
CountedSums = Callable[[], tuple[Mapping[tuple[str, Labels], int], int]]

_log = logging.getLogger(__name__)


def check_otlp() -> None:
    """See that sums could be sent, whether a collector is there or not.

    Raises:
      NotStarted: the extra is not installed.
      WrongUse: a variable of OpenTelemetry cannot be.
    """
    _exporter("todoke", "").close()
    _interval()


def instance_of(store: str) -> str:
    """What tells the job of a store from other jobs: the same each time that it is started."""
    return blake2b(store.encode(), digest_size=4).hexdigest()


def keep_sending(counted: CountedSums, service: str, instance: str, stopped: Callable[[], bool]) -> None:
    """Send until `stopped` says so, and then once more if a collector is there.

    A collector, or a store, that is away is told once, and again when it is back.

    Args:
      counted: the sums.
      service: the `service.name` of OpenTelemetry.
      instance: tells this one from others of the name.
      stopped: is asked several times a second.
    """
    exporter, pause, is_away = _exporter(service, instance), _interval(), False
    wait = threading.Event()  # that nobody sets: a sleep
    try:
        while True:
            waited = 0.0
            while not (ends := stopped()) and waited < pause:
                wait.wait(min(_NAP, pause))
                waited += min(_NAP, pause)
            if ends and is_away:
                return
            fault = _sent(exporter, counted)
            was_away, is_away = is_away, bool(fault)
            if was_away and not is_away:
                _log.info("metrics of %s are sent again", service)
            elif is_away and not was_away:
                _log.warning("metrics of %s could not be sent; all are sent when that works again: %s", service, fault)
            if ends:
                return
    finally:
        exporter.close()


def _sent(exporter: "OtlpExporter", counted: CountedSums) -> str:
    """Send once; returns why that failed, or nothing."""
    try:
        sums, since = counted()
    except StoreError as error:
        return str(error)
    return "" if exporter.send(sums, since, now()) else exporter.fault or "the collector did not take them"


@contextmanager
def sending(counted: CountedSums, service: str, instance: str) -> Iterator[None]:
    """Send from a thread of its own as long as the context lasts; see `keep_sending`."""
    ending = threading.Event()
    thread = threading.Thread(
        target=keep_sending, args=(counted, service, instance, ending.is_set), name="otlp", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(END_SECONDS)


def _exporter(service: str, instance: str) -> "OtlpExporter":
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL") or os.environ.get(PROTOCOL) or _HTTP
    if protocol != _HTTP:
        raise WrongUse(f"{PROTOCOL}: expected {_HTTP}; found {quoted(protocol)}")
    try:
        from transforms.metrics.otlp import OtlpExporter  # noqa: PLC0415 - slow, and an extra

        return OtlpExporter(service, instance)
    except ModuleNotFoundError as error:
        raise NotStarted(f"{error.name} is not installed: pip install 'todoke[otel]'") from error


def _interval() -> float:
    """In seconds.

    Raises:
      WrongUse: it is none.
    """
    said = os.environ.get(INTERVAL, "").strip() or str(_USUAL)
    if not said.isascii() or not said.isdigit() or not 1 <= int(said) <= 86_400_000:
        raise WrongUse(f"{INTERVAL}: expected milliseconds, 1 to 86400000; found {quoted(said)}")
    return int(said) / 1000
