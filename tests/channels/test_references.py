"""What leads from a message back to its send: sealed, in the place that each provider says again."""

import json
from email import policy
from email.parser import BytesParser
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.channels.email.message import RenderedMail
from transforms.channels.email.transport import Composed, compose
from transforms.channels.links import Links
from transforms.channels.push.message import RenderedPush
from transforms.channels.push.settings import parse_fcm
from transforms.channels.push.transport import PAYLOAD_BYTES, Push
from transforms.channels.references import REFERENCE, REFERENCE_HEADER, SendReference, read_reference
from transforms.channels.settings import MailSettings
from transforms.channels.sms.message import RenderedSms
from transforms.channels.sms.settings import parse_sms
from transforms.channels.sms.transport import JsonSms, TwilioSms
from transforms.channels.tokens import BadToken, SigningKeys

OLD, NEW = "o" * 32, "n" * 32
BEFORE, BETWEEN, AFTER = SigningKeys({"a": OLD}), SigningKeys({"b": NEW, "a": OLD}), SigningKeys({"b": NEW})
SETTINGS = MailSettings(signing_keys=BETWEEN)
SENDGRID = "smtp.sendgrid.net"


def leads_to(token, send) -> bool:
    said = SendReference(
        send.user, send.id, send.channel, send.campaign, send.step, send.message, send.variant, send.topic
    )
    return read_reference(token, BETWEEN) == said


def headers(composed):
    assert isinstance(composed, Composed)
    return BytesParser(policy=policy.default).parsebytes(composed.content)


def test_a_mail_says_it_in_a_header_and_to_sendgrid_among_its_arguments(make_send) -> None:
    send = make_send("ada@example.com")
    mail = RenderedMail("S", "T")
    assert leads_to(headers(compose(send, mail, SETTINGS))[REFERENCE_HEADER], send)
    found = headers(compose(send, mail, SETTINGS, SENDGRID))
    assert REFERENCE_HEADER not in found
    assert leads_to(json.loads(found["X-SMTPAPI"])["unique_args"][REFERENCE], send)
    for host in (SENDGRID, "mail.shop.example"):
        assert compose(send, mail, SETTINGS, host) == compose(send, mail, SETTINGS, host), "the same at each try"
        bare = headers(compose(send, mail, MailSettings(), host))
        assert "X-SMTPAPI" not in bare
        assert REFERENCE_HEADER not in bare
    assert "X-SMTPAPI" not in headers(compose(send, mail, SETTINGS, "sendgrid.net.evil.example"))


def test_no_line_of_a_mail_gets_too_long(make_send) -> None:
    for user in ("u" * 256, "語" * 85):
        send = make_send("ada@example.com", user=user, campaign="c" * 300, message="m" * 300)
        for host in ("", SENDGRID):
            composed = compose(send, RenderedMail("S", "T"), SETTINGS, host)
            assert isinstance(composed, Composed)
            assert max(map(len, composed.content.split(b"\r\n"))) <= 998


def test_a_push_says_it_among_its_data_where_there_is_room(make_send) -> None:
    send = make_send("token-1")
    push = Push(parse_fcm("fcm:shop-1@http://127.0.0.1:1"), settings=SETTINGS)
    made = json.loads(push.make(send, RenderedPush("Hi", "", {"a": "b"})))["message"]
    assert made["data"].pop("a") == "b"
    assert leads_to(made["data"][REFERENCE], send)
    full = push.make(send, RenderedPush("Hi", "x" * (PAYLOAD_BYTES - 100)))
    assert isinstance(full, bytes), "a message is not too large for what only leads back"
    assert REFERENCE.encode() not in full


def test_text_messages_say_it_where_twilio_answers_and_to_others(make_send) -> None:
    send, text = make_send("+819012345678", channel="sms"), RenderedSms("Hello", "Shop")
    linked = msgspec.structs.replace(SETTINGS, links=Links("https://shop.example/go", BETWEEN))
    made = TwilioSms(parse_sms("twilio:AC1"), "t", settings=linked).make(send, text)
    callback = urlsplit(parse_qs(made.body.decode())["StatusCallback"][0])
    where = f"{callback.scheme}://{callback.netloc}{callback.path}"
    assert where == "https://shop.example/go/v1/webhooks/twilio/status"
    assert leads_to(parse_qs(callback.query)[REFERENCE][0], send)
    here = msgspec.structs.replace(SETTINGS, links=Links("http://localhost:8600", BETWEEN))
    for settings in (SETTINGS, here):
        assert b"StatusCallback" not in TwilioSms(parse_sms("twilio:AC1"), "t", settings=settings).make(send, text).body
    other = JsonSms(parse_sms("https://sms.example/send"), "t", settings=SETTINGS).make(send, text)
    assert leads_to(msgspec.json.decode(other.body)["reference"], send)


def test_nobody_reads_or_makes_one_without_a_key(make_send) -> None:
    send = make_send("ada@example.com", user="ada@example.com")
    token = MailSettings(signing_keys=BEFORE).reference_to(send)
    assert token == MailSettings(signing_keys=BEFORE).reference_to(send)
    assert leads_to(token, send), "made with a key that is about to go"
    with pytest.raises(BadToken):
        read_reference(token, AFTER)
    with pytest.raises(BadToken):
        read_reference(BETWEEN.sign("send", ["ada"]), BETWEEN)
    with pytest.raises(BadToken):
        read_reference(BETWEEN.seal("other", ["ada"]), BETWEEN)
    with pytest.raises(BadToken):
        read_reference(BETWEEN.seal("send", "ada"), BETWEEN)


@given(st.data())
def test_whatever_is_changed_is_refused(data: st.DataObject) -> None:
    token = BETWEEN.seal("send", ["ada", "s1"])
    place = data.draw(st.integers(0, len(token) - 1))
    changed = token[:place] + data.draw(st.text(max_size=3)) + token[place + data.draw(st.integers(0, 3)) :]
    if changed != token:
        with pytest.raises(BadToken):
            BETWEEN.unseal("send", changed, list[str])
