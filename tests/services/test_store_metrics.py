"""`/metrics` of a store: what Prometheus reads, to whom it is shown, and that a store may come later."""

import asyncio
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services import store_metrics as module
from services.store_metrics import StoreMetrics
from transforms.segments.values import MINUTE
from transforms.storage.sqlite.store import SqliteStore
from transforms.users.tally import Tallies

NOW = time.time_ns() // 1000
TOKEN = "token-0123456789"


def asked(metrics: StoreMetrics, *, client: str = "127.0.0.1", **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(metrics.app, client=(client, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as asking:
            return await asking.get("/metrics", headers=headers)

    return asyncio.run(ask())


def count(path: Path, by: int) -> None:
    tallies = Tallies(MINUTE)
    tallies.count("sends", "hello", "push", "", "handed_off", "first", "a", at=NOW, by=by)
    tallies.observe("behind", micros=1_500, at=NOW)
    with closing(SqliteStore(path)) as store:
        store.add_metrics(tallies.rows(NOW))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(module, "FRESH_TIMES", 0.0)


def test_a_store_that_is_away_is_503_until_it_is_there(tmp_path: Path) -> None:
    with closing(StoreMetrics(f"sqlite:{tmp_path / 'store.db'}")) as metrics:
        answer = asked(metrics)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        for sum_ in (5, 10):
            count(tmp_path / "store.db", 5)
            answer = asked(metrics)
            assert (answer.status_code, answer.headers["content-type"]) == (
                200,
                "text/plain; version=0.0.4; charset=utf-8",
            )
            found = {each.name: each for each in text_string_to_metric_families(answer.text)}
            assert found.keys() == {"todoke_sends", "todoke_behind_seconds"}
            assert [each.value for each in found["todoke_sends"].samples] == [sum_]


def test_it_is_shown_to_this_machine_and_to_who_has_the_token(tmp_path: Path) -> None:
    count(tmp_path / "store.db", 1)
    with closing(StoreMetrics(f"sqlite:{tmp_path / 'store.db'}", TOKEN)) as metrics:
        assert asked(metrics).status_code == 200
        assert asked(metrics, client="203.0.113.7").status_code == 404
        assert asked(metrics, **{"X-Forwarded-For": "203.0.113.7"}).status_code == 404
        assert asked(metrics, client="203.0.113.7", Authorization=f"Bearer {TOKEN}").status_code == 200
        assert asked(metrics, client="203.0.113.7", Authorization="Bearer other").status_code == 404


def test_what_was_read_is_shown_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 3600.0)
    count(tmp_path / "store.db", 1)
    with closing(StoreMetrics(f"sqlite:{tmp_path / 'store.db'}")) as metrics:
        first = asked(metrics).text
        count(tmp_path / "store.db", 1)
        assert asked(metrics).text == first
