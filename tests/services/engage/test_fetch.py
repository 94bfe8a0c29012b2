"""Pages of providers are got with care: all of a page, however it comes, and nothing else; and few of them at once."""

import asyncio
from collections.abc import Sequence

import pytest

from services.engage.fetch import AT_ONCE, BYTES, fetch, few_at_once
from services.problems import HttpProblem

HEAD = "HTTP/1.1 {} X\r\nContent-Length: {}\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\n\r\n"


def fetched(pieces: Sequence[bytes], status: int = 200, said: int | None = None) -> bytes:
    """What is got of a server that sends a page in these pieces, and says that it has so many bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        size = sum(map(len, pieces)) if said is None else said
        for piece in (HEAD.format(status, size).encode(), *pieces):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)  # so that they come apart
        writer.close()

    async def asked() -> bytes:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            return await fetch(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a.pem")

    return asyncio.run(asked())


def test_a_page_that_comes_in_pieces_is_whole() -> None:
    assert fetched([b"-----BEGIN", b" CERTI", b"FICATE-----"]) == b"-----BEGIN CERTIFICATE-----"
    assert fetched([b""]) == b""
    assert fetched([b"x" * (BYTES - 1), b"x"]) == b"x" * BYTES


@pytest.mark.parametrize(
    ("pieces", "status", "said"),
    [([b"x" * BYTES, b"x"], 200, None), ([b"page"], 302, None), ([b"page"], 404, None), ([b"half"], 200, 9)],
)
def test_what_is_too_long_cut_off_or_elsewhere_is_none(pieces: list[bytes], status: int, said: int | None) -> None:
    with pytest.raises(HttpProblem) as refused:
        fetched(pieces, status, said)
    assert refused.value.status == 503


def test_few_pages_are_got_at_once() -> None:
    running = most = 0

    async def slow(url: str) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        if url.endswith("away"):
            raise OSError
        return url.encode()

    async def asked() -> list[bytes | BaseException]:
        get = few_at_once(slow)
        urls = [f"{number}" for number in range(AT_ONCE - 1)] + ["away"] + ["more"] * 40
        found = await asyncio.gather(*(get(url) for url in urls), return_exceptions=True)
        assert await get("later") == b"later"  # what has failed is over, too
        return found

    found = asyncio.run(asked())
    assert most == AT_ONCE
    assert found[: AT_ONCE - 1] == [str(number).encode() for number in range(AT_ONCE - 1)]
    assert isinstance(found[AT_ONCE - 1], OSError)
    for refused in found[AT_ONCE:]:
        assert isinstance(refused, HttpProblem)
        assert (refused.status, refused.retry_after) == (503, 1)
