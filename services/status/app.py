"""The application: the page, the same as JSON, its style, and whether the system is ready."""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from services.addresses import is_forwarded
from services.problems import PROBLEM_HANDLERS, HttpProblem, away
from services.secured import SecuredApp
from services.status.facts import FactsPlace, SystemFacts, job_fault, read_facts
from transforms.segments.values import SECOND
from transforms.storage.store import StoreError

__all__ = ["PATHS", "Status"]

#: What the application answers; all else is of others.
PAGE, JSON, STYLE = PATHS = ("/", "/status.json", "/status.css")
_FOLDER = Path(__file__).parent
#: What is read is shown for so long, and so many times as long as reading it took, in seconds.
FRESH_SECONDS, FRESH_TIMES = 1.0, 20.0
#: The page loads nothing but its style (see `SecuredApp` for the rest).
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
}


class Status:
    """What people and programs of this machine see of the system; `app` is its ASGI application.

    It shows names of segments and campaigns, so only those may see it who ask this machine by its own name: neither
    others of a network, nor pages of a browser that have a name of theirs lead here, nor whoever a proxy lets through.

    Args:
      place: where facts are.
      segments: their names as they are now.
      clock: microseconds UTC.
    """

    def __init__(
        self,
        place: FactsPlace,
        segments: Callable[[], Iterable[str]],
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._place = place
        self._segments = segments
        self._clock = clock
        self._lock = asyncio.Lock()
        self._facts: SystemFacts | None = None
        self._until = 0.0
        pages = Environment(loader=FileSystemLoader(_FOLDER), autoescape=select_autoescape(), undefined=StrictUndefined)
        pages.filters |= {"age": _age, "moment": _moment}
        self._page = pages.get_template("page.html")
        self._style = (_FOLDER / "status.css").read_bytes()
        answers = {PAGE: self._show, JSON: self._json, STYLE: self._css}
        routes = [Route(path, _guarded(answer), methods=["GET"]) for path, answer in answers.items()]
        self.app = SecuredApp(routes=routes, exception_handlers=PROBLEM_HANDLERS)

    def fault(self) -> str:
        """What is wrong with the job; empty where nothing is."""
        return job_fault(self._place, self._clock())

    async def _show(self, _: Request) -> Response:
        return HTMLResponse(self._page.render(facts=await self._now()), headers=_HEADERS)

    async def _json(self, _: Request) -> Response:
        return Response(msgspec.json.encode(await self._now()), headers=_HEADERS, media_type="application/json")

    async def _css(self, _: Request) -> Response:
        return Response(self._style, headers=_HEADERS, media_type="text/css")

    async def _now(self) -> SystemFacts:
        """The facts; one request at a time reads them, in a thread, and the others of the moment have the same.

        Raises:
          HttpProblem: 503, the store cannot be read.
        """
        async with self._lock:
            if self._facts is None or time.monotonic() >= self._until:
                asked = self._place, tuple(self._segments()), self._clock()
                try:
                    self._facts = await asyncio.to_thread(read_facts, *asked)
                except StoreError as error:
                    raise away(f"the store cannot be read now: {error}") from None
                self._until = time.monotonic() + max(FRESH_SECONDS, FRESH_TIMES * self._facts.seconds)
            return self._facts


def _guarded(answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
    async def guarded(request: Request) -> Response:
        if not _is_from_here(request):
            raise HttpProblem(404, "not_here", "this page is shown to programs of this machine alone")
        found: Response = await answer(request)
        return found

    return guarded


def _is_from_here(request: Request) -> bool:
    """Whether a program of this machine asks by the machine's own name, and nobody asks through it."""
    if is_forwarded(request):
        return False
    return request.client is not None and _is_loopback(request.client.host) and _is_loopback(request.url.hostname)


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _age(micros: int) -> str:
    """A span as people say it."""
    seconds = max(0, micros) / SECOND
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _moment(micros: int) -> str:
    return datetime.fromtimestamp(micros / SECOND, UTC).strftime("%H:%M:%S UTC")
