"""One POST, written once, and what can become of it: the side effect of every channel over HTTP.

No request is repeated here: whether it may be is decided by what was answered, and by whoever asked.
"""

import asyncio
import socket
import time
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from transforms.channels.answers import Said, read_answer
from transforms.channels.hosts import Allowed, RefusedHost
from transforms.channels.outcome import Outcome

__all__ = ["REFUSED", "Answer", "Http", "refusal"]

CONNECT_SECONDS = 5.0
#: So much of an answer is read, and what stands after it is not; the longest that says something is FCM's, of some
#: hundred bytes.
ANSWER_BYTES = 64 * 1024
#: A 429 without Retry-After; FCM's advice: https://firebase.google.com/docs/cloud-messaging/scale-fcm
QUOTA_SECONDS = 60.0
#: A Retry-After beyond a day is taken as a day.
LONGEST_SECONDS = 86400.0

#: So many names are looked up at a time, of all hosts of a sender.
LOOKUPS = 8

#: A call to an address that must not be called.
REFUSED = Outcome.failed("refused_host", "the address is not a public one, nor allowed by --webhook-allow")


class Answer(msgspec.Struct, frozen=True):
    """What a server said. `after` is its Retry-After in seconds, None without one."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def after(self) -> float | None:
        """Retry-After (RFC 9110, 10.2.3): seconds or a date."""
        asked = self.headers.get("retry-after")
        if asked is None:
            return None
        if asked.isdecimal():
            return min(float(asked), LONGEST_SECONDS)
        try:
            return min(max(0.0, parsedate_to_datetime(asked).timestamp() - time.time()), LONGEST_SECONDS)
        except (ValueError, OverflowError):  # numbers of any length stand in it
            return None

    @property
    def said(self) -> Said:
        """The fields of a body in JSON that can be read."""
        return read_answer(self.body)

    @property
    def text(self) -> str:
        """The beginning of the body."""
        return self.body[:200].decode("utf-8", "replace")


class Http:
    """Connections to servers. `timeout`: seconds to connect, and to wait for an answer.

    With `allowed`, whose addresses may be called (see `Allowed`); without, all. No proxy of the environment is used,
    and no cookie is kept.
    """

    def __init__(self, timeout: float, allowed: Allowed | None = None) -> None:
        self._timeout = timeout
        self._allowed = allowed
        self._session: aiohttp.ClientSession | None = None
        self._names = _Names()

    async def post(self, url: str | URL, body: bytes, headers: Mapping[str, str]) -> Answer | Outcome:
        """Post once; an outcome where there is no answer. Redirects are answers."""
        if self._session is None:
            self._session = self._open()
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                said = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, await _read(response), said)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            if isinstance(getattr(error, "os_error", None), RefusedHost):
                return REFUSED
            return Outcome.retry("connect", CONNECT_SECONDS, str(error))
        except aiohttp.InvalidURL:
            return Outcome.failed("rejected", "not a URL")
        except TimeoutError:
            return Outcome.unknown("timeout", f"no answer within {self._timeout:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Outcome.unknown("cut", str(error))

    def _open(self) -> aiohttp.ClientSession:
        limits = aiohttp.ClientTimeout(
            total=2 * self._timeout, connect=self._timeout, sock_connect=self._timeout, sock_read=self._timeout
        )
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # who calls bounds what is open
                resolver=aiohttp.ThreadedResolver(self._names),  # type: ignore[arg-type]
                socket_factory=None if self._allowed is None else self._allowed.open_socket,
            ),
            timeout=limits,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),  # what a server says to one message is none of the next one's
            auto_decompress=False,  # a few bytes can stand for any number
            headers={"accept-encoding": "identity"},
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        self._names.close()


class _Names:
    """Looks names up as the system does, in `LOOKUPS` threads of its own: the ledger waits for no name.

    All hosts of a sender share the threads: where so many names are waited for, the next ones wait too, up to the
    sender's timeout. It stands for the event loop, which would take the threads that all have in common.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS, "names")

    async def getaddrinfo(self, host: str, port: int, **asked: Any) -> Any:
        """See `socket.getaddrinfo`."""
        return await self._ask(partial(socket.getaddrinfo, host, port, **asked))

    async def getnameinfo(self, address: Any, flags: int) -> Any:
        """See `socket.getnameinfo`."""
        return await self._ask(partial(socket.getnameinfo, address, flags))

    async def _ask(self, ask: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    def close(self) -> None:
        """Wait for no name any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """At most `ANSWER_BYTES` of a body; the status counts even where the body is cut off."""
    body = bytearray()
    with suppress(aiohttp.ClientError, TimeoutError, OSError):
        while len(body) < ANSWER_BYTES and (part := await response.content.read(ANSWER_BYTES - len(body))):
            body += part
    if response.headers.get("content-encoding", "identity").lower() in ("gzip", "x-gzip", "deflate"):
        with suppress(zlib.error):  # it was not asked for
            return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(bytes(body), ANSWER_BYTES)
    return bytes(body)


def refusal(answer: Answer, message: str) -> Outcome:
    """What an answer means that is not 2xx. 408, 500 and the like, and 503 without Retry-After, do not say whether
    the message was taken.
    """
    match answer.status:
        case 401 | 403:
            return Outcome.failed("auth", message)
        case 429:
            return Outcome.retry("quota", QUOTA_SECONDS if answer.after is None else answer.after, message)
        case 503 if answer.after is not None:
            return Outcome.retry("unavailable", answer.after, message)
        case status if status >= 500 or status == 408:
            return Outcome.unknown("server_error", f"{status} {message}")
    return Outcome.failed("rejected", f"{answer.status} {message}")
