"""What Twilio tells of text messages, signed for the address that it asks."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import httpx
import pytest
from engage_service import Service, serving
from webhook_cases import PHONE, known, reference, told

from services.engage.access import EngageAccess
from services.engage.webhooks.twilio import verify_twilio
from transforms.channels.references import REFERENCE

URL = "https://engage.shop.example"
STATUS, REPLIES = "/v1/webhooks/twilio/status", "/v1/webhooks/twilio/replies"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path, access=EngageAccess(twilio_tokens=("new-token", "old-token"), url=URL)) as service:
        known(service)
        yield service


def post(
    service: Service, path: str, form: dict[str, str], *, token: str = "new-token", signed_for: str = "", body: str = ""
) -> httpx.Response:
    """As Twilio signs: https://www.twilio.com/docs/usage/security#validating-requests"""
    text = (signed_for or URL + path) + "".join(name + form[name] for name in sorted(form))
    signature = base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()
    headers = {"x-twilio-signature": signature, "content-type": "application/x-www-form-urlencoded"}
    return service.ask("POST", path, content=body or urlencode(form), headers=headers)


def status(said: str, **more: str) -> dict[str, str]:
    return {"MessageSid": "SM1", "MessageStatus": said, "To": PHONE, "From": "Shop", **more}


def test_the_example_of_twilios_own_libraries_is_genuine() -> None:
    """https://github.com/twilio/twilio-python/blob/main/tests/unit/test_request_validator.py"""
    form = {"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234", "From": "+14158675309"}
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    verify_twilio(url, form | {"To": "+18005551212"}, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", ["other", "12345"])


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (status("delivered"), "delivered"),
        (status("read"), "delivered"),
        (status("undelivered", ErrorCode="30005"), "bounced"),
        (status("undelivered", ErrorCode="30003"), "soft_bounced"),
        (status("undelivered"), "soft_bounced"),
        (status("failed", ErrorCode="21610"), "unsubscribed"),
        (status("failed", ErrorCode="30007"), "failed"),
    ],
)
def test_each_status(service: Service, said: dict[str, str], kind: str) -> None:
    for _ in range(2):
        assert post(service, STATUS, said).status_code == 204
    assert told(service) == [("ann", kind, PHONE, "")] * 2
    first, again = service.receipts()
    assert first["id"] == again["id"]


@pytest.mark.parametrize("said", ["queued", "sending", "sent", "accepted", ""])
def test_what_is_on_its_way_is_nothing_yet(service: Service, said: str) -> None:
    assert post(service, STATUS, status(said)).status_code == 204
    assert service.receipts() == []


def test_the_address_leads_to_the_send_and_is_signed(service: Service) -> None:
    path = f"{STATUS}?{REFERENCE}={quote(reference('bob', 's7', 'sms'))}"
    assert post(service, path, status("delivered")).status_code == 204
    assert told(service) == [("bob", "delivered", PHONE, "s7")]
    other = f"{STATUS}?{REFERENCE}={reference('eve', 's8', 'sms')}"
    assert post(service, other, status("delivered"), signed_for=URL + path).status_code == 403


def test_stop_and_start_are_heard_at_once(service: Service) -> None:
    for word in ("Stop.", "START", "Hello"):
        answer = post(service, REPLIES, {"From": PHONE, "Body": word, "MessageSid": f"SM{word}"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
        assert answer.content.endswith(b"<Response/>")
    assert post(service, REPLIES, {"From": "+810000000000", "Body": "STOP", "MessageSid": "SM9"}).status_code == 200
    assert [(user, kind) for user, kind, _, _ in told(service)] == [("ann", "unsubscribed"), ("ann", "resubscribed")]


def test_a_reply_that_is_played_again_is_the_same(service: Service) -> None:
    """Twilio signs no time: an old START after a STOP would take that back, if it were another message."""
    for word, sid in (("START", "SM1"), ("STOP", "SM2"), ("START", "SM1")):
        post(service, REPLIES, {"From": PHONE, "Body": word, "MessageSid": sid})
    assert [each["id"] for each in service.receipts()] == ["sms:SM1", "sms:SM2", "sms:SM1"]


def test_an_old_token_counts_until_it_is_gone(service: Service) -> None:
    assert post(service, STATUS, status("delivered"), token="old-token").status_code == 204


@pytest.mark.parametrize("path", [STATUS, REPLIES])
def test_what_twilio_did_not_sign_is_refused(service: Service, path: str) -> None:
    form = {"From": PHONE, "To": PHONE, "Body": "STOP", "MessageSid": "SM1", "MessageStatus": "undelivered"}
    for answer in (
        post(service, path, form, token="other-token"),
        post(service, path, form, signed_for=f"https://other.example{path}"),
        post(service, path, form, body=urlencode({**form, "From": "+819999999999", "To": "+819999999999"})),
        post(service, path, form, body=f"{urlencode(form)}&Body=STOP"),
        post(service, path, form, body="é"),
        post(service, path, form, body="&".join(f"a{number}=1" for number in range(500))),
        service.ask("POST", path, data=form),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "signature")
    assert service.receipts() == []
