"""A live job and its mails: who follows a link moves a segment, a scanner does not, and one click unsubscribes."""

import asyncio
import email
import email.policy
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_commands import Job, wait_for
from starlette.types import ASGIApp

from services.engage.serving import EngageSettings, engaging
from transforms.events.queue.append import Queue
from transforms.storage.open import open_reader

DEFINITIONS = """
policies: {tracking: {opens: true, clicks: true}}
segments:
  readers: {owner: growth, members: {event: Email Clicked, where: {link: {is: shoes}}}}
  scanned: {owner: growth, members: {event: Email Clicked, where: {machine: {is: true}}}}
  subscribers: {owner: growth, members: {consented: {topic: news, channel: email}}}
campaigns:
  hello: {owner: growth, trigger: {event: Visited}, steps: [{send: hello}], reenter: always, consent: news}
messages:
  hello:
    channel: email
    subject: Hello
    html: "<a href='https://shop.example/shoes' data-link='shoes'>Shoes</a> <a href='https://shop.example/b'>b</a>"
"""
ENVIRONMENT = {"TODOKE_SIGNING_KEYS": f"b={'s' * 32}", "TODOKE_LINKS_URL": "https://links.shop.example"}
PERSON = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "live.yaml").write_text(DEFINITIONS, encoding="utf-8")
    flags = ["--definitions", "live.yaml", "--events", "queue:events.db", "--store", "sqlite:users.db"]
    monkeypatch.chdir(tmp_path)
    made = Job([sys.executable, "-m", "todoke", "run", *flags, "--outbox", "outbox"], tmp_path / "log.txt")
    made.start()
    yield made
    made.stop()


def ask(app: ASGIApp, method: str, url: str, agent: str = PERSON, **more: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, headers={"User-Agent": agent}) as client:
            return await client.request(method, url, **more)

    return asyncio.run(asked())


@pytest.mark.usefixtures("prism")
@pytest.mark.all_in_ci
def test_a_reader_moves_a_segment_and_a_scanner_does_not(job: Job, tmp_path: Path) -> None:
    def until(holds: Callable[[set[str]], bool], segment: str) -> None:
        with closing(open_reader(f"sqlite:{tmp_path / 'users.db'}")) as reader:
            wait_for(lambda: holds({row.user for row in reader.page_members(segment, 100).rows}), job.log)

    wait_for((tmp_path / "users.db").exists, job.log)
    with Queue(tmp_path / "events.db") as queue:
        now = datetime.now(UTC).isoformat()
        granted = {"topic": "news", "channel": "email", "granted": True}
        for user in ("ann", "bob"):
            calls: list[dict[str, Any]] = [
                {"type": "identify", "traits": {"email": f"{user}@shop.example"}},
                {"type": "track", "event": "Consent Changed", "properties": granted},
                {"type": "track", "event": "Visited"},
            ]
            said = [
                {"messageId": f"{user}{n}", "timestamp": now, "userId": user, **call} for n, call in enumerate(calls)
            ]
            queue.append([json.dumps(call).encode() for call in said])
    mails = tmp_path / "outbox" / "mail"
    wait_for(lambda: mails.exists() and len(list(mails.glob("*.eml"))) == 2, job.log)
    time.sleep(4)  # nobody reads so soon
    settings = EngageSettings(f"sqlite:{tmp_path / 'users.db'}", touches=f"queue:{tmp_path / 'touches.db'}")
    with engaging(settings, ENVIRONMENT) as app:
        for file in mails.glob("*.eml"):
            mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.SMTP)
            body = mail.get_body(("html",))
            assert body is not None
            links = re.findall(r'href="([^"]*)"', body.get_content())
            followed = links[:1] if "ann" in mail["To"] else links
            for link in followed:
                assert ask(app, "GET", link).headers["location"].startswith("https://shop.example/")
        until(lambda found: found == {"ann"}, "readers")
        until(lambda found: found == {"bob"}, "scanned")
        until(lambda found: found == {"ann", "bob"}, "subscribers")
        leave = mail["List-Unsubscribe"].strip("<>")
        assert ask(app, "GET", leave).status_code == 200
        assert ask(app, "POST", leave, data={"List-Unsubscribe": "One-Click"}).status_code == 200
        left = mail["To"].partition("@")[0]
        until(lambda found: found == {"ann", "bob"} - {left}, "subscribers")
    assert job.stop() == 0
