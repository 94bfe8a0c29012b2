import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import google.auth.credentials
import pytest
from aiohttp import web
from channels.handing import hand_over
from google.auth.exceptions import RefreshError, TransportError
from requests.exceptions import ReadTimeout

from transforms.channels.email.message import RenderedMail
from transforms.channels.outcome import Outcome
from transforms.channels.push.message import RenderedPush
from transforms.channels.push.settings import parse_fcm
from transforms.channels.push.transport import Push, fcm_message

GOLDEN = Path(__file__).parent / "golden"
FULL = RenderedPush(
    title="発送しました",
    body="Line one\nline two",
    data={"screen": "home", "deep_link": "shop://orders/5"},
    image="https://shop.example/i.png",
    sound="ping.caf",
    collapse_key="orders",
    badge=3,
    ttl=7200,
    priority="high",
)


class Credential(google.auth.credentials.Credentials):
    """Tokens t1, t2, … from a source that may fail."""

    def __init__(self, error: Exception | None = None, token: str | None = None) -> None:
        super().__init__()
        self.error, self.token, self.refreshed = error, token, 0

    def refresh(self, request):
        self.refreshed += 1
        if self.error:
            raise self.error
        self.token = f"t{self.refreshed}"


def send_all(push: Push, *sends, rendered=RenderedPush("Hi", "")) -> list[Outcome]:  # noqa: B008
    async def run() -> list[Outcome]:
        try:
            return await asyncio.gather(*(hand_over(push, send, rendered) for send in sends))
        finally:
            await push.close()

    return asyncio.run(run())


def test_the_message_on_the_wire(fcm, make_send):
    [outcome] = send_all(Push(parse_fcm(f"fcm:demo-project@{fcm.url}")), make_send("token-1"), rendered=FULL)
    assert outcome.state == "handed_off"
    assert outcome.detail.startswith("projects/demo-project/messages/")
    assert fcm.received[-1] == json.loads((GOLDEN / "push.json").read_text())


@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_what_is_not_given_is_not_sent(make_send):
    assert fcm_message(RenderedPush("Hi", ""), make_send("t")) == {"notification": {"title": "Hi"}}


def test_fcms_own_parts_go_before_what_is_made_of_the_other_fields(make_send):
    parts = {
        "android": {"priority": "normal", "notification": {"channel_id": "sales"}},
        "apns": {"payload": {"aps": {"category": "SALE"}}},
        "web": {"fcm_options": {"link": "https://shop.example"}},
    }
    push = RenderedPush("Hi", "", sound="ding", priority="high", parts=parts)
    message = fcm_message(push, make_send("t"))
    assert message["android"] == {"priority": "normal", "notification": {"sound": "ding", "channel_id": "sales"}}
    assert message["apns"]["payload"] == {"aps": {"sound": "ding", "category": "SALE"}}
    assert message["apns"]["headers"] == {"apns-priority": "10"}
    assert message["webpush"] == {"fcm_options": {"link": "https://shop.example"}}


@pytest.mark.parametrize(("length", "state"), [(3800, "handed_off"), (4100, "failed")])
def test_payloads_over_the_limit_are_not_sent(fcm, make_send, length, state):
    send = make_send(f"size-{length}")
    push = Push(parse_fcm(f"fcm:demo-project@{fcm.url}"))
    [outcome] = send_all(push, send, rendered=RenderedPush("Hi", "x" * length))
    assert outcome.state == state
    assert fcm.requests[send.address] == (1 if state == "handed_off" else 0)


def test_a_mail_is_not_a_push(fcm, make_send):
    with pytest.raises(TypeError):
        send_all(Push(parse_fcm(f"fcm:demo-project@{fcm.url}")), make_send("t"), rendered=RenderedMail("s", "t"))


def test_a_rejected_credential_is_refreshed_once_for_all(fcm, make_send):
    credential = Credential(token="old")
    sends = [make_send(f"auth1-{number}") for number in range(20)]
    outcomes = send_all(Push(parse_fcm(f"fcm:demo-project@{fcm.url}"), credential=credential), *sends)
    assert {outcome.state for outcome in outcomes} == {"handed_off"}
    assert credential.refreshed == 1
    assert [fcm.requests[send.address] for send in sends] == [2] * 20


def test_a_credential_that_stays_rejected(fcm, make_send):
    credential = Credential()
    send = make_send("auth-forever")
    [outcome] = send_all(Push(parse_fcm(f"fcm:demo-project@{fcm.url}"), credential=credential), send)
    assert (outcome.state, outcome.reason) == ("failed", "auth")
    assert (credential.refreshed, fcm.requests[send.address]) == (2, 2)


def refused_by(cause: Exception) -> RefreshError:
    """What google.auth makes of a metadata server that is away: the cause is all that tells."""
    error = RefreshError(str(cause))
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (RefreshError("revoked"), "failed", "auth"),
        (RefreshError("internal_failure", retryable=True), "retry", "connect"),
        (refused_by(TransportError("no route")), "retry", "connect"),
        (refused_by(ValueError("no JSON")), "failed", "auth"),
        (TransportError("no route"), "retry", "connect"),
        (TransportError("down for now", retryable=True), "retry", "connect"),
        (ReadTimeout("slow"), "retry", "connect"),
        (FileNotFoundError("/var/run/token"), "retry", "connect"),
    ],
)
def test_a_credential_that_cannot_be_had(fcm, make_send, error, state, reason):
    """What may pass says nothing about the message; all sends of a batch ask once."""
    sends = [make_send(f"nocred-{number}") for number in range(20)]
    credential = Credential(error)
    outcomes = send_all(Push(parse_fcm(f"fcm:demo-project@{fcm.url}"), credential=credential), *sends)
    assert {(outcome.state, outcome.reason, outcome.says_nothing) for outcome in outcomes} == {
        (state, reason, state == "retry")
    }
    assert {fcm.requests[send.address] for send in sends} == {0}
    assert credential.refreshed == 1


def fcm_error(status: int, code: str, message: str = "", field: str = "") -> dict[str, object]:
    details = [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}]
    if field:
        violation = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": field}]}
        details.append(violation)
    return {"error": {"code": status, "message": message, "status": code, "details": details}}


def soon() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (200, {}, "<html>", "unknown server_error"),
        (200, {}, "{}", "unknown server_error"),
        (302, {"Location": "/elsewhere"}, "", "failed rejected"),
        (400, {}, fcm_error(400, "INVALID_ARGUMENT", "bad ttl", "message.android.ttl"), "failed rejected"),
        (400, {}, fcm_error(400, "INVALID_ARGUMENT", "x", "message.token"), "failed dead_token"),
        (400, {}, fcm_error(400, "INVALID_ARGUMENT", "The registration token is not valid"), "failed dead_token"),
        (400, {}, "nonsense", "failed rejected"),
        (401, {}, fcm_error(401, "THIRD_PARTY_AUTH_ERROR"), "failed auth"),
        (403, {}, fcm_error(403, "PERMISSION_DENIED"), "failed auth"),
        (404, {}, fcm_error(404, "NOT_FOUND", "no such project"), "failed rejected"),
        (404, {}, "", "failed rejected"),
        (408, {}, "", "unknown server_error"),
        (429, {}, "", "retry quota 60"),
        (429, {"Retry-After": "7"}, "", "retry quota 7"),
        (429, {"Retry-After": "9" * 400}, "", "retry quota 86400"),
        (429, {"Retry-After": "soon"}, "", "retry quota 60"),
        (429, {"Retry-After": f"Thu, 01 Jan {'9' * 30} 00:00:00 GMT"}, "", "retry quota 60"),
        (429, {"Retry-After": f"Thu, 01 Jan 2026 00:00:00 +{'9' * 30}"}, "", "retry quota 60"),
        (503, {"Retry-After": "5"}, "", "retry unavailable 5"),
        (503, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, "", "retry unavailable 0"),
        (503, {}, "", "unknown server_error"),
        (502, {"Retry-After": "5"}, "", "unknown server_error"),
    ],
)
def test_answers_that_the_local_server_does_not_give(make_send, status, headers, body, expected):
    text = body if isinstance(body, str) else json.dumps(body)

    async def answer(request):
        return web.Response(status=status, headers=headers, text=text)

    outcome = asyncio.run(send_to(answer, make_send("t")))
    after = f" {outcome.after:g}" if outcome.state == "retry" else ""
    assert f"{outcome.state} {outcome.reason}{after}" == expected


def test_a_date_in_retry_after(make_send):
    async def answer(request):
        return web.Response(status=429, headers={"Retry-After": soon()})

    outcome = asyncio.run(send_to(answer, make_send("t")))
    assert 0 < outcome.after <= 40


async def send_to(answer, send) -> Outcome:
    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    push = Push(parse_fcm(f"fcm:demo-project@http://127.0.0.1:{runner.addresses[0][1]}"))
    try:
        return await hand_over(push, send, RenderedPush("Hi", ""))
    finally:
        await push.close()
        await runner.cleanup()
