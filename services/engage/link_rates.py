"""How often one link may change something: each change is a message to the job."""

import math
from collections.abc import Callable
from hashlib import blake2b

from services.problems import HttpProblem
from services.rates import Rates
from transforms.segments.values import SECOND

__all__ = ["OFTEN", "LinkRates"]

#: Once in so many seconds, beside what may be at once.
EVERY_SECONDS = 10.0
#: So many links are told apart.
_LINKS = 10_000
#: What OpenAPI says of a 429.
OFTEN = "The link was used too often just now. Retry-After says when to come again."


class LinkRates:
    """What each link may still do.

    Args:
      at_once: how many times in a row.
      clock: microseconds since the epoch.
    """

    def __init__(self, at_once: int, clock: Callable[[], int]) -> None:
        self._at_once = at_once
        self._clock = clock
        self._rates: Rates[bytes] = Rates(_LINKS)

    def take(self, token: str) -> None:
        """Use a link once more.

        Raises:
          HttpProblem: 429, it was used too often just now.
        """
        key = blake2b(token.encode(), digest_size=8).digest()
        if wait := self._rates.take(key, 1, 1 / EVERY_SECONDS, self._at_once, self._clock() / SECOND):
            raise HttpProblem(429, "rate", "this link was used just now", retry_after=math.ceil(wait))
