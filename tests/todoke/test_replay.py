"""`todoke dead-letters` and `todoke replay`: what was refused is looked at, mended, and published again."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from commands import Todoke
from emulators import Project
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import PublishRequest, PublishResponse
from refused import NOW, call, letter

from transforms.events.decode import decode
from transforms.events.event import Event
from transforms.events.kept.rows import kept
from transforms.storage.open import open_store
from transforms.storage.store import Store
from transforms.users.control import encode_inputs_control
from transforms.users.faults import dead_letter_of
from transforms.users.user import Wake

DEFINITIONS = "segments: {buyers: {owner: o, members: {event: Order Completed}}}\n"


@pytest.fixture
def opened(url: str) -> Any:
    store = open_store(url)
    yield store
    store.close()


def test_letters_are_listed(todoke: Todoke, opened: Store, url: str) -> None:
    letters = [
        letter(b"\xff\x00", 3, cause="not_utf8"),
        letter(call(1, x="\x1b[2J" + "x" * 500), 2),
        letter(b"x" * 2_000_000, 1, cause="too_large", detail="Traceback\n  line\nValueError: bad"),
    ]
    opened.write_dead_letters([kept(each, each.time) for each in letters])
    done = todoke("dead-letters", "--store", url)
    assert (done.returncode, done.stderr) == (0, "")
    first, second, third = done.stdout.splitlines()
    assert first.split("  ")[:4] == ["2026-02-25T06:13:20.000003Z", "not_utf8", "-", "d"]
    assert "bad_time  ada  d  " in second
    assert "…" in second
    assert "\x1b" not in second
    assert "ValueError: bad  xxx" in third
    said = [json.loads(line) for line in todoke("dead-letters", "--store", url, "--json").stdout.splitlines()]
    assert said[0] == {
        "time": "2026-02-25T06:13:20.000003Z",
        "arrived": "2026-02-25T06:13:20.000003Z",
        "cause": "not_utf8",
        "source": "pubsub:p/s",
        "detail": "d",
        "payload": "/wA=",
        "encoding": "base64",
    }
    assert (said[1]["user"], said[1]["payload"].encode()) == ("ada", letters[1].payload)
    assert said[2]["size"] == 2_000_000
    asked = todoke("dead-letters", "--store", url, "--cause", "bad_time", "--json", "--limit", "5").stdout
    assert len(asked.splitlines()) == 1
    asked = todoke("dead-letters", "--store", url, "--since", "2026-02-25T06:13:20.000002Z", "--json").stdout
    assert len(asked.splitlines()) == 2


HOSTILE = [
    call(2, properties={"a": "line\nbreak \u2028 \u0000 届け"}),
    call(3).replace(b", ", b",\r\n"),
    b"not JSON\nof two lines",
    b"\xff\xfe\x00",
    b"",
    b"x" * 600_000,
]
EVENT = Event("m9", "track", "Order Completed", NOW - 5, NOW, "ada", "a1", properties={"total": 9.5}, handle="h")


def test_a_file_gets_each_message_once_as_a_line(todoke: Todoke, opened: Store, url: str, tmp_path: Path) -> None:
    letters = [letter(payload, number) for number, payload in enumerate(HOSTILE)]
    letters += [letter(b"y" * 1_000_001, 50, cause="too_large"), dead_letter_of("ada", EVENT, "internal", "traceback")]
    letters += [dead_letter_of("ada", Wake(NOW, control=True), "internal", "traceback")]
    letters += [letter(encode_inputs_control("ada", [Wake(NOW)]), source="pubsub:p/control")]
    letters += [letter(b'{"type": "receipt", "kind": "x"}', source="control")]
    opened.write_dead_letters([kept(each, each.time) for each in letters])
    done = todoke("replay", "--store", url, "--to", "again.jsonl", "--rate", "100000", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"published": 5, "replayed": 0, "control": 3, "cut": 1, "no_line": 2}
    lines = (tmp_path / "again.jsonl").read_bytes().split(b"\n")
    lines = [line for line in lines if line]
    assert len(lines) == 5
    for payload in HOSTILE[:2]:
        assert decode(payload, NOW) in [decode(line, NOW) for line in lines if line.startswith(b"{")]
    assert HOSTILE[-1] in lines
    [again] = [decode(line, NOW)[0] for line in lines if b'"m9"' in line]
    assert again == Event("m9", "track", "Order Completed", NOW - 5, NOW, "ada", "a1", properties={"total": 9.5})
    again = todoke("replay", "--store", url, "--to", "again.jsonl").stdout.splitlines()
    assert again[0] == "dead letters published again: 0"
    assert again[1:] == [
        "  passed over, published again before (--again takes them too): 5",
        "  passed over, no events but messages of the control topic: 3",
        "  passed over, too large to be kept whole: 1",
        "  passed over, blank, or of several lines without an id, which no file can hold (a topic can): 2",
    ]
    assert len((tmp_path / "again.jsonl").read_bytes().splitlines()) >= 5
    some = todoke("replay", "--store", url, "--to", "more.jsonl", "--again", "--cause", "internal", "--json").stdout
    assert json.loads(some) == {"published": 1, "replayed": 0, "control": 1, "cut": 0, "no_line": 0}
    assert "replayed 20" in todoke("dead-letters", "--store", url).stdout


def test_a_file_that_was_cut_off_keeps_its_last_line_to_itself(
    todoke: Todoke, opened: Store, url: str, tmp_path: Path
) -> None:
    opened.write_dead_letters([kept(each, each.time) for each in [letter(HOSTILE[0], 1)]])
    (tmp_path / "again.jsonl").write_bytes(b'{"type":"track"')
    assert todoke("replay", "--store", url, "--to", "again.jsonl").returncode == 0
    first, second = (tmp_path / "again.jsonl").read_bytes().splitlines()[:2]
    assert (first, bool(second)) == (b'{"type":"track"', True)


def test_a_store_is_no_file_for_messages(todoke: Todoke, opened: Store, url: str) -> None:
    opened.write_dead_letters([kept(each, each.time) for each in [letter(HOSTILE[0], 1)]])
    to = url.removeprefix("sqlite:") if url.startswith("sqlite:") else url
    done = todoke("replay", "--store", url, "--to", to)
    if to == url:  # Bigtable, which no file can be
        assert done.returncode == 2
        return
    assert (done.returncode, "is a SQLite file" in done.stderr) == (2, True)
    assert todoke("dead-letters", "--store", url).returncode == 0


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("queue:events.db", "--to: there is no queue events.db"),
        ("queue:", '--to: expected queue:PATH, a file of this machine; found "queue:"'),
        (
            "kafka:events",
            'expected pubsub:projects/P/topics/T, queue:PATH or a file of this machine; found "kafka:events"',
        ),
        ("gs://bucket/file", "a file of this machine"),
        ("pubsub:projects/p/subscriptions/s", "--to: "),
        ("missing/again.jsonl", "--to: missing/again.jsonl: No such file"),
    ],
)
def test_where_nothing_can_be_published(todoke: Todoke, store: str, to: str, said: str) -> None:
    done = todoke("replay", "--store", store, "--to", to)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_topic_gets_the_very_bytes_and_a_missing_one_marks_nothing(
    todoke: Todoke, pubsub: Project, tmp_path: Path
) -> None:
    url = f"sqlite:{tmp_path / 's.db'}"
    store = open_store(url)
    store.write_dead_letters([kept(letter(payload), NOW) for payload in HOSTILE if payload])
    store.close()
    topic, subscription = f"projects/{pubsub.name}/topics/events", f"projects/{pubsub.name}/subscriptions/events"
    done = todoke("replay", "--store", url, "--to", f"pubsub:{topic}")
    assert done.returncode == 2
    assert f"--to: there is no topic {topic}" in done.stderr
    publisher, subscriber = PublisherClient(), SubscriberClient()
    publisher.create_topic(name=topic)
    subscriber.create_subscription(name=subscription, topic=topic)
    done = todoke("replay", "--store", url, "--to", f"pubsub:{topic}")
    assert done.stdout == "dead letters published again: 5\n"
    got: list[bytes] = []
    until = time.monotonic() + 60
    while len(got) < 5 and time.monotonic() < until:
        pulled = subscriber.pull(subscription=subscription, max_messages=10).received_messages
        got += [message.message.data for message in pulled]
        if pulled:
            subscriber.acknowledge(subscription=subscription, ack_ids=[message.ack_id for message in pulled])
    assert sorted(got) == sorted(payload for payload in HOSTILE if payload)
    subscriber.close()
    publisher.stop()


class Broker:
    """Pub/Sub's publishing on this machine, which refuses each request that has a message with `marker`."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.marker: bytes | None = None
        self._server = grpc.server(ThreadPoolExecutor(2))
        publish = grpc.unary_unary_rpc_method_handler(
            self._publish,
            request_deserializer=PublishRequest.deserialize,
            response_serializer=PublishResponse.serialize,
        )
        handler = grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", {"Publish": publish})
        self._server.add_generic_rpc_handlers((handler,))
        self.host = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _publish(self, request: PublishRequest, context: grpc.ServicerContext) -> PublishResponse:
        messages = [message.data for message in request.messages]
        if self.marker is not None and any(self.marker in message for message in messages):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "refused for the test")
        self.got += messages
        return PublishResponse(message_ids=[str(number) for number in range(len(messages))])

    def stop(self) -> None:
        self._server.stop(None).wait()


def test_what_a_topic_took_of_a_batch_is_not_published_again(
    todoke: Todoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:{tmp_path / 'store.db'}"
    letters = [letter(call(number), number) for number in range(250)]  # three requests
    store = open_store(url)
    store.write_dead_letters([kept(each, each.time) for each in letters])
    store.close()
    broker = Broker()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", broker.host)
    broker.marker = b'"m120"'
    words = ("replay", "--store", url, "--to", "pubsub:projects/project/topics/events", "--rate", "100000")
    done = todoke(*words)
    assert done.returncode == 1
    assert "did not take the messages: " in done.stderr
    taken = len(broker.got)
    assert 0 < taken < 250
    broker.marker = None
    done = todoke(*words, "--json")
    assert json.loads(done.stdout) == {
        "published": 250 - taken,
        "replayed": taken,
        "control": 0,
        "cut": 0,
        "no_line": 0,
    }
    assert sorted(broker.got) == sorted(each.payload for each in letters)
    broker.stop()


def test_lines_that_a_full_disk_took_are_not_written_again(todoke: Todoke, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk; the store stays below it."""
    url, size = f"sqlite:{tmp_path / 'store.db'}", 100_000
    store = open_store(url)
    store.write_dead_letters([kept(letter(b"%d" % number + b"x" * size, number), NOW + number) for number in range(5)])
    store.close()
    to = tmp_path / "again.jsonl"
    to.write_bytes(b"y" * 3_999_999 + b"\n")
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({4_000_000 + size * 5 // 2},) * 2)"
    command = [sys.executable, "-c", f"{limit}\nfrom todoke.cli import main\nmain()"]
    words = ["replay", "--store", url, "--to", str(to), "--rate", "1000"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, f"todoke: the messages cannot be written: {to}: File too large\n")
    done = todoke(*words, "--json")
    assert json.loads(done.stdout) == {"published": 3, "replayed": 2, "control": 0, "cut": 0, "no_line": 0}
    lines = [line for line in to.read_bytes().splitlines()[1:] if len(line) > size]
    assert sorted(line[:1] for line in lines) == [b"%d" % number for number in range(5)]


def test_what_is_replayed_is_applied_once(todoke: Todoke, tmp_path: Path) -> None:
    """A run refuses messages, whose letters its store keeps; they are mended by the sender, or applied as they are."""
    (tmp_path / "d.yaml").write_text(DEFINITIONS)
    hot = [call(number, userId="hot", timestamp="2026-02-25T06:00:00Z") for number in range(1_005)]
    wrong = [call(2_000, userId="null"), call(2_001, timestamp="soon"), b"no JSON"]
    (tmp_path / "e.jsonl").write_bytes(b"\n".join([*hot, *wrong]) + b"\n")

    def run(events: str, *flags: str) -> dict[str, int]:
        words = ("--definitions", "d.yaml", "--events", events, "--store", "sqlite:s.db", "--report", "r.json")
        done = todoke("run", *words, *flags)
        assert done.returncode == 0, done.stderr
        report: dict[str, int] = json.loads((tmp_path / "r.json").read_text())
        return report

    assert run("e.jsonl")["dead_letters"] == 8
    said = [json.loads(line) for line in todoke("dead-letters", "--store", "sqlite:s.db", "--json").stdout.splitlines()]
    causes = sorted(letter["cause"] for letter in said)
    assert causes == ["bad_time", *["hot_id"] * 5, "not_json", "refused_id"]
    assert {letter["cause"]: letter.get("user") for letter in said} == {
        "bad_time": "ada",
        "hot_id": "hot",
        "not_json": None,
        "refused_id": "null",
    }
    done = todoke("replay", "--store", "sqlite:s.db", "--to", "again.jsonl", "--cause", "hot_id")
    assert done.stdout == "dead letters published again: 5\n"
    mended = [json.loads(line) for line in (tmp_path / "again.jsonl").read_bytes().splitlines()]
    later = {"timestamp": "2026-02-25T06:30:00Z", "arrival": "2026-02-25T06:30:00Z"}
    lines = [json.dumps(said | later).encode() for said in mended]
    (tmp_path / "mended.jsonl").write_bytes(b"\n".join([*lines, hot[0]]) + b"\n")
    again = run("mended.jsonl", "--continue", "--as-of", "2026-02-25T07:00:00Z")
    assert (again["read"], again["applied"], again["duplicates"], again["dead_letters"]) == (6, 5, 1, 0)
    again = run("mended.jsonl", "--continue", "--as-of", "2026-02-25T07:00:00Z")
    assert (again["applied"], again["duplicates"]) == (0, 6)


def test_what_is_replayed_into_a_file_and_refused_once_more_is_one_letter(todoke: Todoke, tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(DEFINITIONS)
    (tmp_path / "e.jsonl").write_bytes(b"no JSON\n" + call(1, timestamp="soon") + b"\n")
    words = ("--definitions", "d.yaml", "--store", "sqlite:s.db")
    assert todoke("run", *words, "--events", "e.jsonl").returncode == 0
    for _ in range(2):
        done = todoke("replay", "--store", "sqlite:s.db", "--to", "again.jsonl", "--json")
        assert json.loads(done.stdout) == {"published": 2, "replayed": 0, "control": 0, "cut": 0, "no_line": 0}
        assert todoke("run", *words, "--events", "again.jsonl", "--continue").returncode == 0
        letters = todoke("dead-letters", "--store", "sqlite:s.db", "--json").stdout.splitlines()
        assert sorted(json.loads(line)["cause"] for line in letters) == ["bad_time", "not_json"]


def test_a_deleted_user_takes_the_letters_along(todoke: Todoke, tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(DEFINITIONS)
    lines = [
        call(0, userId=None, anonymousId="a1"),
        call(1),
        call(2, timestamp="soon"),
        call(3, timestamp="soon", userId=None, anonymousId="a1"),
    ]
    lines += [call(4, timestamp="soon", userId="bob"), call(5, type="identify", anonymousId="a1", traits={})]
    (tmp_path / "e.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    (tmp_path / "gone.jsonl").write_bytes(call(6, type="delete", timestamp="2026-02-26T06:00:00Z") + b"\n")
    words = ("--definitions", "d.yaml", "--store", "sqlite:s.db")
    assert todoke("run", *words, "--events", "e.jsonl").returncode == 0

    def users() -> list[str]:
        shown = todoke("dead-letters", "--store", "sqlite:s.db", "--json").stdout
        return sorted(json.loads(line)["user"] for line in shown.splitlines())

    assert users() == ["ada", "bob", "~a1"]
    done = todoke("run", *words, "--events", "gone.jsonl", "--continue")
    assert done.returncode == 0, done.stderr
    assert users() == ["bob"]


def test_a_deleted_user_takes_along_the_letters_of_ids_without_a_past(todoke: Todoke, tmp_path: Path) -> None:
    """All that is known of these ids is that they are the user's: nothing was counted for them before."""
    (tmp_path / "d.yaml").write_text(DEFINITIONS)
    lines = [
        call(1, type="identify", anonymousId="a1"),
        call(2, type="alias", previousId="old"),
        call(3, timestamp="soon", userId=None, anonymousId="a1"),
        call(4, timestamp="soon", userId="old"),
        call(5, timestamp="soon", userId=None, anonymousId="a2"),
    ]
    (tmp_path / "e.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    (tmp_path / "gone.jsonl").write_bytes(call(6, type="delete", timestamp="2026-02-26T06:00:00Z") + b"\n")
    words = ("--definitions", "d.yaml", "--store", "sqlite:s.db")

    def users() -> list[str]:
        shown = todoke("dead-letters", "--store", "sqlite:s.db", "--json").stdout
        return sorted(json.loads(line)["user"] for line in shown.splitlines())

    assert todoke("run", *words, "--events", "e.jsonl").returncode == 0
    assert users() == ["old", "~a1", "~a2"]
    assert todoke("run", *words, "--events", "gone.jsonl", "--continue").returncode == 0
    assert users() == ["~a2"]


@pytest.mark.parametrize(("kept_for", "letters"), [("30d", 1), ("0", 0)])
def test_a_run_keeps_letters_unless_told_not_to(todoke: Todoke, tmp_path: Path, kept_for: str, letters: int) -> None:
    (tmp_path / "d.yaml").write_text(DEFINITIONS)
    (tmp_path / "e.jsonl").write_bytes(call(1) + b"\nno JSON\n")
    words = ("--definitions", "d.yaml", "--store", "sqlite:s.db", "--events", "e.jsonl")
    assert todoke("run", *words, "--keep-dead-letters", kept_for).returncode == 0
    assert len(todoke("dead-letters", "--store", "sqlite:s.db").stdout.splitlines()) == letters
    done = todoke("run", *words, "--keep-dead-letters", "a while")
    assert done.returncode == 2
    assert "--keep-dead-letters: " in done.stderr


def test_a_run_that_refuses_nothing_deletes_letters_that_are_too_old(todoke: Todoke, tmp_path: Path) -> None:
    now = time.time_ns() // 1000
    store = open_store(f"sqlite:{tmp_path / 's.db'}")
    store.write_dead_letters([kept(letter(call(days)), now - days * 86_400_000_000) for days in (29, 31)])
    store.close()
    (tmp_path / "d.yaml").write_text(DEFINITIONS)
    (tmp_path / "e.jsonl").write_bytes(call(1) + b"\n")
    done = todoke("run", "--definitions", "d.yaml", "--store", "sqlite:s.db", "--events", "e.jsonl")
    assert done.returncode == 0, done.stderr
    (left,) = todoke("dead-letters", "--store", "sqlite:s.db", "--json").stdout.splitlines()
    assert json.loads(json.loads(left)["payload"])["messageId"] == "m29"
