"""A touch: somebody fetched a link of a message. It is noted durably at once, and judged a moment later.

It holds no address and no name of a browser: only the word for what these gave away. Times are microseconds UTC.
"""

import msgspec

from transforms.channels.references import SendReference

__all__ = ["CLICKED", "OPENED", "VISITED", "Touch", "decode_touch", "encode_touch"]

#: What was done: a link or the picture was fetched; or the page that unsubscribes, which is evidence and no receipt.
CLICKED, OPENED, VISITED = "clicked", "opened", "visited"


class Touch(msgspec.Struct, frozen=True, array_like=True):
    """What was done `at` a time with a link of a send.

    `link` is its name, `of` how many links the message has (0: nobody knows), and `by` the word for a machine that gave
    itself away, empty for all others. `id` tells it from others.
    """

    kind: str
    send: SendReference
    link: str
    of: int
    at: int
    by: str
    id: str


encode_touch = msgspec.msgpack.Encoder().encode
decode_touch = msgspec.msgpack.Decoder(Touch).decode
