"""Receipts of any other system: signed as Standard Webhooks has it, read one by one."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from engage_service import Service, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook
from webhook_cases import ANN, known, reference, told, unreadable

from services.engage.access import EngageAccess

SECRET, OLD_SECRET, OTHER = (f"whsec_{letter * 44}" for letter in "abc")
TIME = "2026-02-02T00:00:00Z"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path, access=EngageAccess(receipt_secrets=(SECRET, OLD_SECRET))) as service:
        known(service)
        yield service


def post(service: Service, said: Any, *, secret: str = SECRET, age: int = 0, **changed: Any) -> httpx.Response:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    at = datetime.now(UTC) - timedelta(seconds=age)
    signature = Webhook(secret).sign("msg_1", at, body.decode("utf-8", "replace"))
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
    headers |= {f"webhook-{name}": value for name, value in changed.items() if name != "body"}
    return service.ask("POST", "/v1/webhooks/standard", content=changed.get("body", body), headers=headers)


def receipt(kind: str = "bounced", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "channel": "email", "time": TIME, "address": ANN, **more}


def test_a_receipt_names_its_message_in_three_ways(service: Service) -> None:
    by_reference = receipt(reference=reference("bob", "s7"), address="")
    by_user = receipt("opened", userId="eve", send="s8", id="o1", address="")
    answer = post(service, {"receipts": [by_reference, by_user, receipt("complained")]})
    assert answer.json() == {"taken": 3, "refused": []}
    assert told(service) == [("bob", "bounced", "", "s7"), ("eve", "opened", "", "s8"), ("ann", "complained", ANN, "")]
    assert [each["id"] for each in service.receipts()] == ["standard:msg_1:0", "standard:o1", "standard:msg_1:2"]


def test_one_alone_and_again(service: Service) -> None:
    for _ in range(2):
        assert post(service, receipt(), secret=OLD_SECRET).json()["taken"] == 1
    first, again = service.receipts()
    assert first["id"] == again["id"]


def test_of_a_request_that_is_partly_bad_the_good_counts_and_the_rest_is_kept(service: Service) -> None:
    bad = [
        receipt("accepted"),
        receipt("eaten"),
        receipt(channel="fax"),
        receipt(time="soon"),
        receipt(time="2026-02-02T00:00:00"),
        receipt(address=""),
        receipt(userId="null"),
        {"kind": 5},
        "x",
    ]
    answer = post(service, {"receipts": [*bad, receipt()]}).json()
    assert answer["taken"] == 1
    assert len(answer["refused"]) == len(bad)
    assert len(unreadable(service)) == len(bad)
    for body in (b"\xff", b"5", b"[]", b'{"receipts":5}'):
        assert post(service, body).status_code in (400, 403)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_is_refused_whole(service: Service, word: str) -> None:
    """Some programs write so what is no number. Where such a word ends is not said anywhere: nothing of it is read."""
    answer = post(service, f'{{"receipts":[{json.dumps(receipt())},{{"time":{word}}}]}}'.encode())
    assert (answer.status_code, answer.json()["code"]) == (400, "not_json")
    assert service.receipts() == []


@pytest.mark.parametrize(
    "changed",
    [
        {"secret": OTHER},
        {"age": 301},
        {"age": -301},
        {"body": json.dumps(receipt("complained")).encode()},
        {"id": "msg_2"},
        {"timestamp": "nan"},
        {"timestamp": ""},
        {"signature": ""},
        {"signature": "v1"},
        {"signature": "v1,x,y v2,z"},
    ],
)
def test_what_was_not_signed_lately_is_refused(service: Service, changed: dict[str, Any]) -> None:
    answer = post(service, receipt(), **changed)
    assert (answer.status_code, answer.json()["code"]) == (403, "signature")
    assert service.receipts() == []


#: What JSON can say: it has no word for what is no number.
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.none() | st.booleans() | st.text(max_size=8) | NUMBERS


@settings(suppress_health_check=list(HealthCheck), max_examples=30)
@given(st.lists(st.dictionaries(st.sampled_from([*receipt("x"), "userId", "reference", "topic"]), VALUES), max_size=3))
def test_any_receipt_is_taken_or_listed(tmp_path_factory: pytest.TempPathFactory, said: list[dict[str, Any]]) -> None:
    with serving(tmp_path_factory.mktemp("any"), access=EngageAccess(receipt_secrets=(SECRET,))) as service:
        known(service)
        answer = post(service, {"receipts": [{**receipt(), **each} for each in said]})
        assert answer.status_code == 200
        assert answer.json()["taken"] + len(answer.json()["refused"]) <= len(said)
