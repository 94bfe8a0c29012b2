"""Where the messages of a job go, as its launch was told."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from transforms.campaigns.effects import Send
from transforms.channels.channel import Opening, Sender, Told, settings_of, transport_of
from transforms.channels.outbox import Outbox
from transforms.channels.settings import MailSettings
from transforms.identity.channels import channels as every_channel
from transforms.identity.channels import versions
from transforms.storage.store import Store

__all__ = ["Channels"]


class Channels(msgspec.Struct, frozen=True):
    """Where messages go: what the launch `told` of channels. A channel of which nothing was told writes to the outbox,
    a folder; but what goes to an inbox goes to the store's where there is one.

    `replay` lets channels take `decided_at` as their clock, as the outbox of a bounded run does. It is for replaying
    history into servers on this machine; anybody else must see old sends expire. `installed` are the versions of the
    channels where the job was launched, which workers must have, too. `variables` are those of the environment that the
    launch said, for workers whose environment nobody can set: of secrets only where they lie.
    """

    outbox: str
    told: Told = {}
    replay: bool = False
    installed: dict[str, str] = msgspec.field(default_factory=versions)
    variables: Mapping[str, str] = {}

    @property
    def named(self) -> frozenset[str]:
        """The channels that reach somebody beyond this system."""
        return frozenset(self.told.keys() & every_channel().keys())

    @property
    def in_turn(self) -> frozenset[str]:
        """The named channels whose messages wait for few connections."""
        return frozenset(name for name in self.named if transport_of(name).in_turn)

    @property
    def environment(self) -> Mapping[str, str]:
        """What a worker takes for its environment; what the launch said stands over the worker's own."""
        return {**os.environ, **self.variables}

    def open(self, settings: MailSettings, store: Store | None) -> dict[str, Sender]:
        """What sends, by channel, with secrets from the environment."""
        opening = Opening(self.told, self.environment, settings, store)
        found: dict[str, Sender] = dict.fromkeys(every_channel(), Outbox(Path(self.outbox), settings))
        for name in found:
            if name in self.named or (store is not None and settings_of(name).stored):
                found[name] = transport_of(name).open(opening)
        return found

    def clock(self, now: Callable[[], int], *, bounded: bool) -> Callable[[Send], int]:
        """What time counts for a send: its decision where a bounded run keeps it to itself, else the wall clock."""
        named = frozenset() if self.replay else self.named

        def clock(send: Send) -> int:
            return send.decided_at if bounded and send.channel not in named else now()

        return clock
