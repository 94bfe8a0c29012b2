"""What a store has counted, at `/metrics`, for Prometheus: of a live job wherever it runs, and of its services."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from services.addresses import may_read_metrics
from services.problems import PROBLEM_HANDLERS, HttpProblem, away
from services.secured import SecuredApp
from services.server import Listen, serve
from transforms.metrics.prometheus import CONTENT_TYPE, exposition
from transforms.metrics.running import StoredSums
from transforms.storage.store import StoreError

__all__ = ["METRICS", "StoreMetrics", "serve_metrics"]

METRICS = "/metrics"
#: What was read is shown for so long, and so many times as long as reading it took, in seconds.
FRESH_SECONDS, FRESH_TIMES = 1.0, 10.0


class StoreMetrics:
    """The counts of a store. A store that is away is 503, and opened when it is back.

    Args:
      store: its URL.
      token: who may read from elsewhere than this machine; empty: nobody.
    """

    def __init__(self, store: str, token: str = "") -> None:
        self._stored = StoredSums(store)
        self._token = token
        self._lock, self._reading = asyncio.Lock(), threading.Lock()
        self._shown = ""
        self._until = 0.0
        self.app = SecuredApp(
            routes=[Route(METRICS, self._answer, methods=["GET"])],
            exception_handlers=PROBLEM_HANDLERS,
            lifespan=self._lifespan,
        )

    def close(self) -> None:
        """Close the store."""
        self._stored.close()

    async def _answer(self, request: Request) -> Response:
        if not may_read_metrics(request, self._token):
            raise HttpProblem(404, "http", "Not Found")
        async with self._lock:  # one request at a time reads, and the others of the moment have the same
            if time.monotonic() >= self._until:
                began = time.monotonic()
                try:
                    self._shown = await asyncio.to_thread(self._read)
                except StoreError as error:
                    raise away(f"the store cannot be read now: {error}") from None
                ended = time.monotonic()
                self._until = ended + max(FRESH_SECONDS, FRESH_TIMES * (ended - began))
        return PlainTextResponse(self._shown, media_type=CONTENT_TYPE)

    def _read(self) -> str:
        with self._reading:  # whoever asked may be gone before it has been read
            return "".join(f"{line}\n" for line in exposition(self._stored.read()))

    @asynccontextmanager
    async def _lifespan(self, _: object) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self.close()


def serve_metrics(store: str, listen: Listen, token: str) -> None:
    """Serve `/metrics` of a store until SIGTERM or SIGINT.

    Raises:
      CannotListen: the address is taken, or none of this machine.
    """
    serve(partial(_loaded, store, token), listen, up=_said)


def _loaded(store: str, token: str) -> ASGIApp:
    return StoreMetrics(store, token).app


def _said(found: Listen) -> None:
    print(f"metrics: {found.url}{METRICS}", flush=True)  # noqa: T201 - what a command says
