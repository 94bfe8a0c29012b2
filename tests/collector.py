"""A collector of OpenTelemetry on this machine: it takes OTLP over HTTP, and decodes it by its own protocol."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

__all__ = ["Collector", "collecting", "labels", "until"]


class Collector:
    """What came: requests in their order. It answers with `status`."""

    def __init__(self) -> None:
        self.requests: list[ExportMetricsServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.url = ""

    def services(self) -> set[str]:
        """The names of those who sent."""
        return {_resource(each)["service.name"] for sent in self.requests for each in sent.resource_metrics}

    def resources(self) -> list[dict[str, str]]:
        return [_resource(each) for sent in self.requests for each in sent.resource_metrics]

    def newest(self, service: str) -> dict[str, Any]:
        """The metrics of the last request of a service, by name."""
        found: dict[str, Any] = {}
        for sent in self.requests:
            for each in sent.resource_metrics:
                if _resource(each)["service.name"] == service:
                    found = {metric.name: metric for scope in each.scope_metrics for metric in scope.metrics}
        return found


def _resource(of: Any) -> dict[str, str]:
    return {each.key: each.value.string_value for each in of.resource.attributes}


def labels(point: Any) -> dict[str, str]:
    """The attributes of a point."""
    return {each.key: each.value.string_value for each in point.attributes}


def until(holds: Callable[[], Any], what: str = "it") -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens as long as the context lasts."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert (self.path, self.headers["Content-Type"]) == ("/v1/metrics", "application/x-protobuf")
            if collector.status == 200:
                collector.headers.append(dict(self.headers))
                collector.requests.append(ExportMetricsServiceRequest.FromString(body))
            self.send_response(collector.status)
            self.end_headers()
            self.wfile.write(ExportMetricsServiceResponse().SerializeToString())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
