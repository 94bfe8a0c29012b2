"""What a sender, an address and the outside may take: rates, memory, time, counts, and what is for everybody."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from collect_service import ADDRESS_KEY, KEY, TELLING_KEY, TRACK, Service, serving

from services.addresses import Proxy
from services.collect.limits import Limits
from services.collect.serving import CollectSettings, collecting

#: What is for everybody: a track call without ids.
NEWS = {"type": "track", "event": "Article Published", "properties": {"breaking": True}}
METRICS = "todoke_collect_requests_total"


def test_an_address_sends_no_more_than_its_sources_rate(service: Service) -> None:
    here, there = ("203.0.113.7", 1), ("203.0.113.8", 1)
    assert service.post("/v1/track", TRACK, key=ADDRESS_KEY, client=here).status_code == 200
    answer = service.post("/v1/track", TRACK, key=ADDRESS_KEY, client=here)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
    assert service.post("/v1/track", TRACK, key=ADDRESS_KEY, client=there).status_code == 200
    assert service.post("/v1/track", TRACK, client=here).status_code == 200


def test_an_address_sends_no_more_requests_than_it_may_whatever_is_in_them(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(address_rate=0.2)) as service:
        statuses = [service.post("/v1/track", b"{").status_code for _ in range(4)]
        assert (statuses[:2], statuses[3]) == ([400, 400], 429)  # the third as time went on
        assert service.post("/v1/track", TRACK, client=("2001:db8::1", 1)).status_code == 200


@pytest.mark.parametrize(
    ("proxy", "headers", "addresses"),
    [
        (Proxy(), {"X-Forwarded-For": "198.51.100.1"}, ["203.0.113.7"]),
        (Proxy("X-Forwarded-For"), {"X-Forwarded-For": "198.51.100.1, 198.51.100.2"}, ["198.51.100.2"]),
        (Proxy("X-Forwarded-For", 2), {"X-Forwarded-For": "6.6.6.6, 198.51.100.1, 192.0.2.1"}, ["198.51.100.1"]),
        (Proxy("X-Forwarded-For", 2), {"X-Forwarded-For": "198.51.100.1"}, ["203.0.113.7"]),
        (Proxy("X-Forwarded-For"), {}, ["203.0.113.7"]),
        (Proxy("X-Forwarded-For"), {"X-Forwarded-For": "unknown"}, ["203.0.113.7"]),
        (Proxy("Client-IP"), {"Client-IP": "[2001:db8:1:2:3::4]:443"}, ["2001:db8:1:2::"]),
        (Proxy("Client-IP"), {"Client-IP": "::ffff:198.51.100.1"}, ["198.51.100.1"]),
        (Proxy("Client-IP"), {"Client-IP": "198.51.100.1:5555"}, ["198.51.100.1"]),
    ],
)
def test_only_the_header_of_a_named_proxy_says_where_a_request_comes_from(
    proxy: Proxy, headers: dict[str, str], addresses: list[str]
) -> None:
    from starlette.requests import Request

    listed = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    request = Request({"type": "http", "headers": listed, "client": ("203.0.113.7", 1)})
    assert [proxy.address(request)] == addresses


def test_bodies_take_no_more_memory_together_than_there_is(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(held_bytes=20_000)) as service:
        assert service.batch(TRACK).status_code == 200
        zipped = gzip.compress(json.dumps({"batch": [TRACK] * 300}).encode())
        for body in ({"batch": [TRACK] * 300}, zipped):
            answer = service.post("/v1/batch", body)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        for _ in range(50):  # what was held is given back
            assert service.batch(TRACK).status_code == 200


def test_a_body_that_never_ends_is_given_up(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(body_seconds=0.1)) as service:
        waited = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b'{"event":'
            await waited.wait()

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(service.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://collect") as client:
                return await client.post("/v1/track", content=slow(), auth=(KEY, ""))

        answer = asyncio.run(asked())
        assert (answer.status_code, answer.json()["code"]) == (408, "too_slow")


@pytest.mark.parametrize(
    ("client", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("a-socket", {}, 200),
        ("a-socket", {"X-Real-IP": "203.0.113.7"}, 404),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.7"}, 404),
        ("203.0.113.7", {}, 404),
        ("203.0.113.7", {"Authorization": "Bearer the-token"}, 200),
        ("203.0.113.7", {"Authorization": "Bearer another"}, 404),
        ("203.0.113.7", {"Authorization": "Bearer "}, 404),
    ],
)
def test_counts_are_for_this_machine_and_for_who_has_the_token(
    tmp_path: Path, client: str, headers: dict[str, str], status: int
) -> None:
    with serving(tmp_path, metrics_token="the-token") as service:
        answer = service.ask("GET", "/metrics", headers=headers, client=(client, 1))
        assert (answer.status_code, METRICS in answer.text) == (status, status == 200)


def test_without_a_token_nobody_elsewhere_sees_counts(service: Service) -> None:
    for said in ("Bearer ", "Bearer x"):
        answer = service.ask("GET", "/metrics", headers={"Authorization": said}, client=("203.0.113.7", 1))
        assert answer.status_code == 404


def test_a_call_for_everybody_comes_from_a_source_that_announces_and_is_in_the_definitions(tmp_path: Path) -> None:
    """Keys of browsers are public: with one nobody may write to everybody."""
    keys = tmp_path / "keys.json"
    sources = {"shop": {"keys": [KEY]}, "newsroom": {"keys": [TELLING_KEY], "announces": True}}
    keys.write_text(json.dumps(sources))
    place = str(Path(__file__).parents[3] / "examples" / "news.yaml")
    settings = CollectSettings(
        f"queue:{tmp_path / 'events.db'}", f"sqlite:{tmp_path / 'store.db'}", key_file=str(keys), definitions=place
    )
    with collecting(settings) as collect:
        service = Service(collect.app, collect._sink._queue, tmp_path)  # type: ignore[attr-defined]
        refused = service.post("/v1/track", NEWS, key=KEY).json()
        assert (refused["code"], "announces" in refused["message"]) == ("no_id", True)
        assert service.post("/v1/track", NEWS, key=TELLING_KEY).status_code == 200
        assert service.post("/v1/track", {**NEWS, "event": "Seen"}, key=TELLING_KEY).json()["code"] == "no_id"
        [found] = service.published()
        assert (found["event"], found["context"]) == ("Article Published", {"source": "newsroom"})
