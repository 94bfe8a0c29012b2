"""What a channel is: a record that says all of it, and where the installed ones are found.

A channel is a package of its own, named by an entry point (`transforms.events.channels`). Its record is light: how a
user is addressed, and what stands for consent that nobody gave. The rest stands in modules that are imported where they
are needed: its messages where definitions are read, its settings where a job is launched, its transport where messages
go out.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from transforms.events.channels import ChannelError, Installed, installed

__all__ = [
    "REGION",
    "TOKENS",
    "USER",
    "Channel",
    "Facts",
    "Follows",
    "attributes_of",
    "channels",
    "check_installed",
    "part_of",
    "shared_key",
    "versions",
]

#: Facts beside attributes: the live device tokens, the newest first; the user id, empty for an anonymous user; and
#: `policies.default_region`, empty where none is set. Where many users are asked at once, by columns, it is only known
#: whether there is a token, and whether there is a user id.
TOKENS, USER, REGION = "#tokens", "#user", "#region"

#: What is known of a user, by the names of facts. An attribute that is no text is None.
Facts = Mapping[str, Any]

_Part = TypeVar("_Part")


class Follows(msgspec.Struct, frozen=True):
    """The attributes that say whether an account may send to somebody: the `address` that follows it, and the one that
    has `left` it.
    """

    address: str
    left: str

    def told(self, address: str, *, followed: bool) -> dict[str, str | None]:
        """What the attributes are once an address follows the account, or has left it."""
        return {self.address: address, self.left: None} if followed else {self.left: address}


class Channel(msgspec.Struct, frozen=True):
    """All of one channel.

    `reads` are the facts that an address is made of: attributes by their names, and those above. `addresses` makes all
    live addresses of them, the best first; it is pure, and is called once a distinct value. `granted` is what consent
    counts as that was never set. `several`: each address gets a message of its own; else the first one gets it.

    `key` writes an address as it is compared with others, so that a bounce or a complaint blocks it for good; None:
    none is blocked. `shared`: several users may have the same address, which gets one message of a run that reaches
    many. `linked`: the store is told whose an address is. `follows`: nobody is sent to who does not follow the account,
    and its provider says who does.

    The others are `module:name` of what is imported later: `message` a `MessageForm` (`transforms.messages.form`),
    `settings` a `ChannelSettings` and `transport` a `Transport` (`transforms.channels.channel`).
    """

    name: str
    reads: tuple[str, ...]
    addresses: Callable[[Facts], Sequence[str]]
    granted: bool
    message: str
    settings: str
    transport: str
    several: bool = False
    key: Callable[[str], str] | None = None
    shared: bool = False
    linked: bool = False
    follows: Follows | None = None


@cache
def channels() -> Mapping[str, Channel]:
    """The installed channels by name, in the order of their names; loaded once a process.

    Raises:
      ChannelError: one cannot be loaded, or two have the same name.
    """
    return MappingProxyType({name: _loaded(name, place) for name, place in installed().items()})


def _loaded(name: str, place: Installed) -> Channel:
    try:
        channel = place.entry.load()
    except (Exception, SystemExit) as error:  # a package of others, which may do anything when it is imported
        raise ChannelError(f"{place} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(channel, Channel) or channel.name != name:
        raise ChannelError(f"{place}: {place.entry.value} is no Channel of that name")
    return channel


def part_of(channel: str, part: str, kind: type[_Part]) -> _Part:
    """A part of a channel that stands in a module of its own: `message`, `settings` or `transport`.

    Raises:
      ChannelError: it is not there, or something else.
    """
    named = getattr(channels()[channel], part)
    try:
        found = resolve_name(named)
    except (ImportError, AttributeError, ValueError) as error:
        raise ChannelError(f"{installed()[channel]}: its {part} {named} cannot be loaded: {error}") from error
    if not isinstance(found, kind):
        raise ChannelError(f"{installed()[channel]}: its {part} {named} is no {kind.__name__}")
    return found


@cache
def attributes_of(channel: str) -> tuple[str, ...]:
    """The attributes that a channel's addresses are made of."""
    return tuple(name for name in channels()[channel].reads if not name.startswith("#"))


def shared_key(channel: str, address: str) -> str:
    """What an address that users may share is known by; empty for one that they cannot."""
    declared = channels().get(channel)
    return declared.key(address) if declared is not None and declared.shared and declared.key else ""


def versions() -> dict[str, str]:
    """The versions of the installed channels by name: what a launch records."""
    return {name: place.version for name, place in installed().items()}


def check_installed(launched: Mapping[str, str]) -> None:
    """See that this process has the channels that a job was launched with.

    Raises:
      ChannelError: one is missing, or of another version.
    """
    here = versions()
    for name, version in launched.items():
        if here.get(name) != version:
            found = f"has version {here[name]}" if name in here else "lacks it"
            raise ChannelError(
                f"the job was launched with channel `{name}` {version}, and this worker {found}: install the same "
                "packages where jobs are launched and on workers"
            )
