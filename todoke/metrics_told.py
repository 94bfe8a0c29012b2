"""`todoke metrics --serve` and `--otlp`: what a store has counted, for Prometheus and collectors of OpenTelemetry."""

import os
import threading

from todoke.extras import import_with
from todoke.serve.supervisor import stop_signals
from todoke.store import open_asked_reader
from transforms.logs import write_log
from transforms.metrics.running import StoredSums
from transforms.metrics.sending import check_otlp, instance_of, keep_sending

__all__ = ["send_metrics", "serve_metrics"]


def serve_metrics(url: str, listen: str) -> None:
    """Answer `/metrics` until SIGTERM or SIGINT.

    Raises:
      NotStarted: the store or the address cannot be, or the extra is missing.
    """
    server = import_with("serve", "services.server")
    metrics = import_with("serve", "services.store_metrics")
    addresses = import_with("serve", "services.addresses")
    found = server.parse_listen(listen)
    with open_asked_reader(url):
        pass
    with write_log("text", job="metrics"):
        metrics.serve_metrics(url, found, os.environ.get(addresses.METRICS_VARIABLE, ""))


def send_metrics(url: str) -> None:
    """Send what the job counts to a collector until SIGTERM or SIGINT.

    Raises:
      NotStarted: the store cannot be, the extra is missing, or a variable cannot be.
    """
    check_otlp()
    with open_asked_reader(url):
        pass
    stopped = threading.Event()
    with write_log("text", job="metrics"), stop_signals(stopped):
        keep_sending(StoredSums(url).of_job, "todoke-job", instance_of(url), stopped.is_set)
