"""Calls, and dead letters as they are refused, for tests of what is kept of them and replayed."""

import json
from typing import Any

from transforms.events.dead_letter import DeadLetter

#: When the first of them was refused, in microseconds UTC.
NOW = 1_772_000_000_000_000


def call(number: int, **fields: Any) -> bytes:
    """A call that could be applied."""
    said = {"type": "track", "event": "Order Completed", "messageId": f"m{number}", "userId": "ada", **fields}
    return json.dumps({"timestamp": "2026-02-25T06:00:00Z", **said}).encode()


def letter(payload: bytes, number: int = 0, **changes: Any) -> DeadLetter:
    """A dead letter of a payload, refused `number` microseconds after `NOW`."""
    fields = {"source": "pubsub:p/s", "cause": "bad_time", "detail": "d", **changes}
    return DeadLetter(payload, time=NOW + number, **fields)
