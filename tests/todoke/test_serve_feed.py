"""The feed of recorded orders: a past that is as long as it was, then calls at the speed that was asked for."""

import json
import threading
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from todoke.demo.orders import recorded_calls
from todoke.serve.feed import HISTORY_DAYS, RecordedFeed

CUSTOMERS = 25
RECORDED = recorded_calls(customers=CUSTOMERS)


class Receiver(ThreadingHTTPServer):
    """Takes batches, but for every third request, which it refuses."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Batches)
        self.calls: list[dict[str, Any]] = []
        self.requests = 0
        self.keys: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Batches(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests += 1
        taken = self.server.requests % 3 != 0
        if taken:
            self.server.keys.add(b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode())
            self.server.calls += json.loads(body)["batch"]
        self.send_response(200 if taken else 503)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def times(calls: list[dict[str, Any]]) -> list[datetime]:
    return [datetime.fromisoformat(call["timestamp"]) for call in calls]


def test_history_keeps_its_distances_and_the_rest_comes_now(receiver: Receiver, tmp_path: Path) -> None:
    began = datetime.now(UTC)
    RecordedFeed(receiver.url, "key", 1e9, tmp_path / "feed.json", CUSTOMERS).run(lambda: False)
    ended = datetime.now(UTC)
    assert [call["messageId"] for call in receiver.calls] == [call.id for call in RECORDED]
    assert receiver.keys == {"key:"}
    recorded = [datetime.fromisoformat(call.time) for call in RECORDED]
    until = recorded[0] + timedelta(days=HISTORY_DAYS)
    history = sum(each < until for each in recorded)
    past, live = times(receiver.calls[:history]), times(receiver.calls[history:])
    assert 0 < history < len(RECORDED)
    assert [later - earlier for earlier, later in pairwise(past)] == [
        later - earlier for earlier, later in pairwise(recorded[:history])
    ]
    assert began - timedelta(days=HISTORY_DAYS, seconds=1) <= past[0]
    assert past[-1] <= ended
    assert began <= live[0] <= live[-1] <= ended


def test_a_feed_that_is_started_again_goes_on_where_it_was(receiver: Receiver, tmp_path: Path) -> None:
    def enough() -> bool:
        return len(receiver.calls) >= len(RECORDED) // 2

    for stopped in (enough, lambda: False):
        RecordedFeed(receiver.url, "key", 1e9, tmp_path / "feed.json", CUSTOMERS).run(stopped)
    assert [call["messageId"] for call in receiver.calls] == [call.id for call in RECORDED]
    assert len(receiver.calls) == len({call["messageId"] for call in receiver.calls})


def test_a_slow_feed_waits_for_what_is_not_due(receiver: Receiver, tmp_path: Path) -> None:
    looks = 0

    def stopped() -> bool:
        nonlocal looks
        looks += 1
        return looks > 30

    RecordedFeed(receiver.url, "key", 1.0, tmp_path / "feed.json", CUSTOMERS).run(stopped)
    recorded = [datetime.fromisoformat(call.time) for call in RECORDED]
    history = sum(each < recorded[0] + timedelta(days=HISTORY_DAYS) for each in recorded)
    assert history <= len(receiver.calls) <= history + 2


def test_each_call_is_sent_once_where_nobody_can_note_how_far_it_is(receiver: Receiver, tmp_path: Path) -> None:
    """A full disk, for one."""
    RecordedFeed(receiver.url, "key", 1e9, tmp_path / "gone" / "feed.json", CUSTOMERS).run(lambda: False)
    assert [call["messageId"] for call in receiver.calls] == [call.id for call in RECORDED]
