"""A live job deletes a user, and a queue that goes back to before the deletion brings nothing of them again."""

import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from emulators import Project
from google.cloud.pubsub_v1 import SubscriberClient
from live_commands import Job, events_topic, publish, wait_for
from typer.testing import CliRunner

from todoke.cli import app
from transforms.metrics.counts import counts_of
from transforms.storage.open import open_reader, open_store
from transforms.users.user import decode_user

DEFINITIONS = "segments: {buyers: {owner: o, members: {event: Ordered}}}\n"


def call(number: int, **fields: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {"type": "track", "event": "Ordered", "messageId": f"m{number}", "timestamp": now, "userId": "ada", **fields}


@pytest.mark.all_in_ci
@pytest.mark.usefixtures("prism")
def test_what_a_queue_retains_ends_as_deleted_when_it_is_replayed(pubsub: Project, tmp_path: Path) -> None:
    url, topic = f"sqlite:{tmp_path / 's.db'}", events_topic(pubsub)
    subscription = f"projects/{pubsub.name}/subscriptions/retained"
    with SubscriberClient() as subscriber:
        asked = {"name": subscription, "topic": f"projects/{pubsub.name}/topics/events", "retain_acked_messages": True}
        subscriber.create_subscription(request=asked)
        began = datetime.now(UTC) - timedelta(seconds=1)
        (tmp_path / "d.yaml").write_text(DEFINITIONS)
        words = ["run", "--definitions", str(tmp_path / "d.yaml"), "--events", f"pubsub:{subscription}", "--store", url]
        words += ["--outbox", str(tmp_path / "outbox")]
        job = Job([sys.executable, "-m", "todoke", *words], tmp_path / "log.txt")

        def outcomes() -> Counter[str]:
            reader = open_reader(url)
            try:
                sums = Counter[str]()
                for count in counts_of(reader, "accounts"):
                    sums[count.labels["outcome"]] += count.count
                return sums
            finally:
                reader.close()

        without_time = {key: value for key, value in call(3).items() if key != "timestamp"}
        publish(topic, [call(1), call(2, type="identify", traits={"name": "SECRET"}), without_time])
        publish(topic, [call(4, userId="bob")])
        open_store(url).close()
        job.start()
        try:
            wait_for(lambda: outcomes()["applied"] == 4, job.log)
            told = CliRunner().invoke(app, ["delete", "ada", "--to", f"pubsub:{topic}", "--yes"])
            assert told.exit_code == 0, told.output
            wait_for(lambda: outcomes()["applied"] == 5, job.log)
            subscriber.seek(request={"subscription": subscription, "time": began})
            wait_for(lambda: outcomes()["deleted"] >= 3, job.log)
            wait_for(lambda: outcomes()["duplicate"] >= 2, job.log)  # bob's call, and the deletion itself
        finally:
            job.stop()
        assert outcomes()["applied"] == 5
    store = open_store(url, create=False)
    assert {row.user for row in store.scan_members("buyers")} == {"bob"}
    assert list(store.read_events("ada")) == []
    state = store.read_users(["ada"])["ada"].state
    assert b"SECRET" not in state
    assert decode_user(state).deleted is not None
    store.close()
