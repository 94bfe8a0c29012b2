"""What LINE tells: who follows the account and who has blocked it."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from engage_service import NOW, Service, serving
from webhook_cases import LINE_ID, known, told, unreadable

from services.engage.access import EngageAccess

STRANGER = "U0000000000"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path, access=EngageAccess(line_secrets=("new-secret", "old-secret"))) as service:
        known(service)
        yield service


def post(service: Service, *events: Any, secret: str = "new-secret", body: bytes | None = None) -> httpx.Response:
    """As LINE signs: https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/"""
    made = json.dumps({"destination": "xxx", "events": events}, ensure_ascii=False).encode()
    signature = base64.b64encode(hmac.new(secret.encode(), made, hashlib.sha256).digest()).decode()
    return service.ask("POST", "/v1/webhooks/line", content=body or made, headers={"x-line-signature": signature})


def event(kind: str, user: str = LINE_ID, **more: Any) -> dict[str, Any]:
    """https://developers.line.biz/en/reference/messaging-api/#follow-event"""
    return {
        "type": kind,
        "mode": "active",
        "timestamp": NOW // 1_000 - 7,
        "source": {"type": "user", "userId": user},
        "webhookEventId": f"01{kind}{user}",
        "deliveryContext": {"isRedelivery": False},
        **more,
    }


def test_who_is_known_follows_and_leaves(service: Service) -> None:
    answer = post(service, event("follow", replyToken="r", follow={"isUnblocked": False}), event("unfollow"))
    assert answer.json() == {"taken": 3, "refused": []}
    visitor = f"~line:{LINE_ID}"
    assert told(service) == [
        ("ann", "followed", LINE_ID, ""),
        ("ann", "unfollowed", LINE_ID, ""),
        (visitor, "unfollowed", LINE_ID, ""),
    ], "who followed before it was known whose the id is has left, too"
    assert service.receipts()[0]["time"] == "2026-02-02T02:39:59.993000Z"


def test_who_is_not_known_is_a_visitor(service: Service) -> None:
    post(service, event("follow", STRANGER))
    assert told(service) == [(f"~line:{STRANGER}", "followed", STRANGER, "")]


def test_what_comes_again_is_the_same(service: Service) -> None:
    for again in (False, True):
        post(service, event("follow", deliveryContext={"isRedelivery": again}))
    first, second = service.receipts()
    assert first == second


def test_other_events_and_the_consoles_own_try_are_answered(service: Service) -> None:
    assert post(service).json() == {"taken": 0, "refused": []}
    assert post(service, event("message", message={"type": "text", "text": "届け"})).json()["taken"] == 0


def test_a_bad_event_spoils_none_of_the_others(service: Service) -> None:
    bad = [event("follow", source={"type": "group"}), {"type": "follow"}, event("unfollow", timestamp=-5)]
    answer = post(service, *bad, event("follow")).json()
    assert (answer["taken"], [each["index"] for each in answer["refused"]]) == (1, [0, 1, 2])
    assert len(unreadable(service)) == 3


def test_what_line_did_not_sign_is_refused(service: Service) -> None:
    assert post(service, event("follow"), secret="old-secret").status_code == 200
    for answer in (
        post(service, event("unfollow"), secret="other"),
        post(service, event("follow"), body=json.dumps({"events": [event("unfollow")]}).encode()),
        service.ask("POST", "/v1/webhooks/line", json={"events": [event("unfollow")]}),
        service.ask(
            "POST", "/v1/webhooks/line", json={"events": []}, headers={"x-line-signature": "é".encode("latin-1")}
        ),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "signature")
    assert [kind for _, kind, _, _ in told(service)] == ["followed"]
