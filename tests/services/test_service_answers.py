"""The page of a machine's own system is for programs of that machine, by its own name."""

import asyncio
from pathlib import Path

import httpx
import pytest

from services.status.app import PATHS, Status
from services.status.facts import FactsPlace


def asked(folder: Path, path: str, url: str, address: str, headers: dict[str, str]) -> httpx.Response:
    app = Status(
        FactsPlace(f"sqlite:{folder / 'store.db'}", folder / "events.db", folder / "parts"), lambda: ("vip",)
    ).app

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(address, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url=url) as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("url", ["http://127.0.0.1:8600", "http://localhost:8600", "http://[::1]:8600"])
def test_this_machine_sees_it(tmp_path: Path, path: str, url: str) -> None:
    assert asked(tmp_path, path, url, "127.0.0.1", {}).status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("url", "address", "headers"),
    [
        ("http://shop.example:8600", "127.0.0.1", {}),  # a name of somebody else that leads here
        ("http://localhost.shop.example:8600", "127.0.0.1", {}),
        ("http://127.0.0.1:8600", "192.0.2.1", {}),
        ("http://127.0.0.1:8600", "127.0.0.1", {"X-Forwarded-For": "192.0.2.1"}),
        ("http://127.0.0.1:8600", "127.0.0.1", {"Via": "1.1 proxy"}),
    ],
)
def test_nobody_else_sees_it_nor_pages_that_lead_a_browser_here(
    tmp_path: Path, path: str, url: str, address: str, headers: dict[str, str]
) -> None:
    answer = asked(tmp_path, path, url, address, headers)
    assert answer.status_code == 404
    assert "vip" not in answer.text
