"""`todoke import`: outside data as history, for files, topics and stores; what the examples bring is used at once."""

import gzip
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from commands import Todoke
from emulators import Project
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from transforms.channels.push.local_fcm import LocalFcm
from transforms.events.decode import decode
from transforms.storage.open import open_store
from transforms.users.lease import LIVE_JOB, JobLease

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "imports"
NAMES = ("customers", "orders", "appsflyer", "adjust", "visits", "survey")
DEFINITIONS = """\
segments:
  regulars: {owner: crm, members: {event: Order Completed, count: {at_least: 2}}}
messages: {thanks: {channel: push, title: Thank you}}
campaigns:
  greet: {owner: crm, trigger: {enters: regulars}, steps: [{send: thanks}], consent: offers}
  later:
    owner: crm
    reenter: always
    trigger: {event: Order Completed}
    steps: [{wait: 1d}, {send: thanks}]
    consent: offers
"""
MAPPING = """\
user: who
time: {column: at, zone: UTC}
event: Order Completed
properties: {total: {column: total, type: number}}
"""
ORDERS = (
    "who,at,total\nann,2026-03-01 10:00:00,1\nann,2026-03-02 10:00:00,2\nbob,yesterday,3\nbob,2026-03-03 10:00:00,4\n"
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
    (tmp_path / "m.yaml").write_text(MAPPING, encoding="utf-8")
    (tmp_path / "orders.csv").write_text(ORDERS, encoding="utf-8")
    (tmp_path / "twice.csv").write_text("who,at,total,total\n", encoding="utf-8")
    return tmp_path


def members(todoke: Todoke, segment: str, store: str = "sqlite:s.db") -> list[str]:
    done = todoke("members", segment, "--store", store, "--anonymous")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.all_in_ci
def test_the_examples_are_used_at_once(tmp_path: Path, todoke: Todoke) -> None:
    into = ("--store", "sqlite:s.db", "--definitions", EXAMPLES / "definitions.yaml", "--json")
    said: dict[str, Any] = {}
    for name in NAMES:
        done = todoke("import", EXAMPLES / f"{name}.csv", "--mapping", EXAMPLES / f"{name}.yaml", *into)
        assert done.returncode == 0, done.stderr
        said[name] = json.loads(done.stdout)
        assert (said[name]["later"], said[name]["duplicates"]) == (0, 0)
        again = json.loads(
            todoke("import", EXAMPLES / f"{name}.csv", "--mapping", EXAMPLES / f"{name}.yaml", *into).stdout
        )
        assert (again["applied"], again["duplicates"]) == (0, said[name]["applied"])
    assert {name: (each["rows"], each["imported"], each["rejected"]) for name, each in said.items()} == {
        "customers": (3, 2, 1),
        "orders": (3, 2, 1),
        "appsflyer": (2, 2, 0),
        "adjust": (3, 2, 0),
        "visits": (3, 2, 1),
        "survey": (2, 1, 1),
    }
    assert said["adjust"]["left_out"] == 1
    for segment in (
        "pro_customers",
        "buyers",
        "came_by_ads",
        "from_spring_sale",
        "store_visitors",
        "promoters",
        "answered",
    ):
        assert members(todoke, segment) == ["ada"], segment
    assert members(todoke, "last_seen_at_store") == ["ada"]
    shown = json.loads(todoke("user", "ada", "--store", "sqlite:s.db", "--json").stdout)
    assert (
        shown["attributes"] | {"credit": 1234.5, "birthday": "1815-12-10", "installed_at": "2026-03-01T08:00:00Z"}
        == (shown["attributes"])
    )


def test_rejects_are_in_a_file_with_their_lines(shop: Path, todoke: Todoke) -> None:
    done = todoke("import", "orders.csv", "--mapping", "m.yaml", "--to", "out.jsonl.gz")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "3 rows of 4 imported: 3 events, 0 changes of attributes",
        "rejected: 1 (bad_time 1)",
        '  orders.csv:4: bad_time: `time`: expected a time like "2026-03-10T12:00:00Z"; found "yesterday"',
        "all of them are in import_rejects.jsonl",
    ]
    (letter,) = map(json.loads, (shop / "import_rejects.jsonl").read_text().splitlines())
    assert (letter["source"], letter["cause"], letter["payload"]) == ("orders.csv:4", "bad_time", "bob,yesterday,3\n")
    events = [decode(line)[0] for line in gzip.decompress((shop / "out.jsonl.gz").read_bytes()).splitlines()]
    assert [(event.user, event.name, event.properties, event.historical) for event in events] == [
        ("ann", "Order Completed", {"total": 1}, True),
        ("ann", "Order Completed", {"total": 2}, True),
        ("bob", "Order Completed", {"total": 4}, True),
    ]
    assert todoke("import", "orders.csv", "--mapping", "m.yaml", "--to", "out/*.parquet").returncode == 0
    assert [file.name for file in sorted((shop / "out").iterdir())] == [f"2026-03-0{day}.parquet" for day in (1, 2, 3)]
    assert pq.read_table(shop / "out/2026-03-01.parquet")["messageId"].to_pylist() == [events[0].id]


@pytest.mark.parametrize(("sign", "named"), [(";", '";"'), ("\t", '"\\t"'), ("|", '"|"')])
def test_a_file_with_another_delimiter_says_so(shop: Path, todoke: Todoke, sign: str, named: str) -> None:
    (shop / "orders.csv").write_text(ORDERS.replace(",", sign), encoding="utf-8")
    done = todoke("import", "orders.csv", "--mapping", "m.yaml", "--dry-run")
    assert done.returncode == 2
    assert (
        f"there is no column `who`; is the delimiter {named}? Say it in the mapping: csv: {{delimiter: " in done.stderr
    )
    (shop / "m.yaml").write_text(f"{MAPPING}csv: {{delimiter: {named}}}\n", encoding="utf-8")
    assert "3 rows of 4" in todoke("import", "orders.csv", "--mapping", "m.yaml", "--dry-run").stdout


def test_a_dry_run_writes_nothing(shop: Path, todoke: Todoke) -> None:
    before = sorted(shop.iterdir())
    done = todoke("import", "orders.csv", "--mapping", "m.yaml", "--dry-run", "--json")
    assert json.loads(done.stdout) == {
        "rows": 4,
        "imported": 3,
        "events": 3,
        "attributes": 0,
        "left_out": 0,
        "rejected": 1,
        "causes": {"bad_time": 1},
    }
    assert sorted(shop.iterdir()) == before


def test_nothing_is_sent_and_nothing_begins(shop: Path, todoke: Todoke) -> None:
    phone = {"context": {"device": {"type": "ios", "token": "t-ann"}}}
    call = {"type": "identify", "userId": "ann", "messageId": "m", "timestamp": "2026-02-01T00:00:00Z", **phone}
    (shop / "e.jsonl").write_text(json.dumps(call), encoding="utf-8")
    (shop / "none.jsonl").write_text("", encoding="utf-8")
    flags = ("--definitions", "d.yaml", "--store", "sqlite:s.db")
    server = LocalFcm.start()
    push = ("--push", f"fcm:demo-project@{server.url}")
    try:
        assert todoke("run", *flags, *push, "--events", "e.jsonl").returncode == 0
        assert todoke("import", "orders.csv", "--mapping", "m.yaml", *flags).returncode == 0
        assert members(todoke, "regulars") == ["ann"]
        after = ("--events", "none.jsonl", "--continue", "--as-of", "2026-04-01T00:00:00Z", "--report", "r.json")
        done = todoke("run", *flags, *push, *after)
        assert done.returncode == 0, done.stderr
    finally:
        server.stop()
    assert server.received == []
    report = json.loads((shop / "r.json").read_bytes())
    assert (report["entries"], report["sends"], report["waiting"]) == (0, {}, 0)


def test_a_topic_gets_each_call_as_a_message(shop: Path, todoke: Todoke, pubsub: Project) -> None:
    topic, read = f"projects/{pubsub.name}/topics/events", f"projects/{pubsub.name}/subscriptions/events"
    with PublisherClient() as publisher, SubscriberClient() as subscriber:
        publisher.create_topic(name=topic)
        subscriber.create_subscription(name=read, topic=topic)
        done = todoke("import", "orders.csv", "--mapping", "m.yaml", "--to", f"pubsub:{topic}")
        assert done.returncode == 0, done.stderr
        found = [each.message.data for each in pulled(subscriber, read, 3)]
    events = [decode(payload, 2**50)[0] for payload in found]
    assert sorted((event.user, event.properties["total"], event.historical) for event in events) == [
        ("ann", 1, True),
        ("ann", 2, True),
        ("bob", 4, True),
    ]


def pulled(subscriber: SubscriberClient, subscription: str, count: int) -> Iterator[Any]:
    while count:
        got = subscriber.pull(subscription=subscription, max_messages=count).received_messages
        count -= len(got)
        yield from got
        if got:
            subscriber.acknowledge(subscription=subscription, ack_ids=[each.ack_id for each in got])


def test_a_store_that_a_job_works_on_is_left_alone(shop: Path, todoke: Todoke) -> None:
    with closing(open_store(f"sqlite:{shop / 's.db'}")) as store:
        JobLease(store, LIVE_JOB).take()
        done = todoke(
            "import", "orders.csv", "--mapping", "m.yaml", "--store", "sqlite:s.db", "--definitions", "d.yaml"
        )
        assert (done.returncode, "a live job" in done.stderr) == (2, True)
        assert not store.has_users()


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        (("orders.csv", "--mapping", "m.yaml"), "name where the rows go"),
        (("orders.csv", "--mapping", "none.yaml", "--dry-run"), "none.yaml: No such file"),
        (("none.csv", "--mapping", "m.yaml", "--dry-run"), "there is no file none.csv"),
        ((".", "--mapping", "m.yaml", "--dry-run"), "is a folder"),
        (
            ("orders.csv", "--mapping", "d.yaml", "--dry-run"),
            "--mapping: d.yaml: unknown field `segments`; expected one of user, anonymous, time",
        ),
        (("d.yaml", "--mapping", "m.yaml", "--dry-run"), "there is no column `who`"),
        (("twice.csv", "--mapping", "m.yaml", "--dry-run"), "two columns are called `total`"),
        (("orders.csv", "--mapping", "m.yaml", "--store", "sqlite:s.db"), "--definitions"),
        (("orders.csv", "--mapping", "m.yaml", "--to", "."), "is a folder"),
        (("orders.csv", "--mapping", "orders.csv", "--dry-run"), "--mapping: orders.csv"),
        (("orders.csv", "--mapping", "m.yaml", "--time", "now", "--dry-run"), "--time"),
    ],
)
def test_wrong_use(shop: Path, todoke: Todoke, flags: tuple[str, ...], cause: str) -> None:
    before = sorted(shop.iterdir())
    done = todoke("import", *flags)
    assert (done.returncode, done.stdout, cause in done.stderr) == (2, "", True), done.stderr
    assert sorted(shop.iterdir()) == before
