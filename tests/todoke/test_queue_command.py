"""What commands do with an embedded queue: show it, publish to it, look at it, and refuse what cannot be."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Todoke, run_process
from refused import NOW, letter

from transforms.events.files import messages_of_file
from transforms.events.kept.rows import kept
from transforms.events.queue.append import Queue
from transforms.events.queue.mark import hold_queue, write_mark
from transforms.storage.acknowledged import Ids
from transforms.storage.open import open_store

DEFINITIONS = "segments: {buyers: {owner: o, members: {event: Order Completed}}}\n"


def call(number: int) -> bytes:
    return json.dumps({"type": "track", "event": "Seen", "userId": "ada", "messageId": f"m{number}"}).encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Queue(tmp_path / "events.db") as queue:
        queue.append([call(1), call(2)])
        queue.append([call(3)])
        write_mark(tmp_path / "events.db", queue.id, Ids([(1, 1), (3, 3)]))
    return tmp_path / "events.db"


def test_cat_prints_what_waits_and_all(todoke: Todoke, path: Path) -> None:
    done = todoke("queue", "cat", f"queue:{path}")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{call(2).decode()}\n", "")
    done = todoke("queue", "cat", f"queue:{path}", "--all")
    assert done.stdout.splitlines() == [call(number).decode() for number in (1, 2, 3)]


def test_what_is_printed_is_read_as_it_was_published(path: Path) -> None:
    own = b'{"messageId": "a",\n"type": "track"}'
    hostile = [b"\xff\xfe", b"\xef\xbb\xbf{}", b"[1,\n2]", own, b"", b"x\r", b"x" * 3_000_000]
    with Queue(path) as queue:
        queue.append(hostile)
    done = subprocess.run(
        [sys.executable, "-m", "todoke", "queue", "cat", f"queue:{path}"], capture_output=True, check=True
    )
    read = list(messages_of_file(io.BytesIO(done.stdout), ""))
    whole = [call(2), b"\xff\xfe", b"\xef\xbb\xbf{}", own.replace(b"\n", b" "), b"x\r", b"x" * 3_000_000]
    assert read == whole
    assert b"2 messages left out: blank, or of several lines without an id" in done.stderr


def test_it_says_what_is_no_queue(todoke: Todoke, path: Path, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("text " * 1_000)
    for words, said in (
        (("cat", "queue:missing.db"), "there is no queue missing.db"),
        (("cat", f"queue:{tmp_path / 'text.db'}"), "file is not a database"),
        (("cat", "events.db"), "expected queue:PATH"),
        (("drop", f"queue:{path}"), 'expected `todoke queue cat`; found "drop"'),
    ):
        done = todoke("queue", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr


@pytest.mark.all_in_ci
def test_a_queue_in_a_folder_that_may_only_be_read(path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It can be looked at, and neither appended to nor read by a job. A mount, since nothing stops a root else."""
    todoke = f"{sys.executable} -m todoke"
    free = tmp_path_factory.mktemp("free")
    (free / "d.yaml").write_text(DEFINITIONS)
    script = f"""
        mount --bind {path.parent} {path.parent} && mount -o remount,ro,bind {path.parent} || exit 77
        {todoke} queue cat queue:{path}
        {todoke} delete ada --to queue:{path} --yes
        cd {free}
        {todoke} run --definitions d.yaml --events queue:{path} --store sqlite:u.db
        exit 0"""
    command = ["unshare", "--user", "--mount", "--map-root-user", "sh", "-c", script]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if done.returncode:
        pytest.skip("no namespaces here")
    assert done.stdout == f"{call(2).decode()}\n"
    said = f"todoke: the queue {path} cannot be opened: unable to open database file"
    assert done.stderr.splitlines() == [said, said]


def test_dead_letters_are_published_again_to_a_queue(todoke: Todoke, path: Path, tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'store.db'}"
    store = open_store(url)
    store.write_dead_letters([kept(letter(payload), NOW) for payload in (b"\xff\n\n", call(4))])
    store.close()
    done = todoke("replay", "--store", url, "--to", f"queue:{path}")
    assert (done.returncode, done.stdout) == (0, "dead letters published again: 2\n")
    done = todoke("replay", "--store", url, "--to", f"queue:{path}")
    assert "dead letters published again: 0\n" in done.stdout
    found = subprocess.run(
        [sys.executable, "-m", "todoke", "queue", "cat", f"queue:{path}"], capture_output=True, check=True
    )
    assert call(4) in found.stdout.splitlines()


def test_a_deletion_is_published_to_a_queue(todoke: Todoke, path: Path) -> None:
    done = todoke("delete", "ada", "--to", f"queue:{path}", "--yes")
    assert done.returncode == 0
    *_, line = todoke("queue", "cat", f"queue:{path}").stdout.splitlines()
    assert json.loads(line)["type"] == "delete"


def test_rows_are_imported_into_a_queue(todoke: Todoke, path: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,plan\nada,pro\nbob,free\n")
    (tmp_path / "map.yaml").write_text("user: id\nattributes: {plan: {column: plan}}\n")
    done = todoke(
        *("import", tmp_path / "rows.csv", "--mapping", tmp_path / "map.yaml", "--to", f"queue:{path}"),
        *("--time", "2026-01-01T00:00:00Z"),
    )
    assert done.returncode == 0, done.stderr
    lines = map(json.loads, todoke("queue", "cat", f"queue:{path}").stdout.splitlines()[1:])
    assert [(line["type"], line["userId"]) for line in lines] == [("identify", "ada"), ("identify", "bob")]


@pytest.mark.all_in_ci
def test_doctor_looks_at_a_queue(todoke: Todoke, path: Path, tmp_path: Path) -> None:
    def found(place: object) -> list[dict[str, str]]:
        done = todoke("doctor", "--events", f"queue:{place}", "--json")
        return [each for each in json.loads(done.stdout)["findings"] if each["what"] == "--events"]

    ok, free = found(path)
    assert (ok["state"], ok["found"]) == ("ok", "3 messages kept, 1 message not acknowledged")
    assert (free["state"], free["found"]) == ("note", "no job reads it now")
    with hold_queue(path):
        assert found(path)[1]["found"].endswith(f"reads the queue {path}")
    assert found(tmp_path / "none.db")[0]["state"] == "note"
    (tmp_path / "text.db").write_text("text " * 1_000)
    assert found(tmp_path / "text.db")[0]["state"] == "missing"
    assert not (tmp_path / "none.db").exists()


@pytest.mark.all_in_ci
def test_a_live_job_says_what_cannot_be(tmp_path: Path, path: Path) -> None:
    (tmp_path / "d.yaml").write_text(DEFINITIONS)
    (tmp_path / "text.db").write_text("text " * 1_000)
    with hold_queue(path):
        for events, store, more, said in (
            (path, "sqlite:u.db", (), "another job"),
            (tmp_path / "text.db", "sqlite:u.db", (), "file is not a database"),
            (tmp_path / "text.db" / "events.db", "sqlite:u.db", (), "cannot be opened"),
            (path, "bigtable:p/i", (), "--store: beside a queue name sqlite:PATH"),
            (path, "sqlite:u.db", ("--runner=PrismRunner",), "--runner: a queue is read on this machine"),
        ):
            flags = ("--definitions", tmp_path / "d.yaml", "--events", f"queue:{events}", "--store", store, *more)
            done = run_process(tmp_path, "run", *flags)
            assert (done.returncode, done.stdout) == (2, ""), done.stderr
            assert said in done.stderr
            assert len(done.stderr.splitlines()) == 1
