"""What senders may take of the process: memory, time, and requests of one address."""

import math
import time
from collections.abc import Callable
from types import TracebackType

import msgspec
from starlette.requests import Request

from services.addresses import Proxy
from services.problems import HttpProblem, away
from services.rates import Rates

__all__ = ["USUAL", "AddressGate", "HeldBytes", "Limits", "Room"]

#: Addresses whose rates are kept, and of how many seconds an address may save up what it does not send.
MOST_ADDRESSES, SAVED_SECONDS = 100_000, 10


class Limits(msgspec.Struct, frozen=True):
    """Bounds of one process.

    `body_seconds` is how long a body may take to come, `held_bytes` what all bodies together may take of memory, and
    `address_rate` how many requests a second one address may send (None: any number). `proxy` says which header has
    that address.
    """

    body_seconds: float = 30.0
    held_bytes: int = 64 * 1024 * 1024
    address_rate: float | None = None
    proxy: Proxy = Proxy()


USUAL = Limits()


class Room:
    """Memory for bodies."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0


class HeldBytes:
    """What one request holds of the room, as long as the context lasts."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._size = 0

    def take(self, size: int) -> None:
        """Hold more.

        Raises:
          HttpProblem: 503, too much is held by all.
        """
        if self._room.held + size > self._room.most:
            raise away("too many bodies are being read")
        self._room.held += size
        self._size += size

    def __enter__(self) -> "HeldBytes":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._room.held -= self._size


class AddressGate:
    """Requests by address.

    Args:
      limits: of the process.
      clock: seconds that never go back.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = limits.address_rate
        self._proxy = limits.proxy
        self._clock = clock
        self._rates: Rates[str] = Rates(MOST_ADDRESSES)

    def admit(self, request: Request) -> str:
        """The address of a request, which may come in.

        Raises:
          HttpProblem: 429, too many came from there.
        """
        address = self._proxy.address(request)
        if self._rate is not None and address:
            wait = self._rates.take(address, 1, self._rate, SAVED_SECONDS * self._rate, self._clock())
            if wait:
                raise HttpProblem(429, "rate", "too many requests from this address", retry_after=math.ceil(wait))
        return address
