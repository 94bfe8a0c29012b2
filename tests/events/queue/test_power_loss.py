"""The machine loses power at any moment: what was answered is in the queue, or in the store with what it caused.

A run is recorded below the C library: each write, and when each sync began and ended. A disk after a cut has every
write that a sync has covered. Of the others it has any, in part or whole or not at all, and a name in the folder is
sure only once the folder is synced. That is harsher than most disks.
"""

import os
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.errors import TodokeError
from transforms.events.queue.append import Queue
from transforms.events.queue.file import NoQueue
from transforms.events.queue.read import QueueReader
from transforms.storage.sqlite.store import SqliteStore

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
HEAD = struct.Struct("=c7xqqq104s")
SECTOR = 512


class Op(NamedTuple):
    kind: str
    name: str
    offset: int
    data: bytes
    token: int


class Recorded(NamedTuple):
    ops: list[Op]
    #: By file, and for the folder by "": (where a sync began, where it had ended).
    syncs: dict[str, list[tuple[int, int]]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler for what records the writes")
    made = tmp_path_factory.mktemp("power")
    library, records, folder = made / "power.so", made / "records", made / "site"
    folder.mkdir()
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "power.c"], check=True)
    environment = os.environ | {
        "LD_PRELOAD": str(library),
        "POWER_FOLDER": str(folder),
        "POWER_LOG": str(records),
        "PYTHONPATH": str(ROOT),
    }
    subprocess.run([sys.executable, HERE / "power_work.py", folder], env=environment, check=True, timeout=300)
    data, at, ops = records.read_bytes(), 0, []
    while at < len(data):
        kind, offset, length, token, name = HEAD.unpack_from(data, at)
        at += HEAD.size
        size = length if kind == b"W" else 0
        ops.append(Op(kind.decode(), name.rstrip(b"\0").decode(), offset, data[at : at + size], token))
        at += size
    began = {op.token: place for place, op in enumerate(ops) if op.kind == "B"}
    syncs: dict[str, list[tuple[int, int]]] = {}
    for place, op in enumerate(ops):
        if op.kind == "E":
            syncs.setdefault(op.name, []).append((began[op.token], place))
    return Recorded(ops, syncs)


def cut(run: Recorded, end: int, chance: random.Random, folder: Path) -> None:
    """Lay out the disk as a loss of power may leave it when the first `end` operations had been asked for."""
    synced = {
        name: max((begin for begin, ended in found if ended < end), default=-1) for name, found in run.syncs.items()
    }
    mood = chance.choice([0.0, 0.5, 1.0])  # nothing, half or all of what is not sure
    files: dict[str, bytearray] = {}
    for place, op in enumerate(run.ops[:end]):
        sure = place < synced.get("" if op.kind in "CU" else op.name, -1)
        if op.kind in "BE" or not (sure or chance.random() < mood):
            if op.kind == "W" and chance.random() < mood:
                _tear(files, op, chance)
            continue
        if op.kind == "W":
            _put(files, op.name, op.offset, op.data)
        elif op.kind == "T":
            file = files.setdefault(op.name, bytearray())
            file[:] = file[: op.offset].ljust(op.offset, b"\0")
        elif op.kind == "U":
            files.pop(op.name, None)
    lost = {
        op.name
        for place, op in enumerate(run.ops[:end])
        if op.kind == "C" and place >= synced.get("", -1) and chance.random() >= mood
    }
    for name, data in files.items():
        if name not in lost:
            (folder / name).write_bytes(data)


def _put(files: dict[str, bytearray], name: str, offset: int, data: bytes) -> None:
    file = files.setdefault(name, bytearray())
    if len(file) < offset + len(data):
        file.extend(bytes(offset + len(data) - len(file)))
    file[offset : offset + len(data)] = data


def _tear(files: dict[str, bytearray], op: Op, chance: random.Random) -> None:
    """Put some sectors of a write on the disk."""
    for start in range(0, len(op.data), SECTOR):
        if chance.random() < 0.5:
            _put(files, op.name, op.offset + start, op.data[start : start + SECTOR])


def answered(run: Recorded, end: int) -> dict[int, bytes]:
    said = b"".join(op.data for op in run.ops[:end] if op.kind == "W" and op.name == "answers")
    return {int(line.partition(b" ")[0]): line.partition(b" ")[2] for line in said.splitlines()}


def check(run: Recorded, end: int, folder: Path) -> tuple[int, int]:
    """What was answered is there; returns how many messages the queue and the store have."""
    promised = answered(run, end)
    try:
        with closing(QueueReader(folder / "events.db")) as reader:
            waiting = {message.id: message.payload for page in reader.pages() for message in page}
            queue_id = reader.id
            _, next_id = reader.span()
    except NoQueue:
        assert not promised
        return 0, 0
    with closing(SqliteStore(folder / "store.db")) as store:
        assert store._query("PRAGMA integrity_check") == [("ok",)]
        acknowledged = store.read_acknowledged(queue_id)
        applied = {row.user.encode() for row in store.scan_users()}
    done = {id_ for first, last in acknowledged.ranges() for id_ in range(first, last + 1)}
    assert max(done, default=0) < next_id
    for id_, payload in promised.items():
        if id_ in done:
            assert payload in applied
        else:
            assert waiting[id_] == payload
    everything = answered(run, len(run.ops))
    assert all(everything[id_] == payload for id_, payload in waiting.items())
    # It goes on, with ids that nobody had.
    with Queue(folder / "events.db") as queue:
        assert queue._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        [new] = queue.append([b"after"])
    assert new > max(promised, default=0)
    return len(waiting), len(applied)


@settings(max_examples=examples(300), deadline=None)
@given(st.data())
def test_whatever_was_answered_is_there(recorded: Recorded, tmp_path_factory, data) -> None:
    end = data.draw(st.integers(0, len(recorded.ops)))
    chance = data.draw(st.randoms(use_true_random=False))
    folder = tmp_path_factory.mktemp("cut")
    cut(recorded, end, chance, folder)
    check(recorded, end, folder)
    shutil.rmtree(folder)


def test_the_record_is_of_what_the_test_is_about(recorded: Recorded, tmp_path: Path) -> None:
    """Many answers, many syncs, deletions by retention, and logs that were written into their files."""
    end = len(recorded.ops)
    assert len(answered(recorded, end)) == 225
    for name in ("events.db-wal", "store.db-wal", "events.db", "store.db"):
        assert len(recorded.syncs[name]) > 3, name
    assert {op.name for op in recorded.ops} >= {"events.db-job"}
    cut(recorded, end, random.Random(1), tmp_path)
    kept, applied = check(recorded, end, tmp_path)
    assert kept < 225
    assert applied == 225


@pytest.mark.parametrize("name", ["events.db-wal", "store.db-wal"])
def test_without_syncs_something_is_lost(recorded: Recorded, tmp_path: Path, name: str) -> None:
    """The test would see it: a queue, or a store, that does not sync its log loses what was promised."""
    forgetful = Recorded(recorded.ops, {file: found for file, found in recorded.syncs.items() if file != name})
    lost = 0
    for seed in range(40):
        folder = tmp_path / str(seed)
        folder.mkdir()
        chance = random.Random(seed)
        end = chance.randrange(len(recorded.ops) // 2, len(recorded.ops))
        cut(forgetful, end, chance, folder)
        try:
            check(forgetful, end, folder)
        except (AssertionError, KeyError, sqlite3.Error, TodokeError):
            lost += 1
    assert lost
