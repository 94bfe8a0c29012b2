"""Webhooks: the call, its signature, and what each answer means."""

import asyncio
from collections.abc import Iterator

import pytest
from channels.handing import hand_over
from channels.local_http import LocalHttp, local_http
from standardwebhooks import Webhook as Verifier

from transforms.channels.hosts import parse_allowed
from transforms.channels.outcome import Outcome
from transforms.channels.push.message import RenderedPush
from transforms.channels.webhook.message import Called, RenderedWebhook
from transforms.channels.webhook.transport import Webhook, WebhookCall, check_secret

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def server() -> Iterator[LocalHttp]:
    with local_http() as site:
        yield site


def call(send, rendered, secret: str = SECRET) -> Outcome:
    async def run() -> Outcome:
        webhook = Webhook(secret, parse_allowed(["127.0.0.0/8"]), timeout=5.0)
        outcome = await hand_over(webhook, send, rendered)
        await webhook.close()
        return outcome

    return asyncio.run(run())


def test_a_call_is_made_and_can_be_verified(server, make_send):
    rendered = RenderedWebhook(f"{server.url}/hooks/gift?x=1", '{"user":"ü"}', True, {"X-Shop": "届け".encode().hex()})
    assert call(make_send("u1", id="s1"), rendered) == Outcome.handed_off("200")
    [request] = server.requests
    assert (request.path, request.body) == ("/hooks/gift?x=1", '{"user":"ü"}'.encode())
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-shop"] == "届け".encode().hex()
    assert request.headers["webhook-id"] == "s1"
    assert Verifier(SECRET).verify(request.body, request.headers) == {"user": "ü"}


def test_text_goes_out_as_it_is_and_headers_go_before_what_we_say(server, make_send):
    call(make_send("u1"), RenderedWebhook(server.url, "a=1", False), secret="")
    call(make_send("u1"), RenderedWebhook(server.url, "<a/>", False, {"Content-Type": "application/xml"}), secret="")
    first, second = server.requests
    assert (first.body, first.headers["content-type"]) == (b"a=1", "text/plain; charset=utf-8")
    assert (second.body, second.headers["content-type"]) == (b"<a/>", "application/xml")
    assert "webhook-signature" not in first.headers


def test_secrets_go_out_in_clear_to_no_other_machine(server, make_send):
    for host, reason in (("127.0.0.1", ""), ("127.0.0.1.example", "rejected"), ("93.184.216.34", "rejected")):
        url = server.url.replace("127.0.0.1", host)
        rendered = RenderedWebhook(url, "", False, called=Called(url, {"x-key": "secret"}))
        assert call(make_send("u1"), rendered).reason == reason
    assert len(server.requests) == 1


def test_an_operator_may_let_secrets_go_to_a_host_in_clear(server, make_send):
    rendered = RenderedWebhook(server.url, "", False, called=Called("http://crm.internal:9/", {"x-key": "secret"}))
    webhook = Webhook("", parse_allowed(["crm.internal"]))
    assert isinstance(webhook.make(make_send("u1"), rendered), WebhookCall)
    assert isinstance(Webhook("").make(make_send("u1"), rendered), Outcome)


def test_what_a_server_says_to_one_message_does_not_go_out_with_the_next(server, make_send):
    server.answers = [(200, {"Set-Cookie": "session=of-u1"}, b"{}")]

    async def run() -> None:
        webhook = Webhook("", parse_allowed(["localhost"]), timeout=5.0)
        url = server.url.replace("127.0.0.1", "localhost")  # no cookie is kept of a number anyway
        for user in ("u1", "u2"):
            await hand_over(webhook, make_send(user), RenderedWebhook(url, "", False))
        await webhook.close()

    asyncio.run(run())
    assert ["cookie" in request.headers for request in server.requests] == [False, False]


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (201, {}, ("handed_off", "")),
        (204, {}, ("handed_off", "")),
        (301, {"Location": "/"}, ("failed", "rejected")),
        (400, {}, ("failed", "rejected")),
        (401, {}, ("failed", "auth")),
        (404, {}, ("failed", "rejected")),
        (408, {}, ("unknown", "server_error")),
        (410, {}, ("failed", "rejected")),
        (429, {"Retry-After": "2"}, ("retry", "quota")),
        (500, {}, ("unknown", "server_error")),
        (503, {}, ("unknown", "server_error")),
        (503, {"Retry-After": "2"}, ("retry", "unavailable")),
    ],
)
def test_what_an_answer_means(server, make_send, status, headers, expected):
    server.answers.append((status, headers, b"" if status == 204 else b"said"))
    outcome = call(make_send("u1"), RenderedWebhook(server.url, "{}", True))
    assert (outcome.state, outcome.reason) == expected
    assert len(server.requests) == 1


def test_a_url_that_is_none_fails(make_send):
    outcome = call(make_send("u1"), RenderedWebhook("http://example:99999/", "{}", True))
    assert (outcome.state, outcome.reason) == ("failed", "rejected")


@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_")])
def test_secrets(secret):
    check_secret(secret)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_a", "whsec_é"])
def test_secrets_that_cannot_sign(secret):
    with pytest.raises(ValueError, match="expected whsec_ and base64"):
        check_secret(secret)


def test_only_webhooks_go_out_here(make_send):
    with pytest.raises(TypeError, match="no webhook"):
        call(make_send("u1"), RenderedPush("a", "b"))
