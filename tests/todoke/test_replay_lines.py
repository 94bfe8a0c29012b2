"""`todoke replay` into files, pipes and devices: a run reads the very messages back."""

import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from commands import Todoke
from hypothesis import given
from hypothesis import strategies as st

from todoke.replay_file import line_of, open_file
from transforms.events.dead_letter import DeadLetter
from transforms.events.decode import decode
from transforms.events.files import messages_of_file
from transforms.events.kept.rows import kept
from transforms.storage.open import open_store
from transforms.storage.store import Store

NOW = 1_772_000_000_000_000


def call(number: int, **fields: Any) -> bytes:
    said = {"type": "track", "event": "Order Completed", "messageId": f"m{number}", "userId": "ada", **fields}
    return json.dumps({"timestamp": "2026-02-25T06:00:00Z", **said}).encode()


def letter(payload: bytes, number: int = 0, **changes: Any) -> DeadLetter:
    fields = {"source": "pubsub:p/s", "cause": "bad_time", "detail": "d", **changes}
    return DeadLetter(payload, time=NOW + number, **fields)


@pytest.fixture
def opened(url: str) -> Any:
    store = open_store(url)
    yield store
    store.close()


BOM = b"\xef\xbb\xbf"
#: What a line cannot say as it is, or only with care; whether a file gets it at all.
LINES = {
    b'{\n  "type": "track",\n  "userId": "ada"\n}': False,
    b"two\r\nlines": False,
    b"   ": False,
    b"\n\n": False,
    b"\r": False,
    BOM: True,
    b"": False,
    BOM + call(1, messageId=None): True,
    BOM + BOM + b"x": True,
    call(2, messageId=None) + b"\r": True,
    call(3, messageId=None).replace(b", ", b",\r "): True,
    b"PK\x03\x04": True,
    b"\xff\xfe\x00": True,
    b"{\x00": True,
    b" x ": True,
}


def test_a_run_reads_the_very_messages_of_a_file(todoke: Todoke, opened: Store, url: str, tmp_path: Path) -> None:
    for number, (payload, is_line) in enumerate(LINES.items()):
        opened.write_dead_letters([kept(letter(payload, number, cause=f"c{number}"), NOW + number)])
        (place := tmp_path / f"{number}.jsonl").write_bytes(b"")
        with open_file(str(place)) as publish:
            line = line_of(payload)
            publish([] if line is None else [line])
        with place.open("rb") as file:
            assert list(messages_of_file(file, place.name)) == ([payload] if is_line else []), payload
    done = todoke("replay", "--store", url, "--to", "again.jsonl", "--json")
    said = {"published": sum(LINES.values()), "no_line": len(LINES) - sum(LINES.values())}
    assert json.loads(done.stdout) == {**said, "replayed": 0, "control": 0, "cut": 0}
    with (tmp_path / "again.jsonl").open("rb") as file:
        read = list(messages_of_file(file, "again.jsonl"))
    assert sorted(read) == sorted(payload for payload, is_line in LINES.items() if is_line)


@given(st.lists(st.sampled_from([*LINES, b"\n", b"\r", b" ", b"x", BOM, b"{", b"}", b"\0", b"PAR1"]), max_size=6))
def test_a_line_is_read_as_the_message_or_there_is_none(parts: list[bytes]) -> None:
    payload = b"".join(parts)
    line = line_of(payload)
    assert line is None or list(messages_of_file(io.BytesIO(line + line), "")) == [payload] * 2


def test_line_breaks_are_spaces_where_a_message_has_its_own_id() -> None:
    payload = json.dumps(json.loads(call(1)), indent=2).encode()
    line = line_of(payload)
    assert line is not None
    [read] = messages_of_file(io.BytesIO(line), "")
    assert decode(read, NOW) == decode(payload, NOW)


def test_a_pipe_gets_messages_and_nothing_else(todoke: Todoke, tmp_path: Path) -> None:
    store = open_store(f"sqlite:{tmp_path / 's.db'}")
    store.write_dead_letters([kept(letter(call(number), number), NOW) for number in range(3)])
    store.close()
    words = ("replay", "--store", "sqlite:s.db", "--to", "/dev/stdout")
    command = [sys.executable, "-c", "from todoke.cli import main; main()", *words]  # with an output of its own
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "dead letters published again: 3\n")
    assert sorted(done.stdout.encode().splitlines()) == [call(number) for number in range(3)]
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit((tmp_path / "pipe").read_bytes)
        done = todoke(*words[:-1], "pipe", "--again")
    assert (done.returncode, done.stdout) == (0, "dead letters published again: 3\n"), done.stderr
    assert sorted(reading.result().splitlines()) == [call(number) for number in range(3)]
    assert todoke(*words[:-1], "/dev/null", "--again").returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_device_is_said_and_marks_nothing(todoke: Todoke, tmp_path: Path) -> None:
    store = open_store(f"sqlite:{tmp_path / 's.db'}")
    store.write_dead_letters([kept(letter(call(1)), NOW)])
    store.close()
    done = todoke("replay", "--store", "sqlite:s.db", "--to", "/dev/full")
    said = "todoke: the messages cannot be written: /dev/full: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, said)
    assert "replayed" not in todoke("dead-letters", "--store", "sqlite:s.db").stdout
