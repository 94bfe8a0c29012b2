"""After a deletion no table holds the user's id or an address of theirs, but for the tombstone."""

from typing import Any

from core import DAY, HOUR, START, compile_plain
from shop import SHOP

from transforms.events.dead_letter import DeadLetter
from transforms.events.event import Event
from transforms.events.kept.rows import kept
from transforms.storage.bigtable.database import NAMES
from transforms.storage.rows import InboxRow, LedgerRow, MemberRow
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import Store
from transforms.users.user import User
from transforms.users.write_batch import WriteBatch

CAMPAIGNS = compile_plain(SHOP)
LETTERS = [
    b'{"type":"alias","userId":"","previousId":"ada-17"}',
    b'{"properties":{"userId":"bob-18"},"userId":"ada-17","x":',
    b'{"x":"' + b"x" * 1_100_000 + b'","userId":"ada-17"}',
]
#: Their token is somebody else's in the end.
SECRETS = ("ada-17", "old@example.com", "new@example.com")


def tables(store: Any) -> dict[str, list[str]]:
    """All that stands in each table, as text."""
    if isinstance(store, SqliteStore):
        names = [name for (name,) in store._query("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [repr(row) for row in store._query(f"SELECT * FROM {name}")] for name in names}
    return {
        name: [repr((row.row_key, [cell.value for cell in row.cells])) for row in store._tables.scan(name, b"", None)]
        for name in NAMES
    }


def test_no_table_names_them(store: Store) -> None:
    def identify(at: int, email: str, user: str = "ada-17") -> Event:
        device = {"device": {"token": "token-of-ada"}}
        return Event(f"{at}", "identify", "", at, at, user=user, traits={"email": email}, context=device)

    ordered = Event("o", "track", "Ordered", START, START, user="ada-17")
    batch = WriteBatch(CAMPAIGNS, store)
    first = [identify(START, "old@example.com"), ordered, identify(START + 1, "new@example.com")]
    user, _ = batch.apply(User("ada-17"), first)
    list(batch.flush())
    batch.apply(User("bob-18"), [identify(START + HOUR, "bob@example.com", "bob-18")])  # who takes the token
    list(batch.flush())
    store.write_members([MemberRow("segment_of_before", "ada-17", START, 1, False)])
    store.write_inbox([InboxRow("ada-17", START, "s", "c", "one", "t", "b", "", "", b"{}", 0)])
    store.record([LedgerRow("ada-17", "s", "failed", "c", "one", "email", START, START, 1, 0, "new@example.com")])
    store.write_dead_letters([kept(DeadLetter(text, "s", "no_event", "d", START), START) for text in LETTERS])
    before = tables(store)
    assert all(any("ada-17" in row for row in before[name]) for name in ("identities", "members", "dead_letters"))

    batch.apply(user, [Event("gone", "delete", "", START + DAY, START + DAY, user="ada-17")])
    list(batch.flush())
    after = tables(store)
    assert [row for row in after.pop("users") for said in SECRETS[1:3] if said in row] == []
    assert {name: [row for row in rows for said in SECRETS if said in row] for name, rows in after.items()} == {
        name: [] for name in after
    }
