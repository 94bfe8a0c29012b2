"""What SES tells by SNS: only what Amazon signed for our topic counts, and nothing that it says is followed."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from engage_service import NOW, Service, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from webhook_cases import ANN, known, reference, told, unreadable

from services.engage.access import EngageAccess
from services.problems import away
from transforms.channels.references import REFERENCE_HEADER
from transforms.events.times import write_time

TOPIC = "arn:aws:sns:ap-northeast-1:123456789012:ses-events"
HOST = "https://sns.ap-northeast-1.amazonaws.com"
CERTIFICATE_URL = f"{HOST}/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem"
KEY, OTHER_KEY = (rsa.generate_private_key(65537, 2048) for _ in range(2))
BOUNCE = {
    "eventType": "Bounce",
    "bounce": {
        "bounceType": "Permanent",
        "bounceSubType": "General",
        "bouncedRecipients": [{"emailAddress": ANN, "status": "5.1.1"}],
        "timestamp": write_time(NOW),
        "feedbackId": "f1",
    },
    "mail": {"messageId": "m1", "headers": [{"name": "To", "value": ANN}]},
}


def certificate(key: rsa.RSAPrivateKey, *, ended: bool = False) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.fromtimestamp(NOW / 1_000_000, UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=9))
    made = made.not_valid_after(now + timedelta(days=-1 if ended else 9))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def signed(key: rsa.RSAPrivateKey = KEY, *, version: str = "2", **fields: Any) -> dict[str, Any]:
    """A message as SNS signs it (sns-verify-signature-of-message)."""
    said = {"Type": "Notification", "MessageId": "id1", "TopicArn": TOPIC, "Timestamp": write_time(NOW), **fields}
    confirms = said["Type"] != "Notification"
    extra = ("SubscribeURL", "Timestamp", "Token") if confirms else ("Subject", "Timestamp")
    names = [name for name in ("Message", "MessageId", *extra, "TopicArn", "Type") if name in said]
    text = "".join(f"{name}\n{said[name]}\n" for name in names).encode()
    hashed = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = base64.b64encode(key.sign(text, padding.PKCS1v15(), hashed)).decode()
    return {"Signature": signature, "SignatureVersion": version, "SigningCertURL": CERTIFICATE_URL, **said}


def notification(event: Any = BOUNCE, **more: Any) -> dict[str, Any]:
    return signed(**{"Message": json.dumps(event), **more})


class Amazon:
    """What is at Amazon's addresses, and which were asked for."""

    def __init__(self) -> None:
        self.pages = {CERTIFICATE_URL: certificate(KEY)}
        self.asked: list[str] = []

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if urlsplit(url).path == "/":
            return b"<ConfirmSubscriptionResponse/>"
        if url not in self.pages:
            raise away("there is nothing")
        return self.pages[url]


@pytest.fixture
def amazon() -> Amazon:
    return Amazon()


@pytest.fixture
def service(tmp_path: Path, amazon: Amazon) -> Iterator[Service]:
    with serving(tmp_path, access=EngageAccess(ses_topics=frozenset({TOPIC}), fetch=amazon.fetch)) as service:
        known(service)
        yield service


def post(service: Service, said: Any) -> httpx.Response:
    return service.ask("POST", "/v1/webhooks/ses", content=said if isinstance(said, bytes) else json.dumps(said))


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_hard_bounce_leads_to_the_user_of_the_mailbox(service: Service, amazon: Amazon, version: str) -> None:
    for _ in range(2):
        assert post(service, notification(version=version, Subject="Amazon SES")).json()["taken"] == 1
    assert told(service) == [("ann", "bounced", ANN, "")] * 2
    first, again = service.receipts()
    assert first["id"] == again["id"], "the users' state takes it once"
    assert (first["channel"], first["reason"]) == ("email", "Permanent/General")
    assert amazon.asked == [CERTIFICATE_URL], "a certificate is got once"


def test_what_the_mail_carried_leads_to_its_send_whatever_the_mailbox(service: Service) -> None:
    headers = [{"name": REFERENCE_HEADER.lower(), "value": reference("bob", "s7")}]
    bounce = {**BOUNCE, "mail": {"messageId": "m1", "headers": headers}}
    assert post(service, notification(bounce)).json() == {"taken": 1, "refused": []}
    [receipt] = service.receipts()
    assert (receipt["userId"], receipt["send"], receipt["campaign"]) == ("bob", "s7", "win_back")
    forged = [{"name": REFERENCE_HEADER, "value": reference("bob", "s7")[:-1]}]
    assert post(service, notification({**BOUNCE, "mail": {"messageId": "m2", "headers": forged}})).json()["taken"] == 1
    assert told(service)[1] == ("ann", "bounced", ANN, ""), "else the mailbox says whose it is"


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("soft_bounced", {"bounce": {**BOUNCE["bounce"], "bounceType": "Transient"}, "eventType": "Bounce"}),  # type: ignore[dict-item]
        ("soft_bounced", {"bounce": {**BOUNCE["bounce"], "bounceType": "Undetermined"}, "eventType": "Bounce"}),  # type: ignore[dict-item]
        ("bounced", {"bounce": BOUNCE["bounce"], "notificationType": "Bounce"}),
        (
            "complained",
            {
                "eventType": "Complaint",
                "complaint": {
                    "complainedRecipients": [{"emailAddress": f"Ann <{ANN.upper()}>"}],
                    "timestamp": write_time(NOW),
                    "complaintFeedbackType": "abuse",
                },
            },
        ),
        ("delivered", {"eventType": "Delivery", "delivery": {"timestamp": write_time(NOW), "recipients": [ANN]}}),
    ],
)
def test_each_kind(service: Service, kind: str, about: dict[str, Any]) -> None:
    assert post(service, notification({"mail": {"messageId": "m1"}, **about})).json()["taken"] == 1
    assert [(user, said) for user, said, _, _ in told(service)] == [("ann", kind)]


@pytest.mark.parametrize("kind", ["Send", "Open", "Click", "Reject", "DeliveryDelay", "Subscription", "Anything"])
def test_what_is_not_for_us_is_passed_over(service: Service, kind: str) -> None:
    assert post(service, notification({"eventType": kind, "mail": {"messageId": "m"}})).json() == {
        "taken": 0,
        "refused": [],
    }


def test_a_complaint_that_says_the_contrary_is_none(service: Service) -> None:
    about = {
        "complainedRecipients": [{"emailAddress": ANN}],
        "timestamp": write_time(NOW),
        "complaintFeedbackType": "not-spam",
    }
    post(service, notification({"eventType": "Complaint", "complaint": about, "mail": {"messageId": "m"}}))
    assert told(service) == []


def test_a_mail_of_another_system_is_of_nobody(service: Service) -> None:
    bounce = {**BOUNCE["bounce"], "bouncedRecipients": [{"emailAddress": "nobody@example.com"}]}  # type: ignore[dict-item]
    assert post(service, notification({**BOUNCE, "bounce": bounce})).json() == {"taken": 0, "refused": []}
    assert 'told_total{provider="ses",outcome="nobody"} 1' in service.ask("GET", "/metrics").text


@pytest.mark.parametrize("message", ["", "no JSON", "[]", '{"eventType":"Bounce","mail":{"messageId":"m"}}', "5" * 99])
def test_what_cannot_be_read_is_kept(service: Service, message: str) -> None:
    assert len(post(service, signed(Message=message)).json()["refused"]) == 1
    assert unreadable(service) == [("engage: ses", message)]


WRONG: dict[str, dict[str, Any]] = {
    "signed by another": notification() | {"Signature": signed(OTHER_KEY, Message=json.dumps(BOUNCE))["Signature"]},
    "changed": notification() | {"Message": json.dumps(BOUNCE).replace(ANN, "bob@example.com")},
    "of another topic": notification(TopicArn=TOPIC + "2"),
    "no topic": notification(TopicArn="x"),
    "too old": notification(Timestamp=write_time(NOW - 25 * 3_600_000_000)),
    "of the future": notification(Timestamp=write_time(NOW + 25 * 3_600_000_000)),
    "no time": notification(Timestamp="now"),
    "no signature": notification() | {"Signature": ""},
    "an unknown version": notification() | {"SignatureVersion": "3"},
    "a subject that was added": notification() | {"Subject": "x"},
    **{
        url: notification() | {"SigningCertURL": url}
        for url in (
            CERTIFICATE_URL.replace("https", "http"),
            CERTIFICATE_URL.replace("amazonaws.com", "amazonaws.com.evil.example"),
            CERTIFICATE_URL.replace("https://", "https://evil.example/"),
            CERTIFICATE_URL.replace("https://", "https://evil.example#@"),
            CERTIFICATE_URL.replace("https://", "https://user@"),
            CERTIFICATE_URL.replace(".com/", ".com:444/"),
            CERTIFICATE_URL.replace("ap-northeast-1", "us-east-1"),
            f"{HOST}/evil-bucket/SimpleNotificationService-1.pem",
            f"{CERTIFICATE_URL}?x=1",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::1",
            "",
        )
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_what_amazon_did_not_sign_for_us_is_refused_and_nothing_is_got(
    service: Service, amazon: Amazon, name: str
) -> None:
    answer = post(service, WRONG[name])
    assert (answer.status_code, answer.json()["code"]) == (403, "signature")
    assert service.receipts() == []
    assert set(amazon.asked) <= {CERTIFICATE_URL}
    assert "signature" in service.ask("GET", "/metrics").text


@pytest.mark.parametrize("page", [b"", b"no certificate", certificate(KEY, ended=True), certificate(OTHER_KEY)])
def test_a_certificate_that_is_none_or_has_ended_proves_nothing(service: Service, amazon: Amazon, page: bytes) -> None:
    amazon.pages[CERTIFICATE_URL] = page
    assert post(service, notification()).status_code == 403


def test_without_the_certificate_amazon_shall_come_again(service: Service, amazon: Amazon) -> None:
    del amazon.pages[CERTIFICATE_URL]
    assert post(service, notification()).status_code == 503


def confirmation(**more: Any) -> dict[str, Any]:
    said = {
        "Type": "SubscriptionConfirmation",
        "Message": "You have chosen",
        "Token": "t&1",
        "SubscribeURL": HOST,
        **more,
    }
    return signed(**said)


def test_a_subscription_is_confirmed_at_amazon_alone(service: Service, amazon: Amazon) -> None:
    assert post(service, confirmation(SubscribeURL="http://169.254.169.254/")).status_code == 200
    url = urlsplit(amazon.asked[-1])
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{HOST}/"
    assert parse_qs(url.query) == {"Action": ["ConfirmSubscription"], "TopicArn": [TOPIC], "Token": ["t&1"]}
    asked = len(amazon.asked)
    for wrong in (
        confirmation(TopicArn="arn:aws:sns:us-east-1:999999999999:theirs"),
        confirmation() | {"Token": "other"},
        signed(Type="UnsubscribeConfirmation", Message="m", Token="t", SubscribeURL=HOST),
    ):
        post(service, wrong)
    assert len(amazon.asked) == asked, "and who wants it ended does not make us subscribe again"


@settings(suppress_health_check=list(HealthCheck), max_examples=30)
@given(
    st.binary(max_size=60)
    | st.dictionaries(st.sampled_from([*notification(), "Token"]), st.none() | st.text() | st.integers()).map(
        lambda said: json.dumps({**notification(), **said}).encode()
    )
)
def test_any_body_is_answered(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    access = EngageAccess(ses_topics=frozenset({TOPIC}), fetch=Amazon().fetch)
    with serving(tmp_path_factory.mktemp("sns"), access=access) as service:
        assert post(service, body).status_code in (200, 400, 403)
