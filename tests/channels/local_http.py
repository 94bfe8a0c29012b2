"""A server on this machine that keeps what it is sent and answers as it is told."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple

__all__ = ["LocalHttp", "Request", "local_http"]


class Request(NamedTuple):
    """One POST; the names of headers are in small letters."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body read as JSON."""
        return json.loads(self.body)


class LocalHttp:
    """`requests` came; the next ones are answered by `answers`, and then by 200.

    An answer is a status, headers, and a body or what makes one of the request.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Request] = []
        self.answers: list[tuple[int, dict[str, str], bytes | Callable[[Request], bytes]]] = []


@contextmanager
def local_http() -> Iterator[LocalHttp]:
    """Serve until the end of the block. The status 0 hangs up without an answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            site.requests.append(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status, headers, answer = site.answers.pop(0) if site.answers else (200, {}, b"{}")
            if status == 0:
                self.close_connection = True
                return
            if callable(answer):
                answer = answer(site.requests[-1])
            self.send_response(status)
            for name, value in {"content-length": str(len(answer)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = LocalHttp(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
    thread.join(10)
