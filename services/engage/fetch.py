"""One page of another service, got with care: no redirects, a few seconds, a few bytes."""

import aiohttp

from services.problems import away

__all__ = ["fetch"]

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
            page = await answer.content.read(BYTES + 1)
            if answer.status == 200 and len(page) <= BYTES:
                return page
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass
    raise away("the provider's own service does not answer now")
