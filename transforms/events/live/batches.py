"""Messages that a live source hands on together, as one element: a local runner costs as much for one as for many."""

from collections.abc import Sequence

import msgspec

from transforms.events.sources import Message

__all__ = ["decode_messages", "encode_messages"]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Message])


def encode_messages(messages: Sequence[Message]) -> bytes:
    """Messages as one element."""
    return _encoder.encode(messages)


def decode_messages(batch: bytes) -> list[Message]:
    """The messages of an element."""
    return _decoder.decode(batch)
