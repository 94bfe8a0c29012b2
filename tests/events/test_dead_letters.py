"""A dead letter is one line that gives the payload back."""

import json
from base64 import b64decode

from hypothesis import given
from hypothesis import strategies as st

from transforms.events.dead_letter import DeadLetter
from transforms.events.decode import Cause


def test_a_line() -> None:
    letter = DeadLetter(b'{"type": "group"}\x00', "events.jsonl", Cause.UNKNOWN_TYPE, '`type` is "group"', 250_000)
    assert json.loads(letter.to_json()) == {
        "payload": '{"type": "group"}\x00',
        "source": "events.jsonl",
        "cause": "unknown_type",
        "detail": '`type` is "group"',
        "time": "1970-01-01T00:00:00.250000Z",
    }


@given(st.binary() | st.text().map(str.encode))
def test_every_payload_comes_back(payload: bytes) -> None:
    line = DeadLetter(payload, "s", Cause.NOT_JSON, "d", 0).to_json()
    assert "\n" not in line
    record = json.loads(line.encode())
    text = record["payload"]
    assert payload == (b64decode(text) if record.get("encoding") == "base64" else text.encode())
