"""Messages that are handed on together by a live source, as one element: a local runner costs as much for each."""

import msgspec

from transforms.events.sources import Message

__all__ = ["decode_messages", "encode_messages"]

encode_messages = msgspec.msgpack.Encoder().encode
decode_messages = msgspec.msgpack.Decoder(list[Message]).decode
