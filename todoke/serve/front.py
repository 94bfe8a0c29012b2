"""The process that answers HTTP: collect, the page at `/`, and whatever else customers touch, at one port."""

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from services.collect.serving import CollectSettings, collecting
from services.secured import SecuredApp
from services.server import parse_listen, serve
from services.status.app import PATHS, Status
from services.status.facts import FactsPlace
from todoke.serve.folder import keys_place
from todoke.serve.options import ServeOptions
from transforms.campaigns.release import Release
from transforms.campaigns.transforms import read_definitions, read_file
from transforms.campaigns.watcher import DefinitionsWatcher

__all__ = ["run_front"]

#: How often new definitions are looked for, in seconds: of them names of segments and of announcements are wanted here.
LOOK_SECONDS = 1.0
READY = "/ready"


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
    settings = CollectSettings(f"queue:{options.queue}", options.store, retain=options.retain)
    key_file, keys = keys_place(options, os.environ)
    settings = msgspec.structs.replace(settings, key_file=str(key_file or ""), keys=keys)

    def announced(event: str) -> bool:
        return watcher.now().routes.is_announcement(event)

    collect = opened.enter_context(collecting(settings, announced))
    status = Status(FactsPlace(options.store, options.queue, options.parts), lambda: tuple(watcher.now().segments))
    return _OnePort(collect.app, status, opened)


def _watcher(options: ServeOptions) -> DefinitionsWatcher:
    release = read_definitions(options.pointer)
    assert isinstance(release, Release), "a pointer"
    watcher = DefinitionsWatcher(msgspec.structs.replace(release, every=LOOK_SECONDS), read_file)
    watcher.start()
    return watcher


class _OnePort:
    """Each path to the application that answers it; collect has all that is nobody else's."""

    def __init__(self, collect: ASGIApp, status: Status, opened: ExitStack) -> None:
        self._collect = collect
        self._status = status
        ready = SecuredApp(routes=[Route(READY, self._ready)], lifespan=_closing(opened))
        self._ready_app = ready
        self._others: dict[str, ASGIApp] = {READY: ready, **dict.fromkeys(PATHS, status.app)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] == "lifespan":
            await self._ready_app(scope, receive, send)
            return
        await self._others.get(scope["path"], self._collect)(scope, receive, send)

    async def _ready(self, request: Request) -> Response:
        """Whether calls are taken and applied: collect's own answer, and the job's state."""
        fault = self._status.fault()
        if not fault:
            return await _asked(self._collect, request)
        said = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": fault}
        headers = {"Cache-Control": "no-store"}
        return JSONResponse(said | {"code": "job", "message": fault}, 503, headers, "application/problem+json")


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
