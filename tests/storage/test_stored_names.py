"""What stands by name in stores, which all versions share: tables, columns, and the keys of records."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
from core import DAY, HOUR, MINUTE, START, Story, compile_plain
from emulators import Instance
from google.cloud.bigtable.data import BigtableDataClient, ReadRowsQuery
from shop import SHOP

from transforms.events.event import Event
from transforms.storage.bigtable.store import BigtableStore
from transforms.storage.rows import (
    ControlRow,
    DeadLetterRow,
    EventRow,
    HoldRow,
    IdentityRow,
    InboxMarks,
    InboxRow,
    LeaseRow,
    LedgerRow,
    LedgerState,
    MemberRow,
    MetricRow,
    RecommendationRow,
    RecommendationRun,
    RunRow,
    UserRow,
)
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import Store
from transforms.users.archive import event_row
from transforms.users.effects import Recorded
from transforms.users.rows import profile_json
from transforms.users.user import Merge, Owner, User

GOLDEN = Path(__file__).parent.parent / "golden"
SCHEMA, ROWS = GOLDEN / "sqlite_schema.sql", GOLDEN / "stored_rows.json"
ADVICE = "Stores that are in use have the other name: keep it by an explicit column or `rename=`."

EVENT = Event(
    *("m1", "track", "Order Completed", START, START + HOUR, "u1", "a1", "a2"),
    {"total": 9.5},
    {"plan": "pro"},
    {"locale": "ja"},
)

#: A row of each table. All are made by place, so that whoever renames a field changes no line here.
ONE_OF_EACH: dict[str, Any] = {
    "users": UserRow("u1", 7, b"\0\xff", b'{"user":"u1"}', START + DAY, 2),
    "events": EventRow("u1", START, "m1", START + HOUR, "track", "Order Completed", "live", b"{}", 7),
    "identities": IdentityRow("token", "t1", "u1", 1_772_000_000_000, "u0"),
    "members": MemberRow("vip", "u1", START, 7, False),
    "ledger": LedgerRow("u1", "s1", "unknown", "gift", "one", "push", START, START + 1, 2, START + HOUR, "timeout"),
    "inbox": InboxRow(
        *("u1", START, "s1", "gift", "one", "A gift", "For you", "i.png", "a://b", b"{}", START + DAY),
        *("home", b"{}", "ja"),
    ),
    "metrics": MetricRow("sends/push/handed_off", START, 3),
    "dead_letters": DeadLetterRow(START, "id", START - 1, "u1", "pubsub:p/s", "no_id", "it has none", b"{}", 2, 0),
    "runs": RunRow(START, "0123456789abcdef", (1, 2**64 - 1), ("vip",), False, {"fedcba9876543210": (1,)}),
    "lease": LeaseRow("a live job", "host/boot/processes", 7, "1234", "token", START, START + HOUR),
    "holds": HoldRow(30, ("fast",), START, START + HOUR),
    "recommendations": RecommendationRow(START, "p#rice", (("tea", 0.5, 7),)),
    "recommended": RecommendationRun(START, START - HOUR),
    "control": ControlRow("id", START, b"{}"),
}


def write_all(store: Store) -> None:
    rows = ONE_OF_EACH
    store.write_users([rows["users"]])
    store.write_events([rows["events"]])
    store.write_identities([rows["identities"]])
    store.write_members([rows["members"]])
    store.claim([rows["ledger"]])
    store.write_inbox([rows["inbox"]])
    store.write_metrics([rows["metrics"]])
    store.write_dead_letters([rows["dead_letters"]])
    store.write_run(rows["runs"])
    assert store.swap_lease(None, rows["lease"])
    store.write_hold(rows["holds"])
    store.write_recommendations([rows["recommendations"]])
    assert store.publish_recommendations(rows["recommended"])
    store.publish_control([rows["control"].payload], START)
    store.close()


def golden(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ROWS.read_bytes())[name]
    return found


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A record as JSON has it; a control row's id is another one each time."""
    row = row | ({"id": "id"} if "published" in row else {})
    found: dict[str, Any] = json.loads(msgspec.json.encode(row))
    return found


def test_the_tables_of_sqlite(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "store.db").close()
    made = sqlite3.connect(tmp_path / "store.db").execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    assert "".join(f"{sql};\n" for (sql,) in made) == SCHEMA.read_text("utf-8"), ADVICE


def test_the_rows_of_sqlite(tmp_path: Path) -> None:
    write_all(SqliteStore(tmp_path / "store.db"))
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.row_factory = sqlite3.Row
    for table, row in golden("rows").items():
        (found,) = map(dict, connection.execute(f"SELECT * FROM {table}"))
        if "one" in found:  # these are one value, encoded
            found = msgspec.json.decode(found[table.removesuffix("s")])
        found.pop("weight", None)  # made of the others
        if table == "recommendations":
            found["products"] = json.loads(found["products"])
        if table == "inbox":
            assert {name: found.pop(name) for name in InboxMarks.__struct_fields__} == msgspec.to_builtins(InboxMarks())
        found |= {"active": bool(found["active"])} if table == "members" else {}
        assert plain(found) == row, f"{table}: {ADVICE}"


def test_the_rows_of_bigtable(bigtable: Instance) -> None:
    write_all(BigtableStore(bigtable.project, bigtable.name, create=True))
    with BigtableDataClient(project=bigtable.project) as client:
        for name, row in golden("rows").items():
            of_runs = {"runs": b"run", "lease": b"lease", "holds": b"hold", "recommended": b"recommended"}
            of_runs["recommendations"] = b"recommendations#%016x#p$crice" % START
            single = of_runs.get(name)
            table = name if single is None else "runs"
            cells = {
                (cell.family, cell.qualifier): cell.value
                for found in client.get_table(bigtable.name, table).read_rows(ReadRowsQuery())
                if single in (None, found.row_key) and not found.row_key.startswith((b"i#", b"u#"))
                for cell in found.cells
            }
            assert plain(msgspec.msgpack.decode(cells.pop(("r", b"row")))) == row, f"{name}: {ADVICE}"
            assert [*cells] == {"ledger": [("r", b"claim")], "dead_letters": [("r", b"weight")]}.get(name, [])


def test_rows_with_these_names_are_read() -> None:
    for name, row in golden("rows").items():
        kind = type(ONE_OF_EACH[name])
        assert msgspec.convert(row, kind, strict=False, builtin_types=()) == ONE_OF_EACH[name], ADVICE


def test_the_states_of_sends() -> None:
    states = sorted(value for name, value in vars(LedgerState).items() if name.isupper())
    assert states == golden("values")["ledger states"], ADVICE


def test_what_the_archive_holds_of_an_event() -> None:
    row = event_row(Recorded("u1", EVENT), 7)
    assert json.loads(row.payload) == golden("values")["event payload"], ADVICE


def test_what_a_row_shows_of_a_user() -> None:
    story = Story(compile_plain(SHOP))
    story.identify(0, {"plan": "pro", "email": "u@example.com"})
    story.device(1)
    story.consent(2, "push", granted=True)
    story.track("Viewed", 3)
    story.take(Merge(START + 4, User("u0", created=START)))
    story.take(Merge(START + 5, User("~a1", created=START)))
    story.wake(HOUR + MINUTE)
    profile = story.user.profile
    profile.blocked["b@example.com"] = (START, "m9", "bounced")
    user = msgspec.structs.replace(story.user, truncated=3)
    assert profile_json(user, ["often"]) == golden("values")["profile"], "who reads a store asks by these names"
    assert profile_json(tombstone(user)) == golden("values")["tombstone"]


def tombstone(user: User) -> User:
    return msgspec.structs.replace(user, deleted=START, owner=Owner("u2", START, "u3"))
