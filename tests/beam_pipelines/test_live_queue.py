"""The whole live job over an embedded queue and SQLite, with kills of both sides: nothing lost, nothing twice."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from live_commands import Job, wait_for

from transforms.channels.push.local_fcm import LocalFcm
from transforms.events.queue.append import Queue
from transforms.metrics.counts import counts_of
from transforms.storage.open import open_store
from transforms.storage.sqlite.store import SqliteStore

ROOT = Path(__file__).parents[2]

DEFINITIONS = """
segments:
  fresh: {owner: growth, members: {event: Visited, within: 8s}}
campaigns:
  hello:
    owner: growth
    trigger: {event: Visited}
    steps: [{send: hello_push}]
    reenter: always
    consent: news
messages:
  hello_push: {channel: push, title: "Hello {{ event.number }}"}
"""

#: Three calls a user, in two appends, until it is killed; prints each user who was answered.
WRITER = """
import json, sys, time
from datetime import UTC, datetime
from transforms.events.queue.append import Queue
queue = Queue(sys.argv[1])
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 100_000):
    user, now = f"u{number:06}", datetime.now(UTC).isoformat()
    common = {"userId": user, "timestamp": now}
    device = {"device": {"token": f"token-{user}", "type": "ios"}}
    calls = [
        {"type": "identify", "messageId": f"i{number}", "context": device, "traits": {"step": 1}, **common},
        {"type": "identify", "messageId": f"j{number}", "traits": {"step": 2}, **common},
        {"type": "track", "messageId": f"v{number}", "event": "Visited", "properties": {"number": number}, **common},
    ]
    queue.append([json.dumps(call).encode() for call in calls[:2]])
    queue.append([json.dumps(calls[2]).encode()])
    print(user, flush=True)
    time.sleep(0.01)
"""


#: None of these holds anything up: each ends as a dead letter.
POISON = (b"\xff\xfe", b"[" * 200_000, b"", b"x" * 9_000_000)


@pytest.fixture
def fcm() -> Iterator[LocalFcm]:
    fcm = LocalFcm.start()
    yield fcm
    fcm.stop()


@pytest.fixture
def job(tmp_path: Path, fcm: LocalFcm) -> Iterator[Job]:
    (tmp_path / "live.yaml").write_text(DEFINITIONS)
    flags = {
        "--definitions": tmp_path / "live.yaml",
        "--events": f"queue:{tmp_path / 'events.db'}",
        "--store": f"sqlite:{tmp_path / 'users.db'}",
        "--push": f"fcm:demo-project@{fcm.url}",
        "--outbox": tmp_path / "outbox",
    }
    given = [str(part) for flag in flags.items() for part in flag]
    made = Job([sys.executable, "-m", "todoke", "run", *given], tmp_path / "log.txt")
    yield made
    made.stop()


@pytest.mark.all_in_ci
@pytest.mark.usefixtures("prism")
def test_kills_of_both_sides_lose_nothing_and_do_nothing_twice(job: Job, fcm: LocalFcm, tmp_path: Path) -> None:
    path, url = tmp_path / "events.db", f"sqlite:{tmp_path / 'users.db'}"
    promised: set[str] = set()
    job.start()
    for round_ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(round_ * 100_000)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        seen = len(fcm.received)
        wait_for(lambda: len(fcm.received) > seen + 30, job.log)  # noqa: B023 - called in this round
        if round_ < 2:
            job.kill()
            job.start()
        writer.kill()
        out, _ = writer.communicate()
        promised |= {line.rstrip("\n") for line in out.splitlines(keepends=True) if line.endswith("\n")}
    with Queue(path) as queue, closing(SqliteStore(tmp_path / "users.db")) as acknowledging:
        last = {"type": "track", "event": "End", "userId": "end", "messageId": "e"}
        *_, end = queue.append([*POISON, json.dumps(last).encode()])
        wait_for(lambda: acknowledging.read_acknowledged(queue.id).ranges() == [(1, end)], job.log)
    store = open_store(url)
    users = {row.user for row in store.scan_users()} - {"end"}
    assert promised <= users
    assert len(users) <= len(promised) + 3  # what was committed and not answered
    events = [event.id for user in sorted(users) for event in store.read_events(user) if event.type != "receipt"]
    assert len(events) == len(set(events)) == end - len(POISON) - 1
    # Everything that a message caused and its acknowledgement are one transaction: not one had to be a duplicate.
    accounts = Counter[str]()
    for count in counts_of(store, "accounts"):
        accounts[count.labels["outcome"]] += count.count
    assert accounts == {"applied": end - len(POISON), "dead_letter": len(POISON)}
    wait_for(lambda: sum(1 for _ in store.scan_ledger()) >= len(promised), job.log)
    assert Counter(push["token"] for push in fcm.received).most_common(1)[0][1] == 1
    rows = {user: json.loads(row.profile) for user, row in store.read_users(sorted(promised)).items()}
    assert {row["attributes"]["step"] for row in rows.values()} == {2}  # in the order in which they were appended
    wait_for(lambda: not list(store.scan_members("fresh")), job.log)  # time alone took everybody out
    wait_for(lambda: any(each.count == 0 for each in counts_of(store, "queued")), job.log)
    store.close()
    assert job.stop() == 0
