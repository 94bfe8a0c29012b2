"""What providers answer: a field that can be read counts, whatever else the answer holds."""

import asyncio
import json
from functools import partial

import pytest
from channels.handing import hand_over
from channels.local_http import local_http
from channels.sms_cases import PHONE, hand
from hypothesis import given
from hypothesis import strategies as st

from transforms.channels.answers import read_answer
from transforms.channels.line.message import RenderedLine
from transforms.channels.line.settings import parse_line
from transforms.channels.line.transport import Line
from transforms.channels.push.message import RenderedPush
from transforms.channels.push.settings import parse_fcm
from transforms.channels.push.transport import Push

LONG = "x" * 70_000
DEEP = "[" * 30_000
ANYTHING = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)


@pytest.fixture
def answered(make_send):
    """What becomes of a text message, for each answer of its provider."""

    def answered(provider: str, *bodies: bytes, status: int = 400):
        with local_http() as site:
            site.answers += [(status, {}, body) for body in bodies]
            url = f"twilio:AC7733@{site.url}" if provider == "twilio" else f"{site.url}/messages"
            return hand(url, *(make_send(PHONE, id=f"s{n}", channel="sms") for n in range(len(bodies))))

    return answered


@pytest.mark.parametrize("reason", ["unsubscribed", "bad_address"])
def test_a_reason_counts_whatever_stands_beside_it(answered, reason) -> None:
    said = f'"reason":"{reason}"'
    bodies = [
        f'{{{said},"message":null}}',
        f'{{{said},"id":42}}',
        f'{{"message":["no"],"id":{{}},{said}}}',
        f"\ufeff{{{said}}}",
        f'{{{said},"message":"{LONG}"}}',
        f'{{"message":"{DEEP}",{said}}}',
        f'{{"message":{DEEP}{"]" * len(DEEP)},{said}}}',
        f'{{"more":{"9" * 5_000},{said}}}',
        f'{{"message":"\\q",{said}}}',
        f'{{{said},"reason":null}}',
        f'{{{said},"message":"cut',
    ]
    bytes_ = [body.encode() for body in bodies] + [b'{"message":"\xff",' + said.encode() + b"}"]
    outcomes = answered("json", *bytes_)
    assert [(each.state, each.reason) for each in outcomes] == [("failed", reason)] * len(bytes_)


@pytest.mark.parametrize(("code", "reason"), [(21610, "unsubscribed"), (21614, "bad_address")])
def test_a_code_of_twilio_counts_too(answered, code, reason) -> None:
    bodies = [
        f'{{"code":{code},"message":null}}',
        f'{{"code":"{code}"}}',
        f'\ufeff{{"message":42,"code":{code}}}',
        f'{{"code":{code},"message":"{LONG}"}}',
    ]
    outcomes = answered("twilio", *(body.encode() for body in bodies))
    assert [(each.state, each.reason) for each in outcomes] == [("failed", reason)] * len(bodies)


@pytest.mark.parametrize(
    "body", [b"<html>{}</html>", b'"unsubscribed"', b'[{"reason":"unsubscribed"}]', b'{"reason":["unsubscribed"]}', b""]
)
def test_what_says_no_reason_is_rejected(answered, body) -> None:
    assert [each.reason for each in answered("json", body)] == ["rejected"]


def test_the_name_of_what_was_taken_is_kept_as_it_is_written(answered) -> None:
    [number, text] = answered("json", b'{"id":42,"message":null}', b'{"id":"m1","reason":7}', status=200)
    assert (number.detail, text.detail) == ("42", "m1")
    [taken, unnamed] = answered("twilio", b'{"sid":"SM1","to":["x"]}', b'{"sid":null}', status=201)
    assert (taken.state, taken.detail) == ("handed_off", "SM1")
    assert (unnamed.state, unnamed.reason) == ("unknown", "server_error")


def test_a_number_that_was_cut_is_none() -> None:
    assert read_answer(b'{"code":2161').number("code") == 0
    assert read_answer(b'{"code":2161}').number("code") == 2161


def test_line_and_fcm_are_read_so_too(make_send) -> None:
    to = "The property, 'to', in the request body is invalid"
    fcm = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
    detail = f'"details":[null,{{"fieldViolations":null}},{{"@type":"{fcm}","errorCode":"UNREGISTERED"}}]'
    with local_http() as site:
        line = Line(parse_line(f"line@{site.url}"), "token", timeout=5.0)
        push = Push(parse_fcm(f"fcm:demo@{site.url}"), timeout=5.0)
        site.answers += [
            (400, {}, f'{{"message":"{to}","details":[null,{{"message":7,"property":null}}]}}'.encode()),
            (404, {}, f'{{"error":{{{detail},"status":7,"message":null}}}}'.encode()),
            (404, {}, f'{{"error":{{{detail},"message":"{LONG}"}}}}'.encode()),
        ]

        async def run():
            outcomes = [await hand_over(line, make_send("U1", channel="line"), RenderedLine([]))]
            outcomes += [await hand_over(push, make_send("t", id=f"p{n}"), RenderedPush("Hi", "", {})) for n in (1, 2)]
            await line.close()
            await push.close()
            return outcomes

        outcomes = asyncio.run(run())
    assert [each.reason for each in outcomes] == ["bad_address", "dead_token", "dead_token"]


@given(
    before=st.dictionaries(st.text().filter("reason".__ne__), ANYTHING),
    after=st.dictionaries(st.text().filter("reason".__ne__), ANYTHING),
    write=st.sampled_from([json.dumps, partial(json.dumps, ensure_ascii=False), partial(json.dumps, indent=1)]),
    cut=st.integers(0, 1000),
)
def test_a_field_counts_among_any_others_and_before_any_cut(before, after, write, cut) -> None:
    whole = write({**before, "reason": "unsubscribed"}).rstrip("\n}")
    rest = write({"": after})[1:]
    body = f"{whole},{rest}"
    for each in (body, body[: len(whole) + cut]):
        assert read_answer(each.encode("utf-8", "replace")).text("reason") == "unsubscribed"


@given(st.binary(max_size=200) | st.text('{}[],:"\\ntrue123', max_size=200).map(str.encode))
def test_nothing_that_is_answered_fails(body) -> None:
    said = read_answer(body)
    assert isinstance(said.text("a"), str)
    assert isinstance(said.number("a"), int)
