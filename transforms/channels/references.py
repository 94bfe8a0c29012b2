"""What a message carries so that its provider, or an app, can say which send it speaks of.

A reference is sealed: providers keep it and log it, and it names a user. Nobody can make one up, or make one of it for
another send, so that whoever has it was given the message.
"""

import msgspec

from transforms.campaigns.effects import Send
from transforms.channels.tokens import SigningKeys

__all__ = ["REFERENCE", "REFERENCE_HEADER", "SendReference", "read_reference", "reference_of", "reference_to"]

#: The name under which a reference stands among a push's data, a mail's arguments, and parameters of an address; and
#: the header of a mail.
REFERENCE, REFERENCE_HEADER = "todoke_reference", "X-Todoke-Reference"
_PURPOSE = "send"


class SendReference(msgspec.Struct, frozen=True, array_like=True):
    """What a receipt says of a send; `user` is whom it was decided for."""

    user: str
    send: str
    channel: str
    campaign: str
    step: str
    message: str
    variant: str | None
    topic: str | None


def reference_to(send: Send, keys: SigningKeys) -> str:
    """The reference of a send, the same each time."""
    return keys.seal(_PURPOSE, reference_of(send))


def reference_of(send: Send) -> SendReference:
    """What is said of a send."""
    said = (send.user, send.id, send.channel, send.campaign, send.step, send.message, send.variant, send.topic)
    return SendReference(*said)


def read_reference(token: str, keys: SigningKeys) -> SendReference:
    """The send that a reference is to.

    Raises:
      BadToken: it was not made with these keys, or was changed.
    """
    return keys.unseal(_PURPOSE, token, SendReference)
