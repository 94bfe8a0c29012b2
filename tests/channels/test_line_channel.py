"""LINE: what is posted, with which retry key, and what each answer means."""

import asyncio
import json
import uuid
from collections.abc import Iterator

import pytest
from channels.handing import hand_over
from channels.local_http import LocalHttp, local_http

from transforms.channels.line.message import RenderedLine
from transforms.channels.line.settings import SETTINGS, parse_line
from transforms.channels.line.transport import Line
from transforms.channels.outcome import Outcome
from transforms.channels.push.message import RenderedPush

HELLO = RenderedLine([{"type": "text", "text": "届け"}])


@pytest.fixture
def server() -> Iterator[LocalHttp]:
    with local_http() as site:
        yield site


def post(site: LocalHttp, *sends, rendered=HELLO, timeout: float = 5.0) -> list[Outcome]:
    async def run() -> list[Outcome]:
        line = Line(parse_line(f"line@{site.url}"), "secret", timeout=timeout)
        outcomes = [await hand_over(line, send, rendered) for send in sends]
        await line.close()
        return outcomes

    return asyncio.run(run())


def test_a_message_is_posted_as_line_has_it(server, make_send):
    server.answers.append((200, {"X-Line-Request-Id": "r1"}, b"{}"))
    send = make_send("U1", channel="line")
    assert post(server, send) == [Outcome.handed_off("r1")]
    [request] = server.requests
    assert (request.path, request.json) == (
        "/v2/bot/message/push",
        {"to": "U1", "messages": [{"type": "text", "text": "届け"}]},
    )
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["content-type"] == "application/json"


def test_the_retry_key_is_the_sends(server, make_send):
    first, second = make_send("U1", channel="line"), make_send("U2", channel="line")
    post(server, first, first, second)
    keys = [request.headers["x-line-retry-key"] for request in server.requests]
    assert (keys[0], len({*keys})) == (keys[1], 2)
    assert all(str(uuid.UUID(key)) == key for key in keys)


def test_what_was_accepted_before_was_handed_off(server, make_send):
    server.answers.append(
        (409, {"X-Line-Accepted-Request-Id": "r1"}, b'{"message":"The retry key is already accepted"}')
    )
    assert post(server, make_send("U1", channel="line")) == [Outcome.handed_off("r1")]


@pytest.mark.parametrize(
    ("answer", "message", "expected"),
    [
        (
            (400, {}),
            "The property, 'to', in the request body is invalid (line: -, column: -)",
            ("failed", "bad_address"),
        ),
        ((400, {}), "The request body has 1 error(s)", ("failed", "rejected")),
        ((401, {}), "Authentication failed", ("failed", "auth")),
        ((403, {}), "not available for your account", ("failed", "auth")),
        ((429, {"Retry-After": "7"}), "The API rate limit has been exceeded", ("retry", "quota")),
        ((429, {}), "You have reached your monthly limit.", ("retry", "quota")),
        ((500, {}), "The error occurred", ("unknown", "server_error")),
        ((503, {"Retry-After": "3"}), "busy", ("retry", "unavailable")),
        ((302, {"Location": "/"}), "moved", ("failed", "rejected")),
    ],
)
def test_what_an_answer_means(server, make_send, answer, message, expected):
    status, headers = answer
    server.answers.append((status, headers, json.dumps({"message": message}).encode()))
    [outcome] = post(server, make_send("U1", channel="line"))
    assert (outcome.state, outcome.reason) == expected
    assert message in outcome.detail
    assert len(server.requests) == 1
    if outcome.state == "retry":
        assert outcome.after == float(headers.get("Retry-After", 60))


def test_details_and_answers_that_are_no_json(server, make_send):
    details = {
        "message": "The request body has 1 error(s)",
        "details": [{"message": "too long", "property": "messages[0].text"}],
    }
    server.answers += [(400, {}, json.dumps(details).encode()), (400, {}, b"<html>")]
    first, second = post(server, make_send("U1"), make_send("U2"))
    assert first.detail.endswith("messages[0].text too long")
    assert second.detail == "400 <html>"


def test_a_lost_answer_is_unknown_and_no_connection_may_be_tried_again(server, make_send, unused_port):
    server.answers.append((0, {}, b""))
    [cut] = post(server, make_send("U1"))
    assert (cut.state, cut.reason) == ("unknown", "cut")
    nobody = LocalHttp(f"http://127.0.0.1:{unused_port}")
    [refused] = post(nobody, make_send("U1"))
    assert (refused.state, refused.reason) == ("retry", "connect")


def test_only_line_messages_go_out_here(server, make_send):
    with pytest.raises(TypeError, match="no LINE message"):
        post(server, make_send("U1"), rendered=RenderedPush("a", "b"))


def test_a_token_that_cannot_stand_in_a_header_ends_the_launch():
    with pytest.raises(ValueError, match="TODOKE_LINE_TOKEN: a line break or control character"):
        SETTINGS.check_here({"line": ("line",)}, {"TODOKE_LINE_TOKEN": "a\nb"})
