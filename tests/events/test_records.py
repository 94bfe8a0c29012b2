"""What an export has beside calls: read from files, and unknown where it arrives live."""

import json
from typing import Any

import pytest

from transforms.events.decode import Cause, Refused, decode
from transforms.events.event import Event

TIME = "2026-03-10T12:00:00Z"
MICROS = 1_773_144_000_000_000
LINE = {"type": "set", "messageId": "m", "userId": "ann", "traits": {"a": 1}, "timestamp": TIME, "arrival": TIME}


def line(**fields: Any) -> bytes:
    return json.dumps({name: said for name, said in (LINE | fields).items() if said is not None}).encode()


def test_such_a_line_is_read_from_a_file() -> None:
    assert decode(line())[0] == Event("m", "set", "", MICROS, MICROS, "ann", traits={"a": 1})
    told = {"traits": None, "properties": {"kind": "opened"}, "event": "Email Opened"}
    receipt = decode(line(type="receipt", userId=None, anonymousId="v", **told))[0]
    assert (receipt.name, receipt.user, receipt.anonymous) == ("Email Opened", None, "v")


def test_what_arrives_is_unknown() -> None:
    with pytest.raises(Refused) as refused:
        decode(line(), MICROS)
    assert refused.value.cause is Cause.UNKNOWN_TYPE


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"userId": None}, Cause.UNKNOWN_TYPE),
        ({"anonymousId": "v"}, Cause.UNKNOWN_TYPE),
        ({"arrival": None}, Cause.UNKNOWN_TYPE),
        ({"timestamp": "2026-03-10T13:00:00Z"}, Cause.UNKNOWN_TYPE),
        ({"traits": 5}, Cause.UNKNOWN_TYPE),
        ({"userId": "null"}, Cause.REFUSED_ID),
        ({"traits": {"n": 2**70}}, Cause.UNSUPPORTED),
    ],
)
def test_what_no_export_wrote_is_a_dead_letter(fields: dict[str, Any], cause: Cause) -> None:
    with pytest.raises(Refused) as refused:
        decode(line(**fields))
    assert refused.value.cause is cause
