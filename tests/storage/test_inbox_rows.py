"""What every store promises of inboxes."""

import msgspec
from samples import NOW, inbox

from transforms.storage.reader import Reader
from transforms.storage.rows import InboxMarks
from transforms.storage.store import Store


def test_an_inbox_is_read_newest_first_and_a_row_is_written_over(store: Store) -> None:
    rows = [inbox("u1", NOW - 1), inbox("u1", NOW, "s2"), inbox("u1", NOW, "s1"), inbox("u1#", NOW), inbox("u", NOW)]
    store.write_inbox(rows)
    store.write_inbox([inbox("u1", NOW, "s2", title="届け", data=b'{"a":1}', expires=NOW + 5)])
    changed = inbox("u1", NOW, "s2", title="届け", data=b'{"a":1}', expires=NOW + 5)
    assert store.read_inbox("u1") == [rows[2], changed, rows[0]]
    assert [row.user for name in ("u1#", "u") for row in store.read_inbox(name)] == ["u1#", "u"]


def test_an_inbox_goes_with_its_user(store: Store) -> None:
    store.write_inbox([inbox("u1"), inbox("u2")])
    store.delete_user("u1", [], [])
    assert (store.read_inbox("u1"), store.read_inbox("u2")) == ([], [inbox("u2")])


def test_marks_are_set_once_and_outlast_the_message_being_written_again(store: Store, reader: Reader) -> None:
    rows = [inbox("u1", NOW, "s2"), inbox("u1", NOW - 1, placement="top", trigger=b'{"event":"A"}', locale="ja")]
    store.write_inbox(rows)
    store.mark_inbox(rows, InboxMarks(opened=NOW + 5))
    store.mark_inbox(store.read_inbox("u1")[:1], InboxMarks(opened=NOW + 9, clicked=NOW + 7))
    store.write_inbox(rows)
    marked = [
        msgspec.structs.replace(rows[0], opened=NOW + 5, clicked=NOW + 7),
        msgspec.structs.replace(rows[1], opened=NOW + 5),
    ]
    assert store.read_inbox("u1") == marked
    assert reader.page_inbox("u1", 10).rows == marked


def test_a_mark_brings_no_message_back(store: Store) -> None:
    store.write_inbox([row := inbox("u1")])
    store.delete_user("u1", [], [])
    store.mark_inbox([row, inbox("u2")], InboxMarks(dismissed=NOW))
    assert (store.read_inbox("u1"), store.read_inbox("u2")) == ([], [])
