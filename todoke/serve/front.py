"""The process that answers HTTP: what apps send, what customers touch, and a page for whoever runs it, at one port."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, closing
from functools import partial
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from services.addresses import METRICS_VARIABLE, Proxy
from services.collect.limits import USUAL
from services.collect.serving import CollectSettings, collecting
from services.engage.serving import EngageSettings, engaging
from services.problems import PROBLEM_HANDLERS, RETRY_AFTER, HttpProblem, problem_response
from services.secured import SecuredApp
from services.server import parse_listen, serve
from services.status.app import PATHS, Status
from services.status.facts import FactsPlace
from services.store_metrics import METRICS, StoreMetrics
from todoke.serve.folder import keys_place
from todoke.serve.options import ServeOptions
from transforms.campaigns.release import Release
from transforms.campaigns.transforms import read_definitions, read_file
from transforms.campaigns.watcher import DefinitionsWatcher

__all__ = ["run_front"]

#: How often new definitions are looked for, in seconds.
LOOK_SECONDS = 1.0
READY = "/ready"
#: Paths that collect and engage both have: collect's as they are, engage's under this one.
ENGAGE = "/engage"


def run_front(options: ServeOptions) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
      CannotListen: the port is taken.
    """
    serve(partial(_loaded, options), parse_listen(options.listen))


def _loaded(options: ServeOptions) -> ASGIApp:
    """What a worker serves."""
    opened = ExitStack()
    watcher = _watcher(options)
    opened.callback(watcher.stop)
    file, keys = keys_place(options, os.environ)
    key_file = str(file or "")

    def announced(event: str) -> bool:
        return watcher.now().routes.is_announcement(event)

    proxy = Proxy(options.address_header)
    token = os.environ.get(METRICS_VARIABLE, "")
    known: dict[str, Any] = {"keys": keys, "key_file": key_file, "metrics_token": token, "otlp": options.otlp}
    limits = msgspec.structs.replace(USUAL, proxy=proxy)
    taken = CollectSettings(f"queue:{options.queue}", options.store, retain=options.retain, limits=limits, **known)
    touched = EngageSettings(options.store, touches=f"queue:{options.touches}", proxy=proxy, **known)
    collect = opened.enter_context(collecting(taken, announced)).app
    engage = opened.enter_context(engaging(touched, os.environ, watcher.now))
    place = FactsPlace(options.store, options.queue, options.parts)
    status = Status(place, lambda: tuple(watcher.now().segments))
    metrics = opened.enter_context(closing(StoreMetrics(options.store, token)))
    return _OnePort(collect, engage, status, metrics, opened)


def _watcher(options: ServeOptions) -> DefinitionsWatcher:
    release = read_definitions(options.pointer)
    assert isinstance(release, Release), "a pointer"
    watcher = DefinitionsWatcher(msgspec.structs.replace(release, every=LOOK_SECONDS), read_file)
    watcher.start()
    return watcher


class _OnePort:
    """Each path to the application that answers it; engage has all that is nobody else's."""

    def __init__(
        self, collect: Starlette, engage: ASGIApp, status: Status, metrics: StoreMetrics, opened: ExitStack
    ) -> None:
        self._collect, self._engage, self._status = collect, engage, status
        self._own = SecuredApp(
            routes=[Route(READY, self._ready)], exception_handlers=PROBLEM_HANDLERS, lifespan=_closing(opened)
        )
        of_collect = (route.path for route in collect.routes if isinstance(route, Route))
        self._known: Mapping[str, ASGIApp] = {
            **dict.fromkeys(of_collect, collect),
            **dict.fromkeys(PATHS, status.app),
            METRICS: metrics.app,
            READY: self._own,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] == "lifespan":
            await self._own(scope, receive, send)
            return
        path = scope["path"]
        if path.startswith(ENGAGE) and path.removeprefix(ENGAGE) in self._known:
            scope = {**scope, "path": path.removeprefix(ENGAGE)}
            path = ""
        await self._known.get(path, self._engage)(scope, receive, send)

    async def _ready(self, request: Request) -> Response:
        """Whether calls are taken and applied: what collect and engage answer, and the job's state."""
        if fault := self._status.fault():
            return problem_response(HttpProblem(503, "job", fault, retry_after=RETRY_AFTER))
        for app in (self._engage, self._collect):
            answer = await _asked(app, request)
            if answer.status_code != 200:
                break
        return answer


async def _asked(app: ASGIApp, request: Request) -> Response:
    """What another application answers to the same request."""
    status, headers, parts = 500, [], []

    async def note(message: Any) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], message["headers"]
        else:
            parts.append(message.get("body", b""))

    await app(request.scope, request.receive, note)
    answer = Response(b"".join(parts), status)
    answer.raw_headers = list(headers)
    return answer


def _closing(opened: ExitStack) -> Any:
    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        with opened:
            yield

    return lifespan
