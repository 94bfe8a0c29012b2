"""One POST, written once, and what can become of it: the side effect of push, LINE and webhooks.

No request is repeated here: whether it may be is decided by what was answered, and by whoever asked.
"""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec

from transforms.channels.outcome import Outcome

__all__ = ["Answer", "Http", "refusal"]

CONNECT_SECONDS = 5.0
#: A 429 without Retry-After; FCM's advice: https://firebase.google.com/docs/cloud-messaging/scale-fcm
QUOTA_SECONDS = 60.0
#: A Retry-After beyond a day is taken as a day.
LONGEST_SECONDS = 86400.0


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
        except ValueError:
            return None

    @property
    def text(self) -> str:
        """The beginning of the body."""
        return self.body[:200].decode("utf-8", "replace")


class Http:
    """Connections to any servers. `timeout`: seconds to connect, and to wait for an answer."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer | Outcome:
        """Post once; an outcome where there is no answer. Redirects are answers."""
        if self._session is None:
            limits = aiohttp.ClientTimeout(total=2 * self._timeout, sock_connect=self._timeout, sock_read=self._timeout)
            self._session = aiohttp.ClientSession(timeout=limits)
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                said = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, await response.read(), said)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Outcome.retry("connect", CONNECT_SECONDS, str(error))
        except aiohttp.InvalidURL as error:
            return Outcome.failed("rejected", f"not a URL: {error}")
        except TimeoutError:
            return Outcome.unknown("timeout", f"no answer within {self._timeout:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Outcome.unknown("cut", str(error))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


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
