"""A live job keeps dead letters, once each whatever happens to it; they are read, replayed and deleted meanwhile."""

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from emulators import Project
from live_commands import Job, events_topic, publish, wait_for
from typer.testing import CliRunner

from todoke.cli import app
from transforms.events.dead_letter import DeadLetter
from transforms.events.kept.rows import kept
from transforms.metrics.counts import counts_of
from transforms.storage.open import open_reader, open_store
from transforms.storage.pages import every
from transforms.storage.rows import DeadLetterRow
from transforms.users.faults import INTERNAL
from transforms.users.measures import METRICS

DEFINITIONS = "segments: {buyers: {owner: o, members: {event: Ordered}}}\n"


@pytest.fixture
def topic(pubsub: Project) -> str:
    return events_topic(pubsub)


@pytest.fixture
def job(tmp_path: Path, pubsub: Project, topic: str) -> Iterator[Job]:
    (tmp_path / "d.yaml").write_text(DEFINITIONS)
    flags = {
        "--definitions": tmp_path / "d.yaml",
        "--events": f"pubsub:projects/{pubsub.name}/subscriptions/events",
        "--store": f"sqlite:{tmp_path / 's.db'}",
        "--outbox": tmp_path / "outbox",
    }
    given = [str(part) for flag in flags.items() for part in flag]
    made = Job([sys.executable, "-m", "todoke", "run", *given], tmp_path / "log.txt")
    yield made
    made.stop()


def call(number: int, **fields: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {"type": "track", "event": "Ordered", "messageId": f"m{number}", "timestamp": now, "userId": "ada", **fields}


def command(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.all_in_ci
@pytest.mark.usefixtures("prism")
def test_letters_are_kept_once_read_replayed_and_deleted_while_the_job_runs(
    job: Job, topic: str, tmp_path: Path
) -> None:
    url = f"sqlite:{tmp_path / 's.db'}"
    assert METRICS["accounts"].labels == ("cause", "outcome")
    publish(topic, [call(1), call(2, userId="bob")])
    publish(topic, [call(number, timestamp="soon", properties={"a": "\0\x1b[2J\n届け"}) for number in range(10, 60)])
    publish(topic, [call(60, userId="null"), call(61, userId="bob", timestamp="soon")])
    job.start()

    def letters() -> list[DeadLetterRow]:
        reader = open_reader(url)
        try:
            return list(every(lambda cursor: reader.page_dead_letters(20, cursor)))
        finally:
            reader.close()

    def outcomes(outcome: str) -> int:
        reader = open_reader(url)
        try:
            found = counts_of(reader, "accounts")
            return sum(count.count for count in found if count.labels["outcome"] == outcome)
        finally:
            reader.close()

    wait_for((tmp_path / "outbox" / "dead_letters.jsonl").exists, job.log)
    wait_for(lambda: len(letters()) == 52, job.log)
    job.kill()  # what was not acknowledged comes again, and is the same letter
    job.start()
    publish(topic, [call(3)])
    wait_for(lambda: outcomes("applied") >= 3, job.log)
    found = letters()
    assert len(found) == 52
    assert sorted({row.user for row in found}) == ["ada", "bob", "null"]
    assert sum(row.user == "ada" for row in found) == 50
    said = [json.loads(row.payload)["messageId"] for row in found]
    assert sorted(said) == sorted(f"m{number}" for number in range(10, 62))

    # One of them is of a message that was applied meanwhile, as if this failure had been mended.
    store = open_store(url, create=False)
    before = outcomes("duplicate")
    applied = json.dumps(call(3)).encode()
    store.write_dead_letters([kept(DeadLetter(applied, "pubsub:p/s", INTERNAL, "", 1), found[0].time)])
    told = command("replay", "--store", url, "--to", f"pubsub:{topic}", "--cause", INTERNAL, "--json")
    assert json.loads(told)["published"] == 1
    wait_for(lambda: outcomes("duplicate") == before + 1, job.log)
    # What nobody mended is refused once more: the same letter, which may be replayed again.
    refused = outcomes("dead_letter")
    told = command("replay", "--store", url, "--to", f"pubsub:{topic}", "--cause", "refused_id", "--json")
    assert json.loads(told)["published"] == 1
    wait_for(lambda: outcomes("dead_letter") == refused + 1, job.log)
    wait_for(lambda: not any(row.replayed for row in letters() if row.cause == "refused_id"), job.log)
    assert len(letters()) == 53

    publish(topic, [call(70, type="delete")])
    wait_for(lambda: {row.user for row in letters()} == {"bob", "null"}, job.log)
    store.close()
    assert job.stop() == 0


@pytest.mark.all_in_ci
@pytest.mark.usefixtures("prism")
def test_a_job_to_which_nothing_is_refused_deletes_what_is_too_old_and_notes_how_far_it_is_behind(
    job: Job, topic: str, tmp_path: Path
) -> None:
    url, now, day = f"sqlite:{tmp_path / 's.db'}", time.time_ns() // 1000, 24 * 3_600_000_000
    store = open_store(url)
    letters = [DeadLetter(b"%d" % days, "pubsub:p/s", "not_json", "", now) for days in (1, 29, 31, 400)]
    store.write_dead_letters([kept(each, now - int(each.payload) * day) for each in letters])
    publish(topic, [call(1)])
    job.start()

    def left() -> list[bytes]:
        reader = open_reader(url)
        try:
            return [row.payload for row in reader.page_dead_letters(9).rows]
        finally:
            reader.close()

    wait_for(lambda: left() == [b"1", b"29"], job.log)
    wait_for(lambda: any(count.count for count in counts_of(store, "behind")), job.log)
    assert "Traceback" not in job.log.read_text()
    store.close()
    assert job.stop() == 0
