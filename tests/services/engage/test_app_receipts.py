"""`POST /v1/receipts`: an app speaks of the pushes that it got, and of no others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from engage_service import NOW, OLD_KEYS, Service, serving
from webhook_cases import reference

from services.collect.keys import Keys, KeySource
from services.engage.access import EngageAccess
from transforms.events.times import write_time

KEY, SLOW_KEY = "write-key-of-the-shop", "write-key-of-the-slow"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    sources = [
        KeySource((KEY,), "shop", frozenset({"https://shop.example"})),
        KeySource((SLOW_KEY,), "slow", rate=1.0),
    ]
    with serving(tmp_path, access=EngageAccess(write_keys=Keys(sources, lambda: 0.0))) as service:
        yield service


def said(kind: str = "opened", user: str = "ann", **more: Any) -> dict[str, Any]:
    return {"reference": reference(user, "s1", "push"), "kind": kind, **more}


def post(service: Service, *receipts: Any, key: str = KEY, **more: Any) -> httpx.Response:
    return service.ask("POST", "/v1/receipts", json={"receipts": receipts}, auth=(key, ""), **more)


def test_an_app_tells_what_became_of_a_push(service: Service) -> None:
    assert post(service, said("delivered"), said(time=write_time(NOW - 5))).json() == {"taken": 2, "refused": []}
    delivered, opened = service.receipts()
    assert (opened["userId"], opened["kind"], opened["channel"]) == ("ann", "opened", "push")
    assert (opened["send"], opened["campaign"], opened["step"]) == ("s1", "win_back", "hello")
    assert (opened["message"], opened["topic"]) == ("hello_mail", "offers")
    assert (opened["time"], delivered["time"]) == (write_time(NOW - 5), write_time(NOW))


def test_the_key_may_stand_in_the_body(service: Service) -> None:
    answer = service.ask("POST", "/v1/receipts", json={"writeKey": KEY, "receipts": [said()]})
    assert answer.json()["taken"] == 1


def test_no_clock_of_a_phone_goes_before_ours(service: Service) -> None:
    post(service, said(time=write_time(NOW + 10**12)))
    assert [each["time"] for each in service.receipts()] == [write_time(NOW)]


def test_nobody_speaks_of_a_push_that_somebody_else_got(service: Service) -> None:
    whole = said()["reference"]
    wrong: list[Any] = [
        said(reference=whole[:-2]),
        said(reference=whole.replace("b.", "a.", 1)),
        said(reference="s1"),
        said(reference=service.desk.keys.sign("send", ["eve", "s1", "push", "c", "s", "m", None, None])),
        said(reference=OLD_KEYS.seal("send", ["eve"])),
        said(reference=reference("ann", "s1", "email")),
        {"userId": "ann", "send": "s1", "kind": "opened"},
        said("bounced"),
        said("unsubscribed"),
        said(time="soon"),
        said(kind=5),
        "x",
        5,
    ]
    answer = post(service, *wrong, said()).json()
    assert answer["taken"] == 1
    assert [each["index"] for each in answer["refused"]] == list(range(len(wrong)))
    assert whole[:-2] not in str(answer)
    assert {each["detail"] for each in answer["refused"][:4]} == {"`reference` is none that was made here"}


def test_without_a_write_key_nothing_is_taken(service: Service) -> None:
    for key in ("", "other", KEY[:-1], KEY + " "):
        answer = post(service, said(), key=key)
        assert (answer.status_code, answer.json()["code"]) == (401, "write_key")
    assert service.receipts() == []


def test_bodies_are_bounded_and_read(service: Service) -> None:
    assert post(service, *[said()] * 101).status_code == 413
    assert service.ask("POST", "/v1/receipts", content=b" " * 300_000, auth=(KEY, "")).status_code == 413
    for body in (b"", b"[]", b"\xff", b'{"receipts":5}', b"[" * 100_000):
        assert service.ask("POST", "/v1/receipts", content=body, auth=(KEY, "")).status_code == 400


def test_a_source_sends_no_more_than_its_rate(service: Service) -> None:
    assert post(service, said(), said(), key=SLOW_KEY).status_code == 200
    late = post(service, said(), key=SLOW_KEY)
    assert (late.status_code, late.headers["retry-after"]) == (429, "2")


def test_browsers_send_from_allowed_origins(service: Service) -> None:
    assert post(service, said(), headers={"origin": "https://shop.example"}).status_code == 200
    assert post(service, said(), headers={"origin": "https://evil.example"}).json()["code"] == "origin"
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    assert service.ask("OPTIONS", "/v1/receipts", headers=asked).status_code == 204


def test_without_keys_there_is_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        assert post(service, said()).json()["code"] == "not_set_up"
