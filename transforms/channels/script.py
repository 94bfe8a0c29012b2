"""What the local servers are told to do by the addresses that messages go to."""

import re
import threading
from collections import Counter
from collections.abc import Iterable

__all__ = ["Script"]


class Script:
    """Reads the first word of an address: `quota-a` misbehaves always, `quota2-a` twice and then no more."""

    def __init__(self, words: Iterable[str]) -> None:
        self._pattern = re.compile(rf"({'|'.join(words)})(\d*)-")
        self._times: Counter[str] = Counter()
        self._lock = threading.Lock()

    def next(self, address: str) -> str:
        """The word that applies this time, or empty text."""
        match = self._pattern.match(address)
        if not match:
            return ""
        with self._lock:
            self._times[address] += 1
            return match[1] if not match[2] or self._times[address] <= int(match[2]) else ""
