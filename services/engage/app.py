"""The ASGI application: the parts of engage, and what every service has."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.addresses import may_read_metrics
from services.collect.limits import USUAL, Limits
from services.engage.app_receipts import RECEIPT_PATHS, RECEIPT_SCHEMAS, receipt_routes
from services.engage.body import BoundedBodies
from services.engage.desk import Desk
from services.engage.inbox.routes import inbox_routes
from services.engage.inbox.schema import INBOX_PATHS, INBOX_SCHEMAS
from services.engage.openapi import document
from services.engage.preferences import PREFERENCES_PATHS, preferences_routes
from services.engage.tracking.routes import TRACKING_PATHS, tracking_routes
from services.engage.unsubscribing import UNSUBSCRIBE_PATHS, unsubscribe_routes
from services.engage.webhooks.routes import webhook_routes
from services.engage.webhooks.schema import WEBHOOK_PATHS, WEBHOOK_SCHEMAS
from services.problems import PROBLEM_HANDLERS, HttpProblem
from services.secured import SecuredApp

__all__ = ["PARTS", "EngagePart", "engage"]

#: Paths that machines ask, whose answers no customer waits for.
_OF_MACHINES = frozenset(("/live", "/ready", "/metrics", "/openapi.json"))


class EngagePart(NamedTuple):
    """Some endpoints: their routes over a desk, and what OpenAPI says of them (`paths`, and `schemas` by name)."""

    routes: Callable[[Desk], Sequence[Route]]
    paths: Mapping[str, Any]
    schemas: Mapping[str, Any] = {}


#: All parts; another one is another line here.
PARTS: tuple[EngagePart, ...] = (
    EngagePart(tracking_routes, TRACKING_PATHS),
    EngagePart(unsubscribe_routes, UNSUBSCRIBE_PATHS),
    EngagePart(preferences_routes, PREFERENCES_PATHS),
    EngagePart(inbox_routes, INBOX_PATHS, INBOX_SCHEMAS),
    EngagePart(receipt_routes, RECEIPT_PATHS, RECEIPT_SCHEMAS),
    EngagePart(webhook_routes, WEBHOOK_PATHS, WEBHOOK_SCHEMAS),
)


def engage(desk: Desk, parts: Sequence[EngagePart] = PARTS, limits: Limits = USUAL) -> ASGIApp:
    """The service over a desk. Of the limits those of bodies count."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_: Request) -> Response:
        await desk.sink.check()
        return JSONResponse({"status": "ready"})

    async def metrics(request: Request) -> Response:
        if not may_read_metrics(request, desk.metrics_token):
            raise HttpProblem(404, "http", "Not Found")
        return PlainTextResponse("\n".join([*desk.counts.lines(), ""]), media_type="text/plain; version=0.0.4")

    async def openapi(_: Request) -> Response:
        return JSONResponse(shown)

    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for part in parts:
        paths.update(part.paths)
        schemas.update(part.schemas)
    shown = document(paths, schemas)
    health = {"/live": live, "/ready": ready, "/metrics": metrics, "/openapi.json": openapi}
    routes = [route for part in parts for route in part.routes(desk)]
    routes += [Route(path, answer, methods=["GET"]) for path, answer in health.items()]
    return _Counted(BoundedBodies(SecuredApp(routes=routes, exception_handlers=PROBLEM_HANDLERS), limits), desk)


class _Counted:
    """Counts answers by the route's path as it is declared: paths as they come hold tokens."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app = app
        self._counts = desk.counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                path = route.path if isinstance(route, Route) else "other"
                self._counts.add("requests", path=path, status=str(message["status"]))
                if path not in _OF_MACHINES:
                    self._counts.observe("latency", time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, counted)
