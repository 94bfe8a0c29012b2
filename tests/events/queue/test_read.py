"""Reading a queue: from any id on, in order, beside those who append; what is damaged is not passed over."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.events.queue import read as module
from transforms.events.queue.append import Queue
from transforms.events.queue.file import NoQueue, QueueError, open_to_append, open_to_read
from transforms.events.queue.read import QueueReader
from transforms.storage.sqlite.store import SqliteStore


@given(st.lists(st.integers(1, 5), max_size=6), st.integers(1, 30), st.integers(1, 7))
def test_reading_from_an_id_gives_that_and_all_that_follow(tmp_path_factory, calls, start, at_once) -> None:
    path = tmp_path_factory.mktemp("queue") / "events.db"
    with Queue(path) as queue:
        for count in calls:
            queue.append([b"x"] * count)
    whole = sum(calls)
    with pytest.MonkeyPatch.context() as patched, closing(QueueReader(path)) as reader:
        patched.setattr(module, "READ_MESSAGES", at_once)
        assert reader.span() == (1, whole + 1)
        pages = list(reader.pages(start))
        assert [message.id for page in pages for message in page] == list(range(start, whole + 1))
        assert all(pages)
        at = start
        while found := reader.read(at):
            assert found[0].id == at
            at = found[-1].id + 1
        assert at == max(start, whole + 1)


def test_a_reader_sees_what_is_appended_later(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with Queue(path) as queue, closing(QueueReader(path)) as reader:
        assert reader.read(1) == []
        queue.append([b"a"])
        assert [message.payload for message in reader.read(1)] == [b"a"]
        queue.append([b"b", b"c"])
        assert [message.payload for message in reader.read(2)] == [b"b", b"c"]
        assert reader.id == queue.id


def test_the_pages_end_where_the_queue_ended_when_they_began(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with Queue(path) as queue, closing(QueueReader(path)) as reader:
        queue.append([b"a"])
        pages = reader.pages()
        first = next(pages)
        queue.append([b"b"])
        assert [message.payload for message in first] == [b"a"]
        assert list(pages) == []


@pytest.mark.parametrize("payloads", [b"\x91\xc4", b"\xc0", b"\x93\xc4\x01a\xc4\x01b\xc4\x01c", b""])
def test_a_damaged_row_is_an_error_that_names_it(tmp_path: Path, payloads: bytes) -> None:
    path = tmp_path / "events.db"
    with Queue(path) as queue:
        queue.append([b"a", b"b"])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE batches SET payloads = ? WHERE first = 1", (payloads,))
    with closing(QueueReader(path)) as reader, pytest.raises(QueueError, match="is damaged: row 1"):
        reader.read(1)


def make_nothing(path: Path) -> None:
    path.write_bytes(b"")


def make_text(path: Path) -> None:
    path.write_text('{"type": "track"}\n' * 100)


def make_foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE batches (first INTEGER PRIMARY KEY)")


def make_store(path: Path) -> None:
    SqliteStore(path).close()


def make_folder(path: Path) -> None:
    path.mkdir()


def make_newer(path: Path) -> None:
    Queue(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 2")


@pytest.mark.parametrize("make", [make_text, make_foreign, make_store, make_folder, make_newer])
def test_what_is_no_queue_is_refused_and_not_touched(tmp_path: Path, make) -> None:
    path = tmp_path / "events.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    for opened in (open_to_append, open_to_read):
        with pytest.raises(NoQueue, match=r"events\.db"):
            opened(path)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_store_does_not_take_a_queue_for_one(tmp_path: Path) -> None:
    Queue(tmp_path / "events.db").close()
    with pytest.raises(Exception, match="of another program"):
        SqliteStore(tmp_path / "events.db")


def test_a_reader_makes_no_queue_and_an_empty_file_becomes_one(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "events.db"
    with pytest.raises(NoQueue, match="there is no queue"):
        QueueReader(path)
    assert not path.parent.exists()
    make_nothing(tmp_path / "empty.db")
    with pytest.raises(NoQueue, match="is empty"):
        QueueReader(tmp_path / "empty.db")
    for made in (path, tmp_path / "empty.db"):
        with Queue(made) as queue:
            assert [*queue.append([b"a"])] == [1]
