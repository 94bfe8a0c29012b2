"""Every answer of every service has the headers that keep a browser from doing more with it than was meant."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.collect.app import Collect
from services.collect.keys import Keys, KeySource
from services.collect.letters import StoreLetters
from services.engage.app import PARTS, engage
from services.engage.desk import Desk, StoreView
from services.engage.table import TableSink
from services.secured import SecuredApp
from services.sink import QueueSink
from services.status.app import Status
from services.status.facts import FactsPlace
from transforms.campaigns.load import compiled
from transforms.channels.tokens import SigningKeys
from transforms.events.queue.append import Queue
from transforms.storage.open import open_reader
from transforms.storage.sqlite.store import SqliteStore

KEY = "shop-key-0123456789"
ORIGIN = "https://shop.example"
#: What a policy may allow at all; what it does not name is not allowed, since `default-src` is none.
DIRECTIVES = {
    "default-src": {"'none'"},
    "base-uri": {"'none'"},
    "frame-ancestors": {"'none'"},
    "form-action": {"'none'", "'self'"},
    "style-src": {"'self'"},
    "img-src": {"'self'", "data:", "https:"},
}
ALWAYS = ("/", "/live", "/ready", "/metrics", "/openapi.json", "/nothing")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")

App = tuple[Any, list[Route]]


@pytest.fixture(params=["collect", "engage", "status"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[App]:
    with (
        Queue(tmp_path / "events.db") as queue,
        closing(SqliteStore(tmp_path / "store.db")) as store,
        closing(open_reader(f"sqlite:{tmp_path / 'store.db'}")) as reader,
    ):
        if request.param == "collect":
            letters = StoreLetters(lambda: store, lambda: 0)
            found = Collect(Keys([KeySource((KEY,), "shop", frozenset({ORIGIN}))]), QueueSink(queue), letters).app
            yield found, list(found.routes)
            letters.close()
        elif request.param == "engage":
            sink, view = TableSink(store, lambda: 0), StoreView(reader)
            definitions = compiled((("shop.yaml", "{}"),))
            desk = Desk(sink=sink, view=view, definitions=lambda: definitions, keys=SigningKeys({"a": "s" * 32}))
            yield engage(desk), [route for part in PARTS for route in part.routes(desk)]
            view.close()
            sink.close()
        else:
            status = Status(FactsPlace(f"sqlite:{tmp_path / 'store.db'}", queue.path, tmp_path / "parts"), lambda: ())
            yield status.app, list(status.app.routes)


def asked(app: Any, method: str, path: str, **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, headers=headers, content=b"{}" if method == "POST" else None)

    return asyncio.run(ask())


def check(answer: httpx.Response) -> None:
    where = (answer.request.method, answer.request.url.path, answer.status_code)
    assert answer.headers["x-content-type-options"] == "nosniff", where
    assert answer.headers["referrer-policy"] in ("no-referrer", "same-origin"), where
    assert "cache-control" in answer.headers, where
    policy = {}
    for part in answer.headers["content-security-policy"].split(";"):
        name, *sources = part.split()
        policy[name] = set(sources)
    assert {"default-src", "base-uri", "frame-ancestors", "form-action"} <= set(policy), where
    for name, sources in policy.items():
        allowed = {each for each in sources if not re.fullmatch(r"'sha256-[A-Za-z0-9+/=]+'", each)}
        assert allowed <= DIRECTIVES[name], (where, name)
    assert "set-cookie" not in answer.headers, where
    assert "access-control-allow-credentials" not in answer.headers, where


def test_every_answer_of_every_route_has_them(app: App) -> None:
    """By each method that there is, and those that are refused."""
    served, routes = app
    paths = {re.sub(r"\{[^}]*\}", "x", route.path) for route in routes}
    for path in sorted({*paths, *ALWAYS}):
        for method in METHODS:
            check(asked(served, method, path))
            check(asked(served, method, path, Origin=ORIGIN, Authorization="Basic x"))


def test_what_nobody_foresaw_has_them_too_and_its_text_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_: Request) -> Response:
        raise KeyError("ann@example.com")

    answer = asked(SecuredApp(routes=[Route("/", fail)]), "GET", "/")
    assert answer.status_code == 500
    check(answer)
    assert "ann@" not in answer.text
    assert "ann@" not in caplog.text.replace('raise KeyError("ann@example.com")', "")  # the line of this file
    assert "a request failed: KeyError" in caplog.text
    assert "test_secured.py" in caplog.text


def test_what_an_answer_says_itself_stands() -> None:
    own = {"Content-Security-Policy": "default-src 'self'", "Cache-Control": "max-age=60"}

    async def say(_: Request) -> Response:
        return PlainTextResponse("", headers=own)

    answer = asked(SecuredApp(routes=[Route("/", say)]), "GET", "/")
    assert {name: answer.headers[name] for name in own} == own
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("headers", "said"), [({}, False), ({"x-forwarded-proto": "https"}, True), ({"x-forwarded-proto": "http"}, False)]
)
def test_browsers_are_told_to_come_by_tls_where_tls_is(headers: dict[str, str], said: bool) -> None:
    answer = asked(SecuredApp(), "GET", "/", **headers)
    assert ("strict-transport-security" in answer.headers) is said
