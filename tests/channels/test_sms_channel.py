"""Text messages: what Twilio and other providers are sent, what each answer means, and that none goes out twice."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest
from channels.handing import hand_over
from channels.sms_cases import HELLO, PHONE, hand, urls

from transforms.channels.outbox import composed
from transforms.channels.outcome import Outcome
from transforms.channels.receipts import receipt_of
from transforms.channels.rules import Rule
from transforms.channels.settings import MailSettings
from transforms.channels.sms.local_sms import LocalSms
from transforms.channels.sms.message import RenderedSms, SmsMessage
from transforms.channels.sms.settings import parse_sms
from transforms.channels.sms.transport import JsonSms, TwilioSms
from transforms.messages.definitions import Text

MESSAGES = {"text": SmsMessage("text", Text({"": "Hello"}), Text({"": "Shop"}))}
BOTH = pytest.mark.parametrize("provider", ["twilio", "json"])


@pytest.fixture
def server() -> Iterator[LocalSms]:
    site = LocalSms.start()
    yield site
    site.stop()


@pytest.fixture
def make(make_send):
    return lambda number=PHONE, **more: make_send(number, channel="sms", message="text", **more)


@pytest.fixture
def courier_of(make_courier, server):
    """A courier that hands text messages to a provider."""

    def courier(provider: str, store: object = None, **more: object):
        address = parse_sms(urls(server)[provider])
        sender = (TwilioSms if provider == "twilio" else JsonSms)(address, "token", timeout=5.0)
        return make_courier(store, senders={"sms": sender}, messages=MESSAGES, **more)

    return courier


def test_twilio_gets_a_form_with_the_accounts_name_and_token(server, make) -> None:
    [outcome] = hand(urls(server)["twilio"], make())
    assert outcome == Outcome.handed_off(f"SM{1:032x}")
    [taken] = server.received
    assert taken == {"to": PHONE, "from": "Shop", "text": "Hello 届け & co.", "credentials": "AC7733:token-7734"}


def test_another_provider_gets_json_with_a_bearer_token_and_a_key(server, make) -> None:
    send = make()
    assert hand(urls(server)["json"], send) == [Outcome.handed_off("m1")]
    [taken] = server.received
    assert taken == {
        "id": send.id,
        "to": PHONE,
        "from": "Shop",
        "text": "Hello 届け & co.",
        "credentials": "Bearer token-7734",
        "key": f'"{send.id}"',
    }


def test_a_message_says_itself_who_it_is_from_and_a_messaging_service_may_choose(server, make) -> None:
    service = "MG" + "0a" * 16
    for sender in ("+81312345678", service):
        hand(urls(server)["twilio"], make(), rendered=RenderedSms("Hello", sender))
    assert [taken["from"] for taken in server.received] == ["+81312345678", service]


def test_twilio_needs_a_sender_and_others_may_have_their_own(server, make) -> None:
    [outcome] = hand(urls(server)["twilio"], make(), TODOKE_SMS_FROM="")
    assert (outcome.state, outcome.reason) == ("failed", "rejected")
    assert "TODOKE_SMS_FROM" in outcome.detail
    assert hand(urls(server)["json"], make(), TODOKE_SMS_FROM="")[0].state == "handed_off"
    assert "from" not in server.received[0]


@BOTH
@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("+15005550001", "bad_address"),
        ("+15005550009", "bad_address"),
        ("+15005550004", "unsubscribed"),
        ("+15005550002", "rejected"),
        ("+15005550003", "rejected"),
    ],
)
def test_numbers_that_providers_refuse(server, make, provider, number, reason) -> None:
    [outcome] = hand(urls(server)[provider], make(number))
    assert (outcome.state, outcome.reason) == ("failed", reason)
    assert server.received == []


@BOTH
@pytest.mark.parametrize(
    ("how", "state", "reason"),
    [
        ("auth", "failed", "auth"),
        ("quota", "retry", "quota"),
        ("internal", "unknown", "server_error"),
        ("cutbefore", "unknown", "cut"),
        ("cutafter", "unknown", "cut"),
    ],
)
def test_faults(server, make, *, provider, how, state, reason) -> None:
    server.misbehave(PHONE, how)
    [outcome] = hand(urls(server)[provider], make())
    assert (outcome.state, outcome.reason) == (state, reason)
    assert len(server.received) == (how == "cutafter")


def test_twilio_says_when_it_may_be_asked_again(make) -> None:
    for asked, after in ((0, 1.0), (7, 7.0)):
        server = LocalSms.start(retry_after=asked)
        server.misbehave(PHONE, "quota")
        assert hand(urls(server)["twilio"], make())[0].after == after
        server.stop()


@BOTH
def test_what_was_cut_off_is_not_sent_again_by_itself(server, make, courier_of, store, provider) -> None:
    server.misbehave(PHONE, "cutafter")
    send = make()
    for expected in ("unknown", "duplicate"):
        [delivery] = courier_of(provider, store).deliver([send])
        assert delivery.state == expected
    assert (len(server.received), server.requests[PHONE]) == (1, 1)


def test_where_a_campaign_says_so_it_goes_out_again_under_the_same_key(server, make, courier_of, store) -> None:
    server.misbehave(PHONE, "cutafter")
    send = make()
    [delivery] = courier_of("json", store, rules={"win_back": Rule(resend=True)}).deliver([send])
    assert delivery.state == "handed_off"
    assert [taken["key"] for taken in server.received] == [f'"{send.id}"'] * 2


@pytest.mark.parametrize(
    ("number", "kind", "topic"), [("+15005550004", "unsubscribed", "all"), ("+15005550001", "bounced", "marketing")]
)
def test_the_users_state_is_told_of_stops_and_dead_numbers(make, courier_of, number, kind, topic) -> None:
    send = make(number)
    [delivery] = courier_of("twilio").deliver([send])
    receipt = receipt_of(delivery, bounded=True)
    assert receipt is not None
    assert (receipt.kind, receipt.channel, receipt.topic, receipt.address) == (kind, "sms", topic, number)


def test_one_number_gets_one_message_of_a_run_whoever_shares_it(server, make, courier_of, store) -> None:
    sends = [make(id=f"s{user}", user=user) for user in ("ada", "ben")]
    deliveries = courier_of("twilio", store, rules={"win_back": Rule(broadcast=True)}).deliver(sends)
    assert [(each.state, each.reason) for each in deliveries] == [("handed_off", ""), ("suppressed", "same_mailbox")]
    assert len(server.received) == 1


def test_a_push_cannot_go_out_as_a_text_message(server, make_send) -> None:
    sender = TwilioSms(parse_sms(urls(server)["twilio"]), "token")
    with pytest.raises(TypeError, match="no text message"):
        asyncio.run(hand_over(sender, make_send(PHONE), object()))


def test_the_outbox_shows_the_segments(tmp_path, make) -> None:
    written = composed(make(), HELLO, MailSettings())
    assert isinstance(written, bytes)
    line = msgspec.json.decode(written)
    assert {name: line[name] for name in ("to", "from", "text", "alphabet", "segments")} == {
        "to": PHONE,
        "from": None,
        "text": "Hello 届け & co.",
        "alphabet": "UCS-2",
        "segments": 1,
    }
