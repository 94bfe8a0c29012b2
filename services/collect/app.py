"""The ASGI application: routes, and what becomes of a request."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from services.addresses import may_read_metrics
from services.collect.answers import BadCall, pixel, preflight, taken, with_origin
from services.collect.calls import Bad, Sent, never, prepared
from services.collect.keys import Keys, KeySource
from services.collect.letters import Letters
from services.collect.limits import USUAL, AddressGate, HeldBytes, Limits, Room
from services.collect.openapi import document
from services.collect.request import (
    BATCH_BYTES,
    BATCH_CALLS,
    BATCHES,
    BEACON,
    CALL_BYTES,
    KINDS,
    PIXEL_KINDS,
    PIXELS,
    Body,
    basic_key,
    read_body,
    read_pixel,
)
from services.counts import ServiceCounts
from services.json_body import read_json
from services.problems import PROBLEM_HANDLERS, HttpProblem, problem_response
from services.secured import SecuredApp
from services.sink import KeyedPayload, Sink
from transforms.events.dead_letter import DeadLetter
from transforms.events.decode import Cause, Refused

__all__ = ["Collect", "now"]


#: Calls that are prepared before another request has its turn.
AT_ONCE = 200

_HELPS = {
    "requests": "Requests by the status of the answer",
    "calls": "Calls that were taken, by source",
    "refused": "Calls that were refused, by source and cause",
    "latency": "From a request to its answer",
}


class _Key(msgspec.Struct, rename="camel"):
    """Of a call by itself, what is asked before the call is looked at."""

    write_key: object = None


class _Come(NamedTuple):
    """Calls with what stood around them. `key` is the body's or the query's."""

    calls: Sequence[bytes]
    around: Body
    kind: str | None
    key: str


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1_000


class Collect:
    """The service; `app` is its ASGI application.

    Args:
      keys: who may send.
      sink: where calls go.
      letters: where refused ones are kept.
      clock: microseconds since the epoch.
      announced: says of an event's name whether it may come without ids, for everybody.
      limits: what senders may take.
      metrics_token: who may read `/metrics` from elsewhere than this machine; empty: nobody.

    Attributes:
      counts: what was counted.
    """

    def __init__(
        self,
        keys: Keys,
        sink: Sink,
        letters: Letters,
        *,
        clock: Callable[[], int] = now,
        announced: Callable[[str], bool] = never,
        limits: Limits = USUAL,
        metrics_token: str = "",
    ) -> None:
        self._keys = keys
        self._sink = sink
        self._letters = letters
        self._clock = clock
        self._announced = announced
        self._body_seconds = limits.body_seconds
        self._room = Room(limits.held_bytes)
        self._gate = AddressGate(limits)
        self._metrics_token = metrics_token
        self.counts = ServiceCounts("collect", _HELPS)
        self.app = SecuredApp(routes=self._routes(), exception_handlers=PROBLEM_HANDLERS)

    def _routes(self) -> list[Route]:
        sent = [(path, self._batch) for path in BATCHES] + [(BEACON, self._beacon)]
        sent += [(f"/v1/{word}", self._call) for word in KINDS]
        routes = [(path, answer, ("POST", "OPTIONS")) for path, answer in sent]
        routes += [(f"{path}/{kind}", self._pixel, ("GET", "OPTIONS")) for path in PIXELS for kind in PIXEL_KINDS]
        others = {
            "/live": self._live,
            "/ready": self._ready,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
        }
        return [
            *(Route(f"{path}{end}", answer, methods=how) for path, answer, how in routes for end in ("", "/")),
            *(Route(path, answer, methods=["GET"]) for path, answer in others.items()),
        ]

    async def _call(self, request: Request) -> Response:
        async def come(held: HeldBytes) -> _Come:
            body = await read_body(request, CALL_BYTES, held, self._body_seconds)
            return _Come([body], Body(), KINDS[_last(request)], _said_key(read_json(body, _Key).write_key))

        return await self._answered(request, come)

    async def _batch(self, request: Request) -> Response:
        return await self._answered(request, lambda held: self._come_in_batch(request, held, ""))

    async def _beacon(self, request: Request) -> Response:
        key = request.query_params.get("writeKey", "")
        return await self._answered(request, lambda held: self._come_in_batch(request, held, key))

    async def _come_in_batch(self, request: Request, held: HeldBytes, key: str) -> _Come:
        around = read_json(await read_body(request, BATCH_BYTES, held, self._body_seconds), Body)
        if around.batch is None:
            raise HttpProblem(400, "no_batch", "the body needs `batch`, a list of calls")
        if len(around.batch) > BATCH_CALLS:
            raise HttpProblem(413, "too_many", f"a batch has at most {BATCH_CALLS:,} calls")
        return _Come([bytes(raw) for raw in around.batch], around, None, _said_key(around.write_key) or key)

    async def _pixel(self, request: Request) -> Response:
        if request.method == "HEAD":  # whoever looks whether it is there has seen nothing
            return pixel()

        async def come(_: HeldBytes) -> _Come:
            kind = _last(request)
            body = read_pixel(request.query_params, kind)
            key = _said_key(read_json(body, _Key).write_key) or request.query_params.get("writeKey", "")
            return _Come([body], Body(), kind, key)

        return await self._answered(request, come, pixel)

    async def _answered(
        self,
        request: Request,
        come: Callable[[HeldBytes], Awaitable[_Come]],
        good: Callable[[], Response] | None = None,
    ) -> Response:
        """The answer to a request of calls, whatever becomes of it; `good` makes another one in place of 200's."""
        began = time.perf_counter()
        self._keys.refresh()
        origin = request.headers.get("origin")
        allowed = origin is not None and self._keys.allows(origin)
        if request.method == "OPTIONS":
            answer = preflight(allowed, request.headers.get("access-control-request-headers"))
        else:
            try:
                address = self._gate.admit(request)
                with HeldBytes(self._room) as held:
                    found = await come(held)
                    answer = await self._take(found, self._source(request, found.key, origin), address)
                answer = answer if good is None else good()
            except HttpProblem as problem:
                answer = problem_response(problem)
        self.counts.add("requests", status=str(answer.status_code))
        self.counts.observe("latency", time.perf_counter() - began)
        return with_origin(answer, origin, allowed=allowed)

    def _source(self, request: Request, key: str, origin: str | None) -> KeySource:
        source = self._keys.find(basic_key(request.headers.get("authorization")) or key)
        if source is None:
            # Not Basic: for that, browsers would ask people for a password.
            raise HttpProblem(401, "write_key", "the write key is missing, or is none", challenge="WriteKey")
        if origin is not None and not source.allows(origin):
            raise HttpProblem(403, "origin", "the key's source takes no calls from this origin")
        return source

    async def _take(self, come: _Come, source: KeySource, address: str) -> Response:
        """Publish what is good and keep what is not. What is kept comes first: if either fails, all are sent again."""
        if wait := self._keys.wait(source, len(come.calls), address):
            raise HttpProblem(429, "rate", "the source, or its address, sends too many calls", retry_after=wait)
        announced = self._announced if source.announces else self._not_announced
        received = self._clock()
        sent = Sent.now(come.kind, come.around, source.name, received)
        good: list[KeyedPayload] = []
        bad: list[BadCall] = []
        letters: list[DeadLetter] = []
        for index, raw in enumerate(come.calls):
            if index % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)  # others have their turn
            found = prepared(raw, sent, announced)
            if isinstance(found, Bad):
                bad.append(BadCall(index, found.cause, found.detail))
                if found.payload is not None:
                    place = f"collect: {source.name}"
                    letters.append(DeadLetter(found.payload, place, found.cause, found.detail, received))
            else:
                good.append(found)
        if letters:
            await self._letters.keep(letters)
        if good:
            await self._sink.publish(good)
        self.counts.add("calls", len(good), source=source.name)
        for each in bad:
            self.counts.add("refused", source=source.name, cause=each.cause)
        if bad and come.kind is not None:
            raise HttpProblem(400, bad[0].cause, bad[0].detail)
        return taken(bad)

    def _not_announced(self, event: str) -> bool:
        """Of a source that may not announce, say so rather than that ids are missing."""
        if self._announced(event):
            raise Refused(Cause.NO_ID, "it is for everybody, and the source's keys do not say `announces`")
        return False

    async def _live(self, _: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def _ready(self, _: Request) -> Response:
        try:
            await self._sink.check()
        except HttpProblem as problem:
            return problem_response(problem)
        return JSONResponse({"status": "ready"})

    async def _metrics(self, request: Request) -> Response:
        if not may_read_metrics(request, self._metrics_token):
            return problem_response(HttpProblem(404, "http", "Not Found"))
        return PlainTextResponse("\n".join([*self.counts.lines(), ""]), media_type="text/plain; version=0.0.4")

    async def _openapi(self, _: Request) -> Response:
        return JSONResponse(document())


def _said_key(said: object) -> str:
    return said if isinstance(said, str) else ""


def _last(request: Request) -> str:
    return request.url.path.rstrip("/").rpartition("/")[2]
