"""What a command names and is not there, or may not be used: one line, exit code 2, and nothing is started."""

import json
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from beam_pipelines.realtime import main

SHOP = """
segments: {buyers: {owner: crm, members: {event: Order Completed}}}
campaigns:
  greet: {owner: crm, trigger: {enters: buyers}, steps: [{send: thanks}], transactional: true}
messages: {thanks: {channel: push, title: Thank you}}
"""
EVENT = {"type": "track", "messageId": "m", "userId": "u", "event": "E", "timestamp": "2026-03-01T12:00:00Z"}


@pytest.fixture
def run(todoke: Any, tmp_path: Path) -> Any:
    (tmp_path / "shop.yaml").write_text(SHOP)
    (tmp_path / "events.jsonl").write_text(json.dumps(EVENT))

    def run(*more: str, **flags: str) -> str:
        given = {"definitions": "shop.yaml", "events": "events.jsonl", "store": "sqlite:new.db"} | flags
        words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        return refused(todoke("run", *words, *more))

    return run


def refused(done: Any) -> str:
    """What the one line of a refusal says."""
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("todoke: ")
    return line.removeprefix("todoke: ")


@pytest.fixture
def live(run: Any, pubsub: Any) -> Any:
    """A job over a subscription that is there."""
    events = f"projects/{pubsub.name}/topics/events"
    with PublisherClient() as publisher, SubscriberClient() as subscriber:
        publisher.create_topic(name=events)
        subscriber.create_subscription(name=f"projects/{pubsub.name}/subscriptions/events", topic=events)
    return lambda **flags: run(**{"events": f"pubsub:projects/{pubsub.name}/subscriptions/events", **flags})


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))


def test_a_subscription_or_a_topic(live: Any, pubsub: Any, tmp_path: Path) -> None:
    missing = f"projects/{pubsub.name}/subscriptions/missing"
    topic, letters = f"projects/{pubsub.name}/topics/control", f"projects/{pubsub.name}/topics/letters"
    assert live(events=f"pubsub:{missing}").startswith(f"--events: there is no subscription {missing}")
    control = {"control": f"pubsub:{missing}", "control_topic": f"pubsub:{topic}"}
    assert live(**control).startswith(f"--control: there is no subscription {missing}")
    control["control"] = f"pubsub:projects/{pubsub.name}/subscriptions/events"
    assert live(**control).startswith(f"--control-topic: there is no topic {topic}")
    assert live(dead_letters=f"pubsub:{letters}").startswith(f"--dead-letters: there is no topic {letters}")
    assert not (tmp_path / "new.db").exists()


class Refusing(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Pub/Sub to an account without rights."""

    def service(self, call: Any) -> Any:
        def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
            if call.method.endswith("TestIamPermissions"):
                return b""
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "User not authorized")
            return b""

        return grpc.unary_unary_rpc_method_handler(refuse)


def test_a_permission_that_is_missing(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = grpc.server(ThreadPoolExecutor(2), handlers=(Refusing(),))
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    server.start()
    said = run(events="pubsub:projects/project-x/subscriptions/events")
    assert said.startswith(
        "--events: this account may not use the subscription projects/project-x/subscriptions/events"
    )
    server.stop(None)


@pytest.mark.usefixtures("no_credentials")
def test_no_credentials(run: Any, live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for start in (run, live):
        assert start(push="fcm:project-x").startswith("--push: no credentials for FCM: ")
    monkeypatch.delenv("BIGTABLE_EMULATOR_HOST", raising=False)
    assert run(store="bigtable:proj-x/inst").startswith("no credentials for Bigtable: ")
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST")
    assert live().startswith("--events: no credentials for Pub/Sub: ")


@pytest.mark.parametrize(
    "command", [("members", "buyers"), ("user", "u"), ("inbox", "u"), ("flow", "buyers"), ("wake",)]
)
def test_a_store_that_is_none(todoke: Any, run: Any, tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "text.db").write_text("not a database, and longer than the header of one" * 10)
    (tmp_path / "folder").mkdir()
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE places (url TEXT)")
    other.close()
    for place, said in (
        ("text.db", "file is not a database (text.db)"),
        ("folder", "unable to open database file (folder)"),
        ("other.db", "other.db is a SQLite file of another program"),
        ("text.db/s.db", "text.db/s.db"),
    ):
        for line in (refused(todoke(*command, f"--store=sqlite:{place}")), run(store=f"sqlite:{place}")):
            assert said in line
    assert "there is no file no/where.db" in refused(todoke(*command, "--store=sqlite:no/where.db"))
    with sqlite3.connect(tmp_path / "other.db") as other:
        assert [name for (name,) in other.execute("SELECT name FROM sqlite_master")] == ["places"]
    other.close()


def test_tables_that_are_not_there(todoke: Any, bigtable: Any) -> None:
    assert "lacks the tables" in refused(todoke("members", "buyers", f"--store={bigtable.url}"))


def test_plain_files_on_a_store_with_a_pointer(todoke: Any, run: Any, live: Any, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SHOP)
    assert todoke("publish", "shop.yaml", "--to=shop.json").returncode == 0
    flags = ("--definitions=shop.json", "--events=events.jsonl", "--store=sqlite:new.db")
    assert todoke("run", *flags).returncode == 0
    for line in (run("--continue"), live()):
        assert line.startswith("release 1 of the definitions was used already")
        assert "start the job with the pointer" in line


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"report": "nowhere/report.json"}, "--report: there is no folder nowhere"),
        ({"report": "."}, "--report: . is a folder"),
        ({"outbox": "shop.yaml"}, "--outbox: shop.yaml is a file"),
        ({"outbox": "shop.yaml/out"}, "--outbox: shop.yaml is a file"),
        ({"dead_letters": "shop.yaml/letters.jsonl"}, "--dead-letters: shop.yaml is a file"),
    ],
)
def test_what_cannot_be_written(run: Any, flags: dict[str, str], said: str) -> None:
    assert run(**flags).startswith(said)


class NotFound(BaseHTTPRequestHandler):
    """Cloud Storage without buckets."""

    def do_GET(self) -> None:
        body = b'{"error": {"code": 404, "message": "The specified bucket does not exist."}}'
        self.send_response(404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), NotFound)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # nobody asks the metadata server for credentials
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("run")
def test_a_bucket_that_does_not_answer_is_waited_for_no_longer_than_said(
    todoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google's client itself goes on for two minutes."""
    monkeypatch.setattr("transforms.campaigns.transforms.PATIENCE_SECONDS", 0.5)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{silent.getsockname()[1]}")
        done = todoke("run", "--definitions=gs://bucket-x/shop.json", "--events=events.jsonl", "--store=none")
    assert done.returncode == 2
    assert "gs://bucket-x/shop.json cannot be read: no answer in 0.5 s: is there a network?" in done.stderr


@pytest.mark.parametrize("content", ["[]", "{}"])
@pytest.mark.parametrize(
    "flags",
    [
        {"store": "bigtable:project-1/i"},
        {"push": "fcm:project-1"},
        {"events": "pubsub:projects/project-1/subscriptions/events"},
    ],
)
def test_credentials_that_are_none_are_a_line(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: dict[str, str], content: str
) -> None:
    for name in ("BIGTABLE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "key.json").write_text(content, "utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    said = run(**flags)
    assert "no credentials for " in said
    assert "--debug" not in said


@pytest.mark.usefixtures("buckets")
def test_a_bucket(run: Any, todoke: Any) -> None:
    assert run(events="gs://bucket-x/events.jsonl").startswith("--events: ")
    done = todoke("run", "--definitions=gs://bucket-x/shop.json", "--events=events.jsonl", "--store=none")
    assert (done.returncode, done.stderr.startswith("gs://bucket-x/shop.json:1: error: ")) == (2, True)
    assert "Traceback" not in done.stderr


ON_DATAFLOW = {
    "events": "pubsub:projects/proj-x/subscriptions/events",
    "store": "bigtable:proj-x/todoke",
    "control": "pubsub:projects/proj-x/subscriptions/control",
    "control_topic": "pubsub:projects/proj-x/topics/control",
    "push": "fcm:proj-x",
    "dead_letters": "pubsub:projects/proj-x/topics/dead-letters",
}


@pytest.mark.parametrize(
    "runner", [("--runner=DataflowRunner",), ("--runner", "dataflowrunner"), ("--runner=DATAFLOW",)]
)
@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("store", "sqlite:users.db", "--store: on Dataflow name bigtable:PROJECT/INSTANCE"),
        ("dead_letters", None, "--dead-letters: on Dataflow name pubsub:projects/P/topics/T"),
        ("dead_letters", "gs://bucket-x/letters.jsonl", "--dead-letters: on Dataflow name pubsub:"),
        ("push", None, "--push: on Dataflow name where message `thanks` goes"),
        ("events", "events.jsonl", "--runner: a run over files is one process on this machine"),
    ],
)
def test_nothing_may_lie_on_a_workers_disk(
    run: Any, runner: tuple[str, ...], flag: str, value: str | None, said: str
) -> None:
    given = {name: text for name, text in (ON_DATAFLOW | {flag: value}).items() if text is not None}
    assert run(*runner, **given).startswith(said)


def test_a_launch_by_the_job_itself_is_refused_alike(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    (tmp_path / "shop.yaml").write_text(SHOP)
    given = {**ON_DATAFLOW, "store": "sqlite:users.db", "definitions": str(tmp_path / "shop.yaml")}
    words = [f"--{name.replace('_', '-')}={text}" for name, text in given.items()]
    monkeypatch.setattr("sys.argv", ["realtime", *words, "--runner=dataflowrunner"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("realtime: --store: on Dataflow name bigtable:")


def test_a_launch_elsewhere_asks_for_what_is_not_there(run: Any, pubsub: Any) -> None:
    given = ON_DATAFLOW | {"events": f"pubsub:projects/{pubsub.name}/subscriptions/missing"}
    assert "--events: there is no subscription" in run("--runner=DataflowRunner", **given)
