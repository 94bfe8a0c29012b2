"""What people are called, and what they did, is in no log of a service: neither where all is well, nor where it is not.

Each text that is sent here has a mark. Services run as processes of their own, with all that they say caught.
"""

import base64
import gzip
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from transforms.channels.tokens import SigningKeys

ROOT = Path(__file__).parents[2]
MARK = "zqmarkqz"
MAIL = f"{MARK}@example.com"
KEY, SECRET = "shop-key-0123456789", "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"
CALL = {"type": "track", "event": f"{MARK} seen", "userId": MARK, "properties": {"mail": MAIL}, "messageId": MARK}


class Process(NamedTuple):
    """A service, and the file of all that it has said."""

    process: "subprocess.Popen[bytes]"
    said: Path
    url: str
    folder: Path


@pytest.fixture(params=["json", "text"])
def collect(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Process]:
    yield from served(
        tmp_path,
        "collect",
        ("--sink=queue:events.db", "--store=sqlite:store.db", f"--log-format={request.param}"),
        {"TODOKE_WRITE_KEYS": f"shop={KEY}"},
    )


@pytest.fixture(params=["json", "text"])
def engage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "shop.yaml").write_text("segments: {seen: {owner: a, members: {event: Seen}}}", "utf-8")
    yield from served(
        tmp_path,
        "engage",
        (
            "--store=sqlite:store.db",
            "--definitions=shop.yaml",
            "--touches=queue:touches.db",
            f"--log-format={request.param}",
        ),
        {
            "TODOKE_SIGNING_KEYS": f"a={SECRET}",
            "TODOKE_WRITE_KEYS": f"app={KEY}",
            "TODOKE_INBOX_KEYS": json.dumps({"keys": [{"kty": "oct", "kid": "a", "alg": "HS256", "k": SECRET}]}),
            "TODOKE_LINE_SECRETS": SECRET,
            "TODOKE_TWILIO_TOKENS": SECRET,
            "TODOKE_LINKS_URL": "https://links.example.com",
            "TODOKE_ENGAGE_URL": "https://links.example.com",
        },
    )


def served(folder: Path, service: str, flags: tuple[str, ...], told: dict[str, str]) -> Iterator[Process]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = folder / "said"
    with (
        said.open("wb") as file,
        subprocess.Popen(
            [sys.executable, "-m", f"services.{service}", f"--listen=127.0.0.1:{port}", *flags],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **told},
            stdout=file,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:  # with pauses that grow
            client.get(f"{url}/live")
        yield Process(process, said, url, folder)
        process.kill()


def ended(service: Process) -> str:
    """What it has said, to its end."""
    service.process.send_signal(signal.SIGTERM)
    service.process.wait(30)
    return service.said.read_text("utf-8", "replace")


def send(client: httpx.Client) -> set[int]:
    """All that may come, good and bad; returns the statuses of the answers."""
    body = json.dumps(CALL).encode()
    key = base64.b64encode(f"{KEY}:".encode()).decode()
    auth = {"Authorization": f"Basic {key}"}
    posts: list[tuple[str, bytes, dict[str, str]]] = [
        ("/v1/track", body, auth),
        ("/v1/batch", json.dumps({"batch": [CALL, {"type": MARK}, MARK], "context": {"mail": MAIL}}).encode(), auth),
        ("/v1/track", json.dumps({**CALL, "timestamp": MARK, "type": "identify"}).encode(), auth),
        ("/v1/track", f'{{"userId": "{MARK}'.encode(), auth),
        ("/v1/track", MARK.encode() + b"\xff\xfe", auth),
        ("/v1/track", gzip.compress(body)[:-6], {**auth, "Content-Encoding": "gzip"}),
        ("/v1/track", b"[" * 20_000 + MARK.encode(), auth),
        ("/v1/track", json.dumps({**CALL, "pad": MARK * 10_000}).encode(), auth),
        ("/v1/track", body, {"Authorization": f"Basic {MARK}"}),
        ("/v1/track", body, {"Origin": f"https://{MARK}.example", "Cookie": f"id={MARK}", "User-Agent": MARK}),
        ("/v1/track", body, {**auth, "X-Forwarded-For": MARK, "Content-Encoding": MARK}),
        (f"/v1/{MARK}?userId={MARK}", body, auth),
        (f"/beacon/v1/batch?writeKey={MARK}", json.dumps({"batch": [CALL]}).encode(), {}),
    ]
    found = {client.post(path, content=content, headers=headers).status_code for path, content, headers in posts}
    gets = [
        f"/pixel/v1/track?writeKey={KEY}&event={MARK}&userId={MARK}",
        f"/v1/pixel/page?writeKey={MARK}&data={base64.b64encode(body).decode()}",
        f"/{MARK}/%ff{MARK}",
        f"/metrics?{MARK}",
    ]
    return found | {client.get(path).status_code for path in gets}


def send_raw(url: str) -> None:
    """What no client sends: it is no HTTP, or ends in the midst."""
    host, _, port = url.removeprefix("http://").partition(":")
    for text in (
        f"{MARK}\r\n\r\n",
        f"GET /{MARK} HTTP/9.9\r\n\r\n",
        f'POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{{"userId": "{MARK}',
        f"POST /v1/track HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz{MARK}\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nX: {MARK * 20_000}\r\n\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=10) as connection, suppress(OSError):
            connection.sendall(text.encode())
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1_000)  # it may have hung up already


def test_collect_says_nothing_of_anybody(collect: Process) -> None:
    with httpx.Client(base_url=collect.url, timeout=30) as client:
        assert {200, 400, 401, 404, 413} <= send(client)
        send_raw(collect.url)
        with closing(sqlite3.connect(collect.folder / "store.db", isolation_level=None)) as store:
            store.execute("DROP TABLE dead_letters")
            assert 503 in send(client)
        for file in collect.folder.glob("events.db*"):
            file.write_bytes(b"broken" * 1_000)
        assert 200 not in {client.post("/v1/track", content=json.dumps(CALL), auth=(KEY, "")).status_code}
    said = ended(collect)
    assert "refused calls could not be kept" in said  # what is wrong is said
    assert MARK not in said
    assert KEY not in said


def ask_all(client: httpx.Client) -> set[int]:
    """Every path that the document has, with marks wherever there is room; returns the statuses of the answers."""
    found = set()
    bodies = (
        json.dumps({"receipts": [{"reference": MARK, "kind": MARK}, MARK], "writeKey": KEY, "events": [{"m": MAIL}]}),
        json.dumps([{"event": "bounce", "email": MAIL, "timestamp": MARK}]),
        f"To={MARK}&From={MAIL}&List-Unsubscribe=One-Click",
        f'{{"{MARK}',
    )
    token = SigningKeys({"a": SECRET}).sign("unsubscribe", [MARK, MAIL])
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for given in (MARK, token):
            place = re.sub(r"\{[^}]*\}", given, path)
            for method in methods:
                for body in bodies if method == "post" else ("",):
                    headers = {"Authorization": f"Bearer {MARK}", "X-Forwarded-For": MARK, "User-Agent": MARK}
                    for more in ({}, {"Content-Type": "application/x-www-form-urlencoded"}):
                        answer = client.request(
                            method, f"{place}?{MARK}={MAIL}", content=body, headers={**headers, **more}
                        )
                        found.add(answer.status_code)
    return found


def test_engage_says_nothing_of_anybody(engage: Process) -> None:
    with httpx.Client(base_url=engage.url, timeout=30) as client:
        assert {200, 401, 404} <= ask_all(client)
        send_raw(engage.url)
        with closing(sqlite3.connect(engage.folder / "store.db", isolation_level=None)) as store:
            for table in ("users", "control", "inbox", "dead_letters", "metrics"):
                store.execute(f"DROP TABLE {table}")
        ask_all(client)
    said = ended(engage)
    assert MARK not in said
    assert KEY not in said
    assert SECRET not in said
