"""Names of time zones."""

from functools import lru_cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["known_zone", "zone_names"]

#: Not a zone: what a computer has before somebody sets one.
_NO_ZONE = "Factory"


def known_zone(name: Any) -> bool:
    """Whether any value of a message is the name of a time zone in the IANA database.

    Its canonical names are, and those of its file `backward`. Other files in the folders of a machine are not:
    `localtime` and `posixrules` are whatever somebody set there, and `right/…` counts leap seconds.
    """
    return isinstance(name, str) and name in zone_names() and _loads(name)


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """All names of the IANA database."""
    names = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return frozenset(names) - {_NO_ZONE}


@lru_cache(maxsize=1024)
def _loads(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):  # pragma: no cover - a broken database of the machine
        return False
    return True
