"""Rates: how much somebody may send now. Times are seconds; of a clock that is set back nobody has a disadvantage."""

from collections import OrderedDict
from typing import Generic, TypeVar

__all__ = ["RateBucket", "Rates"]

_Name = TypeVar("_Name")


class RateBucket:
    """What may be sent now. More at once than what is there is taken, and the next one waits for it.

    Args:
      rate: what comes back in a second.
      most: what may be saved up.
      now: when it begins, full.
    """

    __slots__ = ("_at", "_most", "_there", "rate")  # there may be very many

    def __init__(self, rate: float, most: float, now: float) -> None:
        self.rate = rate
        self._most = most
        self._there, self._at = most, now

    def take(self, count: int, now: float) -> float:
        """Take so many; returns 0, or in how many seconds to come again where nothing is there."""
        passed = max(0.0, now - self._at)
        self._there = min(self._most, self._there + passed * self.rate)
        self._at = now
        if self._there <= 0:
            return (1 - self._there) / self.rate
        self._there -= count
        return 0.0


class Rates(Generic[_Name]):
    """A bucket for each name. Of more names than are kept, that which was seen longest ago begins anew.

    Args:
      most: how many names are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._buckets: OrderedDict[_Name, RateBucket] = OrderedDict()

    def take(self, name: _Name, count: int, rate: float, saved: float, now: float) -> float:
        """Take so many of a name's; returns 0, or in how many seconds to come again; see `RateBucket`.

        Args:
          name: whose bucket it is.
          count: so many.
          rate: what comes back in a second; a rate that has changed begins anew.
          saved: what may be saved up.
          now: the time.
        """
        bucket = self._buckets.get(name)
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[name] = RateBucket(rate, saved, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        return bucket.take(count, now)
