"""Messages that a live source hands on together, as one element: a local runner costs as much for one as for many."""

from collections.abc import Sequence

import msgspec

from transforms.events.sources import ReceivedMessage

__all__ = ["decode_messages", "encode_messages"]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[ReceivedMessage])


def encode_messages(messages: Sequence[ReceivedMessage]) -> bytes:
    """Messages as one element."""
    return _encoder.encode(messages)


def decode_messages(batch: bytes) -> list[ReceivedMessage]:
    """The messages of an element."""
    return _decoder.decode(batch)
