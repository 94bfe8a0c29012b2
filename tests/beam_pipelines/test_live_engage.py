"""A whole live job over an embedded queue: what customers and providers say reaches the users' state."""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from live_commands import Job, wait_for
from standardwebhooks import Webhook
from starlette.types import ASGIApp

from services.engage.inbox.user_tokens import INBOX_KEYS
from services.engage.serving import EngageSettings, engaging
from transforms.channels.references import REFERENCE
from transforms.events.queue.append import Queue
from transforms.storage.open import open_reader
from transforms.storage.reader import Reader

DEFINITIONS = """
segments:
  readers: {owner: growth, members: {event: Inbox Opened}}
  mailed: {owner: growth, members: {reachable: email}}
  friends: {owner: growth, members: {reachable: line}}
  touched: {owner: growth, members: {event: Push Opened, where: {campaign: {is: hello}}}}
campaigns:
  hello:
    owner: growth
    trigger: {event: Visited}
    steps: [{send: hello_inbox}, {send: hello_push}]
    reenter: always
    consent: news
messages:
  hello_inbox: {channel: inbox, title: "Hello {{ user.id }}"}
  hello_push: {channel: push, title: Hello}
"""
SECRET = "secret-secret-secret-secret-secret"
RECEIPTS, LINE, INBOX, WRITE = f"whsec_{'a' * 44}", "line-secret", b"s" * 32, "write-key-of-the-shop"


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    monkeypatch.setenv("TODOKE_SIGNING_KEYS", f"b={SECRET}")
    (tmp_path / "live.yaml").write_text(DEFINITIONS, encoding="utf-8")
    flags = {
        "--definitions": tmp_path / "live.yaml",
        "--events": f"queue:{tmp_path / 'events.db'}",
        "--store": f"sqlite:{tmp_path / 'users.db'}",
        "--outbox": tmp_path / "outbox",
    }
    given = [str(part) for flag in flags.items() for part in flag]
    made = Job([sys.executable, "-m", "todoke", "run", *given], tmp_path / "log.txt")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def app(tmp_path: Path, job: Job) -> Iterator[ASGIApp]:
    store = tmp_path / "users.db"
    wait_for(store.exists, job.log)
    key = base64.urlsafe_b64encode(INBOX).decode()
    environment = {
        "TODOKE_SIGNING_KEYS": f"b={SECRET}",
        INBOX_KEYS: json.dumps({"keys": [{"kty": "oct", "kid": "new", "alg": "HS256", "k": key}]}),
        "TODOKE_RECEIPT_SECRETS": RECEIPTS,
        "TODOKE_LINE_SECRETS": LINE,
    }
    with engaging(EngageSettings(f"sqlite:{store}", keys=f"shop={WRITE}"), environment) as app:
        yield app


def ask(app: ASGIApp, method: str, path: str, **more: Any) -> Any:
    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://shop.example") as client:
            return await client.request(method, path, **more)

    answer = asyncio.run(asked())
    assert answer.status_code == 200, answer.text
    return answer.json()


def bearer(user: str) -> dict[str, str]:
    now = datetime.now(UTC)
    said = {"sub": user, "aud": "todoke-inbox", "iat": now, "exp": now + timedelta(minutes=10)}
    return {"authorization": f"Bearer {jwt.encode(said, INBOX, 'HS256', {'kid': 'new'})}"}


def told(app: ASGIApp, **receipt: str) -> None:
    now = datetime.now(UTC)
    body = json.dumps({"channel": "email", "time": now.isoformat(), **receipt})
    headers = {"webhook-id": f"m{time.time_ns()}", "webhook-timestamp": str(int(now.timestamp()))}
    headers["webhook-signature"] = Webhook(RECEIPTS).sign(headers["webhook-id"], now, body)
    assert ask(app, "POST", "/v1/webhooks/standard", content=body, headers=headers)["taken"] == 1


def line(app: ASGIApp, kind: str, number: int) -> None:
    at = time.time_ns() // 1_000_000
    said = {"type": kind, "timestamp": at, "webhookEventId": f"e{number}", "source": {"userId": "U7"}}
    body = json.dumps({"events": [said]}).encode()
    signature = base64.b64encode(hmac.new(LINE.encode(), body, hashlib.sha256).digest()).decode()
    ask(app, "POST", "/v1/webhooks/line", content=body, headers={"x-line-signature": signature})


@pytest.mark.all_in_ci
@pytest.mark.usefixtures("prism")
def test_what_is_said_moves_segments(job: Job, app: ASGIApp, tmp_path: Path) -> None:
    def until(holds: Callable[[Reader], Any]) -> None:
        with closing(open_reader(f"sqlite:{tmp_path / 'users.db'}")) as reader:
            wait_for(lambda: bool(holds(reader)), job.log)

    def members(segment: str) -> Callable[[Reader], set[str]]:
        return lambda reader: {row.user for row in reader.page_members(segment, 100).rows}

    with Queue(tmp_path / "events.db") as queue:

        def publish(*calls: dict[str, Any]) -> None:
            now = datetime.now(UTC).isoformat()
            stamped = [
                {"messageId": f"m{time.time_ns()}-{n}", "timestamp": now, **call} for n, call in enumerate(calls)
            ]
            queue.append([json.dumps(call).encode() for call in stamped])

        device = {"device": {"token": "token-ann", "type": "ios"}}
        publish(
            {"type": "identify", "userId": "ann", "traits": {"email": "ann@shop.example"}, "context": device},
            {"type": "identify", "userId": "old"},
            {"type": "track", "userId": "ann", "event": "Visited"},
            {"type": "track", "userId": "old", "event": "Visited"},
        )
        until(lambda reader: reader.page_inbox("old", 9).rows and "ann" in members("mailed")(reader))
        publish({"type": "alias", "userId": "ann", "previousId": "old"})
        until(lambda reader: b'"merged":["old"]' in reader.read_users(["ann"])["ann"].profile)

        # An id of before is the same person, and what was read under it moves the user of today.
        messages = ask(app, "GET", "/v1/inbox", headers=bearer("ann"))["messages"]
        assert sorted(message["title"] for message in messages) == ["Hello ann", "Hello old"]
        [theirs] = [message["id"] for message in messages if message["title"] == "Hello old"]
        assert ask(app, "POST", f"/v1/inbox/{theirs}/read", headers=bearer("old")) == {"marked": 1}
        assert ask(app, "GET", "/v1/inbox", headers=bearer("ann"))["unread"] == 1
        until(lambda reader: "ann" in members("readers")(reader))

        # A push carries what an app says of it.
        push, *_ = [json.loads(text) for path in (tmp_path / "outbox").glob("push*") for text in path.open()]
        said = {"reference": push["data"][REFERENCE], "kind": "opened"}
        assert ask(app, "POST", "/v1/receipts", json={"receipts": [said]}, auth=(WRITE, ""))["taken"] == 1
        until(lambda reader: "ann" in members("touched")(reader))

        told(app, kind="bounced", address="ann@shop.example")
        until(lambda reader: "ann" not in members("mailed")(reader))

        # Somebody of whom nothing was known follows, leaves, and follows again.
        line(app, "follow", 1)
        until(lambda reader: "~line:U7" in members("friends")(reader))
        line(app, "unfollow", 2)
        until(lambda reader: "~line:U7" not in members("friends")(reader))
        publish({"type": "identify", "userId": "ann", "anonymousId": "line:U7"})
        until(lambda reader: b"line:U7" in reader.read_users(["ann"])["ann"].profile)
        line(app, "follow", 3)
        until(lambda reader: "ann" in members("friends")(reader))

        publish({"type": "delete", "userId": "ann"})
        until(lambda reader: not reader.page_inbox("ann", 9).rows)
        assert ask(app, "GET", "/v1/inbox", headers=bearer("ann"))["messages"] == []
    assert job.stop() == 0
