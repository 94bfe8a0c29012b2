"""What a live job has counted equals what it did, however often it was killed on the way."""

import random
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from emulators import Project
from live_commands import Job, events_topic, publish, wait_for
from typer.testing import CliRunner

from todoke.cli import app
from transforms.channels.courier import LEASE
from transforms.channels.push.local_fcm import LocalFcm
from transforms.channels.sweep import sweep
from transforms.metrics.counts import counts_of, histograms_of, summed
from transforms.storage.open import open_store
from transforms.storage.rows import LedgerState
from transforms.storage.store import Store
from transforms.users.members import standing_members

DEFINITIONS = """
segments:
  fresh: {owner: growth, members: {event: Visited, within: 8s}}
  visited: {owner: growth, members: {event: Visited}}
campaigns:
  hello:
    owner: growth
    trigger: {event: Visited}
    variants: {a: 50, b: 50}
    steps: [{send: {a: hello_push, b: hello_inbox}}]
    reenter: always
    consent: news
  off:
    owner: growth
    status: paused
    trigger: {event: Visited}
    steps: [{send: hello_push}]
    reenter: always
    consent: news
messages:
  hello_push: {channel: push, title: "Hello {{ event.number }}"}
  hello_inbox: {channel: inbox, title: "Hello {{ event.missing }}"}
"""
USERS, VISITS, KILLS, BROKEN = 60, 5, 4, 7


def calls() -> list[list[dict[str, Any]]]:
    """One that identifies each user, with a token; then rounds of visits."""
    now = datetime.now(UTC).isoformat()
    users = [f"u{number:03}" for number in range(USERS)]
    known = [
        {"type": "identify", "messageId": f"i {user}", "userId": user, "timestamp": now}
        | {"context": {"device": {"type": "ios", "token": f"token-{user}"}}}
        for user in users
    ]
    visit = {"type": "track", "event": "Visited", "timestamp": now}
    rounds = [
        [{**visit, "messageId": f"v {user} {nth}", "userId": user, "properties": {"number": nth}} for user in users]
        for nth in range(VISITS)
    ]
    return [known, *rounds]


@pytest.mark.all_in_ci
@pytest.mark.usefixtures("prism")
def test_counts_equal_what_happened_after_kills(pubsub: Project, tmp_path: Path) -> None:
    topic, fcm = events_topic(pubsub), LocalFcm.start()
    (tmp_path / "live.yaml").write_text(DEFINITIONS)
    url = f"sqlite:{tmp_path / 'store.db'}"
    flags = {
        "--definitions": tmp_path / "live.yaml",
        "--events": f"pubsub:projects/{pubsub.name}/subscriptions/events",
        "--store": url,
        "--push": f"fcm:demo-project@{fcm.url}",
        "--outbox": tmp_path / "outbox",
    }
    given = [str(part) for flag in flags.items() for part in flag]
    job = Job([sys.executable, "-m", "todoke", "run", *given], tmp_path / "log.txt")
    rounds, chance = calls(), random.Random(19)
    try:
        job.start()
        for number, messages in enumerate(rounds):
            publish(topic, messages)
            if number < BROKEN:
                publish(topic, [{"type": "nothing", "number": number}])
            if 0 < number <= KILLS:
                wait_for(lambda: len(fcm.received) > 0, job.log)
                time.sleep(chance.uniform(0.1, 1.5))
                job.kill()
                job.start()
        wait_for(lambda: applied(url) == USERS * (1 + VISITS), job.log)
        wait_for(lambda: not fresh(url), job.log)  # time alone took everybody out
        wait_for(lambda: all_told(url), job.log)
        assert job.stop() == 0
    finally:
        job.stop()
        fcm.stop()
    store = open_store(url)
    told = sweep(store, lambda payloads: None, time.time_ns() // 1000 + 2 * LEASE)
    found = sums(store)
    check_accounts(found, len(rounds))
    check_ledger(store, found, told.resolved)
    shown = CliRunner().invoke(app, ["flow", "visited", "--store", url, "--json"])
    assert msgspec.json.decode(shown.stdout.splitlines()[-1])["size"] == USERS
    store.close()


def check_accounts(found: dict[tuple[str, tuple[tuple[str, str], ...]], int], broken: int) -> None:
    ended = by(found, "accounts", "outcome")
    assert ended["applied"] == USERS * (1 + VISITS)
    assert ended["dead_letter"] >= min(broken, BROKEN), "one that came again is read, and a dead letter, again"
    assert ended.keys() <= {"applied", "duplicate", "dead_letter"}
    assert by(found, "events", "type")["track"] == by(found, "events", "event")["Visited"] == USERS * VISITS
    assert by(found, "events", "type")["identify"] == USERS
    for segment in ("fresh", "visited"):
        standing = USERS if segment == "visited" else 0
        assert by(found, "entered", "segment")[segment] - by(found, "left", "segment")[segment] == standing
    assert by(found, "entries", "campaign") == {"hello": USERS * VISITS}
    assert sum(by(found, "behind", "le").values()) > 0


def check_ledger(
    store: Store, found: dict[tuple[str, tuple[tuple[str, str], ...]], int], resolved: dict[str, int]
) -> None:
    """Each row of the ledger was counted once, and nothing else."""
    rows = list(store.scan_ledger())
    refused = [row for row in rows if row.state in (LedgerState.SUPPRESSED, LedgerState.EXPIRED)]
    sent = [row for row in rows if row not in refused]
    states = Counter((row.campaign, row.channel, row.state) for row in sent)
    assert Counter(by(found, "sends", "campaign", "channel", "state")) == states
    assert states["hello", "push", "handed_off"] > 0
    assert states["hello", "push", "unknown"] == sum(resolved.values())
    reasons = Counter((row.campaign, row.channel, row.detail.partition(": ")[0] or row.state) for row in refused)
    assert Counter(by(found, "suppressed", "campaign", "channel", "reason")) == reasons
    assert by(found, "suppressed", "campaign", "reason")["off", "paused"] == USERS * VISITS
    channels = Counter(row.channel for row in rows if row.channel)
    assert by(found, "decided", "channel") == channels
    handed_off = {
        dict(labels)["from"]: histogram.count
        for labels, histogram in histograms_of(found, "latency").items()
        if dict(labels)["to"] == "handed_off" and dict(labels)["channel"] == "push"
    }
    told_late = states["hello", "push", "handed_off"]
    assert handed_off == {"arrival": told_late, "trigger": told_late}


def sums(store: Store) -> dict[tuple[str, tuple[tuple[str, str], ...]], int]:
    return summed(counts_of(store))


def by(found: dict[tuple[str, tuple[tuple[str, str], ...]], int], name: str, *labels: str) -> Counter[Any]:
    """The sums of a metric by some of its labels."""
    counts: Counter[Any] = Counter()
    for (metric, said), count in found.items():
        if metric == name:
            values = tuple(dict(said).get(label, "") for label in labels)
            counts[values if len(values) > 1 else values[0]] += count
    return counts


def applied(url: str) -> int:
    """How many events are in the archive."""
    store = open_store(url)
    found = sum(event.type != "receipt" for row in store.scan_users() for event in store.read_events(row.user))
    store.close()
    return found


def fresh(url: str) -> int:
    store = open_store(url)
    found = sum(1 for _ in standing_members(store, "fresh"))
    store.close()
    return found


def all_told(url: str) -> bool:
    """What was in the air at a kill stays claimed, and open, until a sweep settles it; all else has ended."""
    store = open_store(url)
    left = sum(row.open_sends for row in store.scan_users())
    claimed = sum(row.state == "claimed" for row in store.scan_ledger())
    store.close()
    return left == claimed
