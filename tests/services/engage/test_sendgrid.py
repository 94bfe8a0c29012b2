"""What SendGrid tells: what it signed counts, event by event."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from engage_service import NOW, Service, serving
from webhook_cases import ANN, known, reference, told, unreadable

from services.engage.access import EngageAccess
from services.engage.webhooks.provider_events import BadSignature
from services.engage.webhooks.sendgrid import SIGNATURE, TIMESTAMP, SendgridKeys
from transforms.channels.references import REFERENCE

#: What SendGrid's own libraries are tested with:
#: https://github.com/sendgrid/sendgrid-python/blob/main/test/unit/test_eventwebhook.py
PUBLISHED_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6w"
    "EA3F+g=="
)
PUBLISHED_SIGNATURE = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
PUBLISHED_BODY = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
    b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
    b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
)
PUBLISHED_TIME = "1600112502"

KEY, OLD_KEY, OTHER_KEY = (ec.derive_private_key(number, ec.SECP256R1()) for number in (11, 12, 13))
SECONDS = NOW // 1_000_000


def public(key: ec.EllipticCurvePrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    access = EngageAccess(sendgrid_keys=SendgridKeys([public(KEY), public(OLD_KEY)]))
    with serving(tmp_path, access=access) as service:
        known(service)
        yield service


def post(service: Service, said: Any, *, key: Any = KEY, at: int | str = SECONDS, **changed: Any) -> httpx.Response:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    signature = base64.b64encode(key.sign(f"{at}".encode() + body, ec.ECDSA(SHA256()))).decode()
    headers = {SIGNATURE: changed.get("signature", signature), TIMESTAMP: str(changed.get("timestamp", at))}
    return service.ask("POST", "/v1/webhooks/sendgrid", content=changed.get("body", body), headers=headers)


def event(kind: str, **more: Any) -> dict[str, Any]:
    return {"event": kind, "email": ANN, "timestamp": SECONDS - 5, "sg_event_id": f"{kind}1", **more}


def test_the_example_of_sendgrids_own_libraries_is_genuine() -> None:
    keys, now = SendgridKeys([public(KEY), PUBLISHED_KEY]), int(PUBLISHED_TIME) * 1_000_000
    keys.verify(PUBLISHED_BODY, PUBLISHED_SIGNATURE, PUBLISHED_TIME, now)
    for body, time in ((PUBLISHED_BODY.strip(), PUBLISHED_TIME), (PUBLISHED_BODY, "1600112503")):
        with pytest.raises(BadSignature):
            keys.verify(body, PUBLISHED_SIGNATURE, time, now)


@pytest.mark.parametrize(
    ("said", "kind", "topic"),
    [
        (event("bounce", type="bounce", reason="550 5.1.1"), "bounced", None),
        (event("bounce", type="blocked"), "soft_bounced", None),
        (event("dropped", reason="Bounced Address"), "bounced", None),
        (event("dropped", reason="Spam Reporting Address"), "complained", None),
        (event("dropped", reason="Unsubscribed Address"), "unsubscribed", "all"),
        (event("dropped", reason="Spam Content (if Spam Checker app enabled)"), "failed", None),
        (event("delivered"), "delivered", None),
        (event("spamreport"), "complained", None),
        (event("unsubscribe"), "unsubscribed", "all"),
        (event("group_unsubscribe"), "unsubscribed", "all"),
    ],
)
def test_each_kind(service: Service, said: dict[str, Any], kind: str, topic: str | None) -> None:
    for _ in range(2):
        assert post(service, [said]).json() == {"taken": 1, "refused": []}
    assert told(service) == [("ann", kind, ANN, "")] * 2
    first, again = service.receipts()
    assert first["id"] == again["id"]
    assert first.get("topic") == topic


def test_what_the_mail_carried_leads_to_its_send_and_its_topic(service: Service) -> None:
    carried = {REFERENCE: reference("bob", "s7")}
    post(service, [event("group_unsubscribe", **carried), event("delivered", **carried)])
    post(service, [event("delivered", **{REFERENCE: reference("bob", "s8", "push")})])
    post(service, [event("delivered", **{REFERENCE: "a.b"})])
    assert [(user, send) for user, _, _, send in told(service)] == [("bob", "s7")] * 2 + [("ann", "")] * 2
    assert service.receipts()[0]["topic"] == "offers"


def test_of_a_request_that_is_partly_bad_the_good_counts_and_the_rest_is_kept(service: Service) -> None:
    bad = [
        5,
        {"event": "bounce"},
        event("bounce", timestamp="soon"),
        event("bounce", timestamp=-1),
        event("bounce", email=None),
    ]
    answer = post(service, [event("bounce"), *bad, event("open"), event("processed"), event("delivered")]).json()
    assert answer["taken"] == 2
    assert [refused["index"] for refused in answer["refused"]] == [1, 2, 3, 4, 5]
    assert [kind for _, kind, _, _ in told(service)] == ["bounced", "delivered"]
    assert sorted(payload for _, payload in unreadable(service)) == sorted(json.dumps(each) for each in bad)
    for body in (b"", b"{}", b"\xff", b"[" * 100_000):
        assert post(service, body).status_code == 400


@pytest.mark.parametrize(
    "changed",
    [
        {"key": OTHER_KEY},
        {"body": json.dumps([event("delivered")]).encode()},
        {"signature": ""},
        {"signature": "é".encode("latin-1")},
        {"signature": base64.b64encode(b"0" * 70).decode()},
        {"timestamp": SECONDS + 1},
        {"at": SECONDS - 26 * 3600},
        {"at": SECONDS + 26 * 3600},
        {"at": "soon"},
        {"at": "9" * 5_000},
    ],
)
def test_what_sendgrid_did_not_sign_lately_is_refused(service: Service, changed: dict[str, Any]) -> None:
    assert post(service, [event("bounce")], **changed).status_code == 403
    assert service.receipts() == []


def test_an_old_key_counts_until_it_is_gone_and_a_key_is_one(service: Service) -> None:
    assert post(service, [event("bounce")], key=OLD_KEY).status_code == 200
    for wrong in ("", "AAAA", PUBLISHED_SIGNATURE):
        with pytest.raises(ValueError, match="part 2 is no verification key"):
            SendgridKeys([public(KEY), wrong])


def test_a_body_is_bounded(service: Service) -> None:
    assert post(service, b"[" + b" " * 1_000_000 + b"]").status_code == 413
