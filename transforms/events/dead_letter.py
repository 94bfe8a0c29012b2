"""A message that could not be read, kept whole with the reason, so that somebody can mend it and send it again."""

from base64 import b64encode

import msgspec

from transforms.events.times import write_time

__all__ = ["DeadLetter", "payload_json"]


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """One refused message. `source` is a file's name or a subscription; `cause` is one word, as in `decode.Cause`.

    `time` is when the message arrived, or when it was refused where that is unknown (a line of a file): microseconds
    since the epoch, UTC. `handle` is that of the message, see `live.inflight`.
    """

    payload: bytes
    source: str
    cause: str
    detail: str
    time: int
    handle: str = ""

    def to_json(self) -> str:
        """One line of JSON, without its newline: payload, source, cause, detail and time (ISO 8601, UTC).

        A payload that is not UTF-8 is written as base64, and `"encoding": "base64"` says so.
        """
        record = payload_json(self.payload) | {
            "source": self.source,
            "cause": self.cause,
            "detail": self.detail,
            "time": write_time(self.time),
        }
        return msgspec.json.encode(record).decode()


def payload_json(payload: bytes) -> dict[str, str]:
    """A payload as fields of JSON: as text, or as base64 where it is not UTF-8, which `encoding` says."""
    try:
        return {"payload": payload.decode()}
    except UnicodeDecodeError:
        return {"payload": b64encode(payload).decode(), "encoding": "base64"}
