"""Names of time zones."""

from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["known_zone"]


@lru_cache(maxsize=4096)
def known_zone(name: object) -> bool:
    """Whether this is the name of a time zone in the IANA database."""
    if not isinstance(name, str) or not name or len(name) > 64:
        return False
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False
    return True
