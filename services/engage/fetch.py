"""One page of another service, got with care: no redirects, a few seconds, a few bytes."""

from collections.abc import Awaitable, Callable

import aiohttp

from services.problems import away

__all__ = ["fetch", "few_at_once"]

#: Pages that are got at once: what is not proved yet names them, and whoever knows a topic can send much of that.
AT_ONCE = 8

#: How long a page may take, in seconds, and how long it may be, in bytes.
SECONDS, BYTES = 5.0, 64 * 1024


async def fetch(url: str) -> bytes:
    """The page at a URL that was checked before; only 200 is one.

    Raises:
      HttpProblem: 503, it cannot be had now.
    """
    try:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            page = await _page(answer.content)
            if answer.status == 200 and len(page) <= BYTES:
                return page
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass
    raise away("the provider's own service does not answer now")


def few_at_once(get: Callable[[str], Awaitable[bytes]]) -> Callable[[str], Awaitable[bytes]]:
    """The same, which answers 503 to whoever comes while so many pages are being got."""
    running = 0

    async def got(url: str) -> bytes:
        nonlocal running
        if running >= AT_ONCE:
            raise away("too much is asked of the provider's own service now")
        running += 1
        try:
            return await get(url)
        finally:
            running -= 1

    return got


async def _page(content: aiohttp.StreamReader) -> bytes:
    """All of a page, however many pieces it comes in; of one that is too long a little more than may be."""
    page = b""
    while len(page) <= BYTES and (piece := await content.read(BYTES + 1 - len(page))):
        page += piece
    return page
