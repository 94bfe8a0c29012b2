"""Parts of text messages: numbers, segments, addresses of providers, and replies."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.channels.sms.message import SmsMessage, is_sender
from transforms.channels.sms.numbers import e164
from transforms.channels.sms.replies import is_from_twilio, receipt_of_reply
from transforms.channels.sms.segments import segments_of
from transforms.channels.sms.settings import SETTINGS, parse_sms
from transforms.messages.definitions import Text

ACCOUNT = "AC" + "7" * 32
GSM = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ abcXYZ019ÄÖÑÜ§¿äöñüà"
EXTENDED = "^{}\\[~]|€\f"


@pytest.mark.parametrize(
    ("written", "region", "number"),
    [
        ("+81 90-1234-5678", "", "+819012345678"),
        ("090-1234-5678", "JP", "+819012345678"),
        ("０９０−１２３４−５６７８", "JP", "+819012345678"),
        ("+1 (415) 555-2671", "JP", "+14155552671"),
        ("415 555 2671", "US", "+14155552671"),
        ("090-1234-5678", "", ""),
        ("12", "JP", ""),
        ("no number", "JP", ""),
        ("5551234", "US", ""),
        ("1-800-FLOWERS", "JP", ""),
        ("card 4111 1111 11", "US", ""),
        ("call me 090-1234-5678", "JP", ""),
        ("", "JP", ""),
        ("+1 415 555 2671 ext. 5", "US", ""),
        ("+999123456789", "", ""),
        ("00819012345678", "JP", ""),
        ("0041 79 123 45 67", "JP", ""),
        ("+8100819012345678", "", ""),
        ("00819012345678", "NG", ""),
        ("010 81 90-1234-5678", "JP", "+819012345678"),
        ("0081 90-1234-5678", "DE", "+819012345678"),
        ("011 81 90-1234-5678", "US", "+819012345678"),
        ("+81 (0)90-1234-5678", "", "+819012345678"),
        ("06 1234 5678", "IT", "+390612345678"),
        ("07 07 12 34 56", "CI", "+2250707123456"),
        ("+81 90 1234 5678" + " " * 100_000, "", ""),
    ],
)
def test_numbers(written, region, number) -> None:
    assert e164(written, region) == number


@given(st.text(max_size=30), st.sampled_from(["", "JP", "US", "DE"]))
def test_any_text_is_a_number_in_e164_or_none(text, region) -> None:
    number = e164(text, region)
    assert number == "" or (number[0] == "+" and number[1:].isdecimal() and number[1:].isascii())
    assert e164(number, region) == number


@pytest.mark.parametrize(
    ("text", "alphabet", "number"),
    [
        ("x" * 160, "GSM-7", 1),
        ("x" * 161, "GSM-7", 2),
        ("x" * 306, "GSM-7", 2),
        ("x" * 307, "GSM-7", 3),
        ("€" * 80, "GSM-7", 1),
        ("€" * 81, "GSM-7", 2),
        ("€" * 153, "GSM-7", 3),  # no character is split: 76 of them in one segment
        ("届" * 70, "UCS-2", 1),
        ("届" * 71, "UCS-2", 2),
        ("届" * 134, "UCS-2", 2),
        ("届" * 135, "UCS-2", 3),
        ("😀" * 35, "UCS-2", 1),
        ("😀" * 67, "UCS-2", 3),  # 33 pairs in each of two, and one
        ("ç", "UCS-2", 1),
        ("`", "UCS-2", 1),
    ],
)
def test_segments(text, alphabet, number) -> None:
    assert segments_of(text) == (alphabet, number)


@given(st.text(st.sampled_from(GSM + EXTENDED + "届😀"), max_size=400))
def test_segments_are_as_few_as_their_bits_let_them_be(text) -> None:
    alphabet, number = segments_of(text)
    gsm = all(character in GSM + EXTENDED for character in text)
    assert alphabet == ("GSM-7" if gsm else "UCS-2")
    units = sum(1 + (c in EXTENDED) for c in text) if gsm else len(text.encode("utf-16-le")) // 2
    alone, each = (160, 153) if gsm else (70, 67)
    # One unit of each segment may stay empty, so that a character of two is not split.
    least, most = (1, 1) if units <= alone else (-(-units // each), -(-units // (each - 1)))
    assert least <= number <= most


@pytest.mark.parametrize("text", ["+81312345678", "12345", "Shop", "My Shop 24", "MG" + "a1" * 16])
def test_senders(text) -> None:
    assert is_sender(text)


@pytest.mark.parametrize("text", ["", "+0123456", "12", "A name too long", "Shop!", "123456789", "届け"])
def test_what_is_no_sender(text) -> None:
    assert not is_sender(text)


def test_providers() -> None:
    twilio = parse_sms(f"twilio:{ACCOUNT}")
    assert twilio.url == f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    assert (twilio.account, twilio.local) == (ACCOUNT, False)
    assert parse_sms(f"twilio:{ACCOUNT}@http://127.0.0.1:8080").local
    assert not parse_sms(f"twilio:{ACCOUNT}@https://sms.example.com:8080").local
    assert parse_sms("https://sms.example.com/v1/messages").url == "https://sms.example.com/v1/messages"
    assert parse_sms("http://localhost:8080/messages").local


@pytest.mark.parametrize(
    "url",
    [
        "twilio",
        "twilio:",
        "twilio:me@http://127.0.0.1",
        "fcm:project",
        "http://sms.example.com/messages",
        "https://user:secret@sms.example.com/",
        "https://",
        "http://localhost:0/",
        f"twilio:{ACCOUNT}@http://sms.example.com:8080",
        f"twilio:{ACCOUNT}@http://127.0.0.1.example.com:8080",
        f"twilio:{ACCOUNT}@http://user:secret@sms.example.com:8080",
    ],
)
def test_what_names_no_provider(url) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_sms(url)
    assert "secret" not in str(refused.value)


def test_a_launch_needs_a_token_and_a_sender_that_is_one() -> None:
    told = {"sms": (f"twilio:{ACCOUNT}",)}
    with pytest.raises(ValueError, match="--sms: set TODOKE_SMS_TOKEN to the auth token"):
        SETTINGS.check(told, {})
    with pytest.raises(ValueError, match="TODOKE_SMS_FROM must be"):
        SETTINGS.check(told, {"TODOKE_SMS_TOKEN": "t", "TODOKE_SMS_FROM": "not a sender!"})
    SETTINGS.check(told, {"TODOKE_SMS_TOKEN": "t", "TODOKE_SMS_FROM": "Shop"})
    SETTINGS.check({"sms": ("http://127.0.0.1:8080/messages",)}, {})


def test_a_launch_asks_for_what_its_messages_need() -> None:
    twilio, local = {"sms": (f"twilio:{ACCOUNT}",)}, {"sms": (f"twilio:{ACCOUNT}@http://127.0.0.1:8080",)}
    other = {"sms": ("https://sms.example.com/messages",)}
    link = SmsMessage("leave", Text({"": "Hi", "ja": "{{ unsubscribe_url }}"}), Text({"": "Shop"}))
    hidden = SmsMessage("leave", Text({"": "{% render 'foot' %}"}, (("foot", "{{ unsubscribe_url }}"),)), link.sender)
    for message in (link, hidden):
        for told in (twilio, other):
            with pytest.raises(ValueError, match="set TODOKE_UNSUBSCRIBE_URL and TODOKE_UNSUBSCRIBE_SECRET: message"):
                SETTINGS.check_messages(told, {}, [message])
            with pytest.raises(ValueError, match="set TODOKE_UNSUBSCRIBE_SECRET"):
                SETTINGS.check_messages(told, {"TODOKE_UNSUBSCRIBE_URL": "https://shop.example/u"}, [message])
        SETTINGS.check_messages(local, {}, [message])
    unsigned = SmsMessage("hello", Text({"": "Hi"}))
    for told in (twilio, local):
        with pytest.raises(ValueError, match="set TODOKE_SMS_FROM, or give message `hello` a `from`"):
            SETTINGS.check_messages(told, {}, [unsigned])
        SETTINGS.check_messages(told, {"TODOKE_SMS_FROM": "Shop"}, [unsigned])
    SETTINGS.check_messages(other, {}, [unsigned])


def test_a_token_that_no_request_could_carry_is_found_before_a_launch(tmp_path) -> None:
    told, file = {"sms": ("https://sms.example.com/messages",)}, tmp_path / "token"
    for written, said in (("", "is empty"), (" \n", "is empty"), ("secret\nother\n", "a line break")):
        file.write_text(written)
        with pytest.raises(ValueError, match=said) as refused:
            SETTINGS.check_here(told, {"TODOKE_SMS_TOKEN": f"file:{file}"})
        assert "secret" not in str(refused.value)
    SETTINGS.check_here(told, {"TODOKE_SMS_TOKEN": "secret\n"})
    SETTINGS.check_here({"sms": ("http://127.0.0.1:8080/messages",)}, {})


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ({"Body": "STOP"}, "unsubscribed"),
        ({"Body": " stop "}, "unsubscribed"),
        ({"Body": "arrêt", "OptOutType": "STOP"}, "unsubscribed"),
        ({"Body": "Stop."}, "unsubscribed"),
        ({"Body": "OPT OUT"}, "unsubscribed"),
        ({"Body": "Opt-Out!"}, "unsubscribed"),
        ({"Body": "ＳＴＯＰ"}, "unsubscribed"),
        ({"Body": "\u200bSTOP\u200d \ufeff"}, "unsubscribed"),
        ({"Body": "stop all"}, "unsubscribed"),
        ({"Body": '"STOP"'}, "unsubscribed"),
        ({"Body": "arre\u0302t"}, "unsubscribed"),
        ({"Body": "停止"}, "unsubscribed"),
        ({"Body": "配信停止。"}, "unsubscribed"),
        ({"Body": "Start"}, "resubscribed"),
        ({"Body": "ｙｅｓ！"}, "resubscribed"),
        ({"Body": "please stop"}, None),
        ({"Body": "HELP", "OptOutType": "HELP"}, None),
        ({"Body": "stopping"}, None),
        ({"Body": "Yes 2"}, None),
        ({"Body": "1. Yes"}, None),
        ({"Body": "Start 10:30"}, None),
        ({"Body": "Cancel #4711"}, None),
        ({"Body": "Remove +2"}, None),
        ({"Body": "🛑"}, None),
        ({}, None),
    ],
)
def test_replies(form, kind) -> None:
    receipt = receipt_of_reply({"From": "+819012345678", "MessageSid": "SM1", **form}, "ada", 0)
    assert (receipt and receipt.kind) == kind
    if receipt is not None:
        assert (receipt.user_id, receipt.channel, receipt.topic, receipt.id) == ("ada", "sms", None, "sms:SM1")


@given(st.sampled_from(["STOP", "OPTOUT", "配信停止"]), st.data())
def test_stop_is_taken_whatever_stands_between_its_letters(word, data) -> None:
    noise = st.text(st.characters(categories=["Cc", "Cf", "P", "Zs"]), max_size=3)
    body = "".join(letter + data.draw(noise) for letter in word)
    receipt = receipt_of_reply({"From": "+819012345678", "Body": body}, "ada", 0)
    assert receipt is not None
    assert (receipt.kind, receipt.reason) == ("unsubscribed", word)


def test_only_twilio_can_say_what_was_replied() -> None:
    url, form = "https://shop.example.com/replies?x=1", {"From": "+819012345678", "Body": "STOP", "AccountSid": ACCOUNT}
    signed = url + "".join(f"{name}{value}" for name, value in sorted(form.items()))
    signature = base64.b64encode(hmac.new(b"token", signed.encode(), hashlib.sha1).digest()).decode()
    unsigned = base64.b64encode(hmac.new(b"", signed.encode(), hashlib.sha1).digest()).decode()
    assert is_from_twilio(url, form, signature, "token")
    for wrong in (
        is_from_twilio(url, {**form, "Body": "START"}, signature, "token"),
        is_from_twilio(url + "2", form, signature, "token"),
        is_from_twilio(url, form, signature, "other"),
        is_from_twilio(url, form, "é", "token"),
        is_from_twilio(url, {**form, "Body": "\ud800"}, signature, "token"),
        is_from_twilio(url, form, unsigned, ""),
    ):
        assert not wrong
