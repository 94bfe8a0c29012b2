"""Which channels are installed, by their entry points in the group `todoke.channels`: of this package, and of others.

This module knows only names, and imports nothing; `transforms.identity.channels` loads the channels.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

import msgspec

from transforms.errors import NotStarted
from transforms.events.plain import quoted

__all__ = ["GROUP", "ChannelError", "Installed", "installed"]

#: Where a package says which channels it has (docs/extending.md).
GROUP = "todoke.channels"

#: Names are also those of flags, of files in an outbox, and of keys in definitions.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


class ChannelError(NotStarted):
    """A channel is not installed as it should be; the message says which one, and what to do."""


class Installed(msgspec.Struct, frozen=True):
    """Where a channel comes from: the entry point, and the package with its version."""

    entry: EntryPoint
    package: str
    version: str

    def __str__(self) -> str:
        return f"channel `{self.entry.name}` of {self.package} {self.version}"


@cache
def installed() -> Mapping[str, Installed]:
    """The installed channels by name, in the order of their names; each process looks for them once.

    Raises:
      ChannelError: there is none, two packages have one of the same name, or a name is none.
    """
    found: dict[str, Installed] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        dist = entry.dist
        here = Installed(entry, dist.name if dist else "?", dist.version if dist else "?")
        if not _NAME.fullmatch(entry.name):
            raise ChannelError(
                f"{here.package} {here.version} has a channel {quoted(entry.name)}: a name is of small letters, digits "
                "and _, and begins with a letter; uninstall the package, or correct its entry point"
            )
        if other := found.get(entry.name):
            raise ChannelError(f"{here} and {other} have the same name: uninstall one of them")
        found[entry.name] = here
    if not found:
        raise ChannelError(f"no channel is installed (entry points `{GROUP}`): install todoke with pip")
    return MappingProxyType(found)
