"""A topic as the sink, and a broker that is away."""

import socket
import time
from contextlib import closing
from pathlib import Path

import pytest
from collect_service import NOW, SOURCES, TRACK, Service

from services import pubsub
from services.collect.app import Collect
from services.collect.keys import Keys
from services.collect.letters import StoreLetters
from services.pubsub import TopicSink
from transforms.events.queue.append import Queue
from transforms.storage.sqlite.store import SqliteStore


@pytest.mark.parametrize("ordering", [True, False])
def test_a_broker_that_is_away_is_503_at_once_and_not_ready(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ordering: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # closed below: nobody listens there
        port = taken.getsockname()[1]
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{port}")
    monkeypatch.setattr(pubsub, "PUBLISH_SECONDS", 0.3)
    monkeypatch.setattr(pubsub, "AWAY_SECONDS", 60.0)
    sink = TopicSink("projects/p/topics/t", ordering=ordering)
    with closing(SqliteStore(tmp_path / "store.db")) as store, Queue(tmp_path / "unused.db") as queue:
        letters = StoreLetters(lambda: store, lambda: NOW)
        service = Service(Collect(Keys(SOURCES), sink, letters, clock=lambda: NOW).app, queue, tmp_path)
        assert service.ask("GET", "/ready").status_code == 503
        first = service.post("/v1/track", TRACK)
        assert (first.status_code, first.headers["retry-after"]) == (503, "1")
        began = time.monotonic()
        assert service.post("/v1/track", TRACK).status_code == 503
        assert service.ask("GET", "/ready").status_code == 503
        assert time.monotonic() - began < 0.3
        letters.close()
    sink.close()
