"""What every store promises of inboxes."""

from samples import NOW, inbox

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
