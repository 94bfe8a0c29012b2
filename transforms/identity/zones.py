"""Names of time zones."""

from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["known_zone"]


def known_zone(name: Any) -> bool:
    """Whether this, which may be any value of a message, is the name of a time zone in the IANA database."""
    return isinstance(name, str) and 0 < len(name) <= 64 and _known(name)


@lru_cache(maxsize=4096)
def _known(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False
    return True
