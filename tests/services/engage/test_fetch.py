"""Pages of providers are got with care: whoever sends much that is not proved makes few requests to others."""

import asyncio

from services.engage.fetch import AT_ONCE, few_at_once
from services.problems import HttpProblem


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
