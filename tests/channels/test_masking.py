"""What a provider says of a secret that it was sent is shown to nobody, wherever its answer is cut."""

import json
import re
from base64 import b64encode
from functools import partial
from html import escape
from textwrap import indent
from urllib.parse import quote

import pytest
from channels.local_http import local_http
from hypothesis import given
from hypothesis import strategies as st

from transforms.channels.line.message import LineMessage
from transforms.channels.line.settings import parse_line
from transforms.channels.line.transport import Line
from transforms.channels.masking import SHORTEST, Masks
from transforms.channels.outcome import Outcome
from transforms.channels.receipts import receipt_of
from transforms.channels.sms.message import SmsMessage
from transforms.channels.sms.settings import parse_sms
from transforms.channels.sms.transport import JsonSms, TwilioSms
from transforms.messages.definitions import Text
from transforms.messages.secrets import MASK

TOKEN = "EAAG-very/secret&channel=access-token-0123456789"
TELLING = TOKEN[:SHORTEST]

SENDERS = {
    "line": lambda url: Line(parse_line(f"line@{url}"), TOKEN, timeout=5.0),
    "json": lambda url: JsonSms(parse_sms(f"{url}/messages"), TOKEN, timeout=5.0),
    "twilio": lambda url: TwilioSms(parse_sms(f"twilio:AC7733@{url}"), TOKEN, timeout=5.0),
}
MESSAGES = {
    "line": LineMessage("line", Text({"": "Hello"})),
    "sms": SmsMessage("sms", Text({"": "Hello"}), Text({"": "Shop"})),
}


def page(request, blanks, before):
    """An indented page that says which headers came, as proxies write them."""
    headers = "\n".join(f"<li>{name}: {value}</li>" for name, value in sorted(request.headers.items()))
    return f"<html>{'.' * before}\n{indent(headers, ' ' * blanks)}\n</html>".encode()


@pytest.mark.parametrize("provider", SENDERS)
def test_a_secret_that_is_echoed_reaches_no_row_and_no_receipt_wherever_the_answer_is_cut(
    store, make_courier, make_send, provider
):
    channel = "line" if provider == "line" else "sms"
    with local_http() as site:
        courier = make_courier(
            store, senders={channel: SENDERS[provider](site.url)}, messages=MESSAGES, hidden=[TOKEN], bounded=False
        )
        sends = [
            make_send(f"+65912345{n:02}", id=f"s{n}", user=f"u{n}", channel=channel, message=channel) for n in range(99)
        ]
        site.answers += [(401, {}, partial(page, blanks=n % 12, before=n)) for n in range(99)]
        deliveries = [each for n in range(0, 99, 9) for each in courier.deliver(sends[n : n + 9])]
    assert {delivery.reason for delivery in deliveries} == {"auth"}
    shown = [
        *(row.detail for row in store.scan_ledger()),
        *(str(receipt_of(each, bounded=False)) for each in deliveries),
    ]
    credentials = b64encode(f"AC7733:{TOKEN}".encode()).decode()
    assert any(MASK in text for text in shown)
    assert not any(TELLING in text or credentials[12:24] in text for text in shown)


@given(
    secret=st.text("abcXYZ019+/=&<>\"'\\ \n届😀", min_size=SHORTEST, max_size=60).filter(
        lambda text: len(text.strip()) >= SHORTEST
    ),
    before=st.text(". \n-_", max_size=220),
    cut=st.integers(0, 80),
    form=st.sampled_from(
        [
            lambda text: text,
            quote,
            lambda text: quote(text, safe=""),
            escape,
            lambda text: json.dumps(text)[1:-1],
            lambda text: text.replace("/", "\\/"),
        ]
    ),
)
def test_wherever_a_text_is_cut_the_beginning_of_a_secret_does_not_stand_in_it(secret, before, cut, form):
    written = form(secret.strip())
    said = f"{before} {written[:-cut] if cut else written}"
    detail = Masks([secret]).outcome(Outcome.failed("rejected", said)).detail
    told = Outcome.failed("rejected", written).detail[:SHORTEST]
    assert told not in detail


@given(
    secret=st.text("abcXYZ019+/=&<>\"'\\届😀%", min_size=SHORTEST, max_size=40),
    data=st.data(),
)
def test_a_secret_is_found_whichever_of_its_characters_are_escaped(secret, data):
    def units(letter):
        digits = letter.encode("utf-16-be").hex()
        return "".join(f"\\u{digits[place : place + 4]}" for place in range(0, len(digits), 4))

    def percents(letter):
        return "".join(f"%{byte:02x}" for byte in letter.encode())

    def hexed(escape, letter):
        return escape(letter).upper().replace("\\U", "\\u")

    def forms(letter):
        short = [f"\\{letter}"] if letter in '/"\\' else []
        plain = [] if letter in "%\\" else [letter]  # who escapes anything escapes the sign that begins an escape
        return [*plain, units(letter), percents(letter), hexed(units, letter), hexed(percents, letter), *short]

    written = "".join(data.draw(st.sampled_from(forms(letter))) for letter in secret)
    assert Masks([secret]).masked(f"got {written}.") == f"got {MASK}."


@pytest.mark.parametrize(
    "write",
    [
        lambda text: re.sub("%..", lambda escape: escape[0].lower(), quote(text, safe="")),
        lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
        lambda text: json.dumps(text)[1:-1].replace("&", "\\u0026").replace("<", "\\u003c"),
    ],
)
@pytest.mark.parametrize("cut", [0, 3, 8])
def test_an_escaped_secret_that_was_cut_is_masked_too(write, cut):
    secret = 'sup3r-Secret/&<Tok+en="x"'
    written = write(secret)
    assert Masks([secret]).masked(f"got {written[: len(written) - cut]}") == f"got {MASK}"


def test_a_letter_that_was_cut_at_the_end_hides_no_beginning():
    secret = "secret-届け-token"
    said = secret.encode()[:8].decode("utf-8", "replace")
    assert Masks([secret]).outcome(Outcome.failed("auth", f"got {said}")).detail == f"got {MASK}"


def test_a_secret_that_is_too_short_to_tell_anything_changes_no_providers_id():
    masks = Masks(["7", "abc12", "a      7", ""])
    assert masks.outcome(Outcome.handed_off("projects/p/messages/1773")).detail == "projects/p/messages/1773"
    assert masks.masked("abc12 is none, nor a 7") == "abc12 is none, nor a 7"


def test_a_providers_id_is_as_it_came():
    assert Masks([TOKEN]).outcome(Outcome.handed_off("EAAG-1773")).detail == "EAAG-1773"
