"""The parts of a channel that concern its provider: what a launch says of it, and how messages are handed over.

A `Channel` (`transforms.identity.channels`) names where its parts stand.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import msgspec

from transforms.campaigns.effects import Send
from transforms.channels.outcome import Outcome
from transforms.channels.settings import OWN_SECRETS, MailSettings, secret_of
from transforms.channels.tokens import SIGNING_KEYS
from transforms.events.times import write_time
from transforms.identity.channels import channels, part_of
from transforms.messages.definitions import Message
from transforms.storage.store import Store

__all__ = [
    "ChannelSettings",
    "Flag",
    "Opening",
    "OutboxFile",
    "OutboxLine",
    "Sender",
    "Told",
    "Transport",
    "every_secret",
    "every_variable",
    "line_head",
    "read_flag",
    "secret_values",
    "settings_of",
    "transport_of",
]

#: What a launch says of channels: by the name of a flag, without its dashes, its values; none of one without a value.
Told = Mapping[str, tuple[str, ...]]


_Said = TypeVar("_Said")
_Meant = TypeVar("_Meant")


class Flag(msgspec.Struct, frozen=True):
    """A flag of the command line. Without `metavar` it has no value; `repeated`: it may be given more than once."""

    name: str
    help: str
    metavar: str = "URL"
    repeated: bool = False


def _nothing(_told: Told, _environment: Mapping[str, str]) -> None:
    pass


def _nothing_of(_told: Told, _environment: Mapping[str, str], _messages: Sequence[Message]) -> None:
    pass


def _everything(told: Told) -> Told:
    return told


class ChannelSettings(msgspec.Struct, frozen=True):
    """What a channel is told at a launch, and takes from the environment.

    The first of `flags` has the channel's name: where it is given, messages leave this system, else they go to the
    outbox. The others begin with the name and a dash. `variables` are those of the environment that it takes; `secrets`
    are others of them, which must be seen by nobody (`settings.secret_of` reads them). `receipts` says of which
    failures the user's state is told more than that there was one: by the reason of a failed `Outcome` the kind of
    receipt. `stored`: messages go to the store, and no flag is needed for that. `private`: messages may name secrets of
    the environment.

    `check`, where one of the flags is given, raises a ValueError for what cannot be, which names the flag and says what
    to do; so does `check_messages`, where the first is given, of the channel's messages; `check_here`, where the
    workers are on this machine; and `check_access`, where the provider would ask for credentials that are not there.
    `travels` is what workers are told: no secret.
    """

    flags: tuple[Flag, ...] = ()
    variables: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    receipts: Mapping[str, str] = {}
    stored: bool = False
    private: bool = False
    check: Callable[[Told, Mapping[str, str]], None] = _nothing
    check_messages: Callable[[Told, Mapping[str, str], Sequence[Message]], None] = _nothing_of
    check_here: Callable[[Told, Mapping[str, str]], None] = _nothing
    check_access: Callable[[Told, Mapping[str, str]], None] = _nothing
    travels: Callable[[Told], Told] = _everything


class Opening(msgspec.Struct, frozen=True):
    """What a transport is opened with; `store` is None where nothing is kept."""

    told: Told
    environment: Mapping[str, str]
    settings: MailSettings
    store: Store | None = None


class Sender(Protocol):
    """Hands messages to one provider. Used on one event loop; never tries one message a second time by itself."""

    def make(self, send: Send, rendered: Any) -> Any:
        """What `send` hands over, or an `Outcome` where it cannot be: an address that is none, a message too large.

        All that can fail without a provider fails here, before the send is claimed.
        """

    async def send(self, send: Send, made: Any) -> Outcome:
        """Hand over what was made. What a provider or a network can do is an outcome, not an exception.

        Raises:
          NotWritten: nor can any other message be written now, as on a full disk.
        """

    async def close(self) -> None:
        """Let connections and files go."""


class OutboxLine(msgspec.Struct, frozen=True, kw_only=True):
    """What every line of an outbox says, before what its channel adds. `decided_at` is ISO 8601 in UTC with Z."""

    send_id: str
    campaign: str
    step: str
    variant: str | None
    user: str
    decided_at: str


class OutboxFile(msgspec.Struct, frozen=True):
    """A file of its own in an outbox, named by the send, in a folder and with an ending."""

    folder: str
    suffix: str
    content: bytes


class Transport(msgspec.Struct, frozen=True):
    """How a channel's messages are handed over: `open` makes a sender.

    `in_turn`: the sender has few connections, for which messages wait; then fewer are started at a time.

    `show` is what an outbox holds of a message in place of handing it over; an `Outcome` where a sender would refuse
    it. A message that goes out raises where it is none of this channel.
    """

    open: Callable[[Opening], Sender]
    show: Callable[[Send, Any, MailSettings], OutboxLine | OutboxFile | Outcome]
    in_turn: bool = False


def line_head(send: Send) -> dict[str, Any]:
    """The fields of `OutboxLine`."""
    return {
        "send_id": send.id,
        "campaign": send.campaign,
        "step": send.step,
        "variant": send.variant,
        "user": send.user,
        "decided_at": write_time(send.decided_at),
    }


def read_flag(flag: str, read: Callable[[_Said], _Meant], said: _Said) -> _Meant:
    """What a flag means.

    Raises:
      ValueError: it means nothing; the text begins with the flag.
    """
    try:
        return read(said)
    except ValueError as error:
        raise ValueError(f"--{flag}: {error}") from error


def settings_of(channel: str) -> ChannelSettings:
    """What a channel is told at a launch.

    Raises:
      ChannelError: it cannot be loaded.
    """
    return part_of(channel, "settings", ChannelSettings)


def transport_of(channel: str) -> Transport:
    """How a channel's messages are handed over.

    Raises:
      ChannelError: it cannot be loaded.
    """
    return part_of(channel, "transport", Transport)


def every_secret() -> list[str]:
    """The variables of the environment that hold secrets of channels."""
    return [secret for channel in channels() for secret in settings_of(channel).secrets]


def every_variable() -> list[str]:
    """The other variables of the environment that channels take."""
    return [variable for channel in channels() for variable in settings_of(channel).variables]


def secret_values(environment: Mapping[str, str]) -> list[str]:
    """What these hold, and what signs links: nobody may see it. One whose file cannot be read is nobody's yet."""
    found = []
    for name in (*every_secret(), *OWN_SECRETS):
        with suppress(ValueError):
            found.append(secret_of(environment, name))
    with suppress(ValueError):  # the keys that sign stand in one text, and each of them is a secret
        found += [part.partition("=")[2].strip() for part in secret_of(environment, SIGNING_KEYS).split(",")]
    return found
