"""A file that a command writes is none that it reads, nor another that it writes: it is refused, nothing is lost."""

import json
from pathlib import Path
from typing import Any

import pytest
from commands import Todoke

EVENT = {"type": "track", "messageId": "m", "userId": "u", "event": "E", "timestamp": "2026-03-01T12:00:00Z"}
DEFINITIONS = "segments: {buyers: {owner: crm, members: {event: E}}}\n"
RUN = ("--definitions", "d.yaml", "--events", "events.jsonl", "--store", "sqlite:users.db")
BACKFILL = ("backfill", *RUN[:4], "--store", "sqlite:new.db", "--as-of", "now")
EXPORT = ("export", "--store", "sqlite:users.db")
IMPORT = ("import", "rows.csv", "--mapping", "m.yaml")
COMMANDS = [
    ("run", *RUN, "--continue", "--dead-letters", "events.jsonl"),
    ("run", *RUN, "--continue", "--dead-letters", "./link.jsonl"),
    ("run", *RUN, "--continue", "--report", "users.db"),
    ("run", *RUN, "--continue", "--dead-letters", "out", "--report", "out"),
    ("run", *RUN[:2], "--events", "*.jsonl", "--store", "none", "--dead-letters", "events.jsonl"),
    (*BACKFILL, "--report", "d.yaml"),
    (*BACKFILL, "--report", "new.db"),
    (*BACKFILL, "--dead-letters", "events.jsonl"),
    (*EXPORT, "--events", "users.db"),
    (*EXPORT, "--events", "out.jsonl", "--members", "./out.jsonl"),
    (*EXPORT, "--user", "u", "--out", "users.db"),
    (*IMPORT, "--to", "rows.csv"),
    (*IMPORT, "--to", "out.jsonl", "--dead-letters", "out.jsonl"),
    (*IMPORT, "--to", "out.jsonl", "--dead-letters", "m.yaml"),
    (*IMPORT, "--definitions", "d.yaml", "--store", "sqlite:users.db", "--dead-letters", "users.db"),
    ("report", "--store", "sqlite:users.db", "--html", "users.db"),
]


@pytest.fixture
def folder(tmp_path: Path, todoke: Todoke) -> Path:
    (tmp_path / "d.yaml").write_text(DEFINITIONS)
    (tmp_path / "m.yaml").write_text("user: id\nattributes: {x: v}\n")
    (tmp_path / "rows.csv").write_text("id,v\na,1\n,2\n")
    (tmp_path / "events.jsonl").write_text(json.dumps(EVENT) + "\n{}\n")
    (tmp_path / "link.jsonl").symlink_to("events.jsonl")
    assert todoke("run", *RUN).returncode == 0
    return tmp_path


def held(folder: Path) -> dict[str, Any]:
    files = (path for path in folder.iterdir() if path.is_file() and path.suffix not in (".db-shm", ".db-wal"))
    return {path.name: path.read_bytes() for path in files}


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: f"{words[0]} {words[-2]} {words[-1]}")
def test_what_is_read_is_not_written_over(folder: Path, todoke: Todoke, words: tuple[str, ...]) -> None:
    before = held(folder)
    done = todoke(*words)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert f"{words[-2]}: {words[-1]} is what" in done.stderr
    assert held(folder) == before
