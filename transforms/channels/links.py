"""Links to the service that customers touch: what each says, and where it leads.

All are made when a message is rendered, and are the same at every try. What they say is sealed: nobody else can make
one, and none shows who somebody is.
"""

from hashlib import blake2b

import msgspec

from transforms.campaigns.effects import Send
from transforms.channels.references import SendReference, reference_of
from transforms.channels.tokens import SigningKeys
from transforms.events.consent import EVERY_TOPIC
from transforms.identity.channels import channels

__all__ = [
    "CLICK",
    "OPEN",
    "PREFERENCES",
    "UNSUBSCRIBE",
    "ClickLink",
    "Links",
    "OpenLink",
    "PreferencesLink",
    "UnsubscribeLink",
    "address_digest",
]

#: What tokens are for, and the first part of the paths that take them.
CLICK, OPEN, UNSUBSCRIBE, PREFERENCES = "c", "o", "u", "p"


class ClickLink(msgspec.Struct, frozen=True, array_like=True):
    """A link of a message: its name, where it leads, and how many there are in the message (0: nobody knows)."""

    send: SendReference
    link: str
    target: str
    of: int


class OpenLink(msgspec.Struct, frozen=True, array_like=True):
    """The picture of a mail."""

    send: SendReference


class UnsubscribeLink(msgspec.Struct, frozen=True, array_like=True):
    """Denies the topic of a send, of a transactional one every topic, on its channel for its user.

    `address` is the digest of the receiver's.
    """

    send: SendReference
    address: bytes

    @property
    def topic(self) -> str:
        """What is denied."""
        return self.send.topic or EVERY_TOPIC


class PreferencesLink(msgspec.Struct, frozen=True, array_like=True):
    """Shows and changes the consent of a send's user; `address` is the digest of the receiver's."""

    send: SendReference
    address: bytes


class Links:
    """Makes links.

    Args:
      base: where the service answers, without a slash at its end.
      keys: what seals.
    """

    def __init__(self, base: str, keys: SigningKeys) -> None:
        self.base = base.rstrip("/")
        self._keys = keys

    def __repr__(self) -> str:
        return f"Links({self.base!r}, {self._keys!r})"

    def click(self, send: Send, link: str, target: str, of: int) -> str:
        """Where a link leads that is tracked."""
        return self._url(CLICK, ClickLink(reference_of(send), link, target, of))

    def open(self, send: Send) -> str:
        """Where the picture of a mail is."""
        return self._url(OPEN, OpenLink(reference_of(send)))

    def unsubscribe(self, send: Send) -> str:
        """Where the receiver leaves the topic."""
        return self._url(UNSUBSCRIBE, UnsubscribeLink(reference_of(send), address_digest(send.channel, send.address)))

    def preferences(self, send: Send) -> str:
        """Where the receiver chooses topics."""
        return self._url(PREFERENCES, PreferencesLink(reference_of(send), address_digest(send.channel, send.address)))

    def _url(self, purpose: str, said: object) -> str:
        return f"{self.base}/{purpose}/{self._keys.seal(purpose, said)}"


def address_digest(channel: str, address: str) -> bytes:
    """Eight bytes that tell an address from others without showing it, the same however it is written."""
    declared = channels().get(channel)
    key = address if declared is None or declared.key is None else declared.key(address)
    return blake2b(f"{channel}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
