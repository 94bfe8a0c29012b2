"""Random calls of a store, against plain dicts that keep what each promise says."""

from itertools import count
from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from samples import event, identity, member, sent, user
from strength import examples

from transforms.storage.rows import EventKey, EventRow, IdentityRow, LedgerRow, MemberRow, UserRow
from transforms.storage.store import Store

#: A new prefix for each example, so that one store serves them all.
EXAMPLES = count()

NAMES = st.text(alphabet="ab#$\0 é~", min_size=1, max_size=3)
TIMES = st.integers(-2, 2)
VERSIONS = st.integers(0, 4)
SEGMENTS = ["vip", "vip_old"]
DETAILS = st.sampled_from(["", "retry: 503", "sent"])

USERS = st.builds(lambda name, version, state: user(name, version, state=state), NAMES, VERSIONS, st.binary())
EVENTS = st.builds(lambda name, time, text: event(name, time, text, payload=text.encode()), NAMES, TIMES, NAMES)
OWNED = st.builds(identity, NAMES, NAMES, VERSIONS, st.sampled_from(["anonymous", "token"]))
MEMBERS = st.builds(
    lambda segment, name, version, active: member(segment, name, version, active=active),
    st.sampled_from(SEGMENTS),
    NAMES,
    VERSIONS,
    st.booleans(),
)
SENDS = st.builds(lambda name, send, detail, at: sent(name, send, detail=detail, at=at), NAMES, NAMES, DETAILS, TIMES)

CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("write_users"), st.lists(USERS, max_size=4)),
        st.tuples(st.just("write_events"), st.lists(EVENTS, max_size=4)),
        st.tuples(st.just("write_identities"), st.lists(OWNED, max_size=4)),
        st.tuples(st.just("write_members"), st.lists(MEMBERS, max_size=4)),
        st.tuples(st.just("record"), st.lists(SENDS, max_size=4)),
        st.tuples(st.just("claim"), st.lists(SENDS, max_size=4, unique_by=lambda row: row.send)),
        st.tuples(
            st.just("delete_user"), st.tuples(NAMES, st.lists(st.tuples(st.just("token"), NAMES)), st.booleans())
        ),
    ),
    max_size=12,
)


class Model:
    """Rows by key, as dicts. Users, identities and members keep the greatest version, the rest what was last."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Any, ...], Any] = {}

    def write(self, row: Any) -> None:
        before = self.rows.get(key_of(row))
        versioned = before is not None and isinstance(row, UserRow | IdentityRow | MemberRow)
        if not versioned or row.version >= before.version:
            self.rows[key_of(row)] = row

    def claim(self, rows: list[LedgerRow]) -> dict[str, LedgerRow | None]:
        standing = {row.send: self.rows.get(key_of(row)) for row in rows}
        for row in rows:
            self.rows.setdefault(key_of(row), row)
        return standing

    def delete(self, name: str, row: bool) -> None:
        kinds = (EventRow, LedgerRow, IdentityRow, MemberRow, *((UserRow,) if row else ()))
        for key, held in list(self.rows.items()):
            theirs = held.user == name and isinstance(held, kinds)
            if theirs:
                del self.rows[key]

    def of(self, kind: type) -> list[Any]:
        return [row for row in self.rows.values() if isinstance(row, kind)]


def key_of(row: Any) -> tuple[Any, ...]:
    names = {UserRow: ["user"], EventRow: ["user", "time", "id"], IdentityRow: ["kind", "value"]}
    names |= {MemberRow: ["segment", "user"], LedgerRow: ["user", "send"]}
    return (type(row), *(getattr(row, name) for name in names[type(row)]))


def apart(row: Any, prefix: str) -> Any:
    """The same row, out of the way of other examples."""
    changes = {"user": prefix + row.user}
    if isinstance(row, IdentityRow):
        changes["value"] = prefix + row.value
    return msgspec.structs.replace(row, **changes)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
@example(
    calls=[
        ("write_identities", [IdentityRow("token", "a", "aa", 0)]),
        ("delete_user", ("a", [("token", "a")], False)),
    ]
)
def test_any_calls_leave_what_was_promised(store: Store, calls: list[tuple[str, Any]]) -> None:
    prefix, model = f"{next(EXAMPLES)}-", Model()
    for method, given_rows in calls:
        if method == "delete_user":
            name, pairs, row = given_rows
            identities = [(kind, prefix + value) for kind, value in pairs]
            store.delete_user(prefix + name, SEGMENTS, identities, row=row)
            model.delete(prefix + name, row)
            continue
        rows = [apart(row, prefix) for row in given_rows]
        answer = getattr(store, method)(rows)
        if method == "claim":
            assert answer == model.claim(rows)
        else:
            for row in rows:
                model.write(row)
    check(store, model, prefix)


def check(store: Store, model: Model, prefix: str) -> None:
    """Every way of reading says the same."""
    names = sorted({row.user for row in model.rows.values()} | {prefix + "nobody"})
    assert sorted(store.read_users(names).values(), key=key_of) == sorted(model.of(UserRow), key=key_of)
    for name in names:
        events = [row for row in model.of(EventRow) if row.user == name]
        assert store.read_events(name) == sorted(events, key=lambda row: (-row.time, row.id))
        sends = [row for row in model.of(LedgerRow) if row.user == name]
        assert store.read_ledger(name) == sorted(sends, key=lambda row: (-row.decided_at, row.send))
        keys = [EventKey(name, time, row.id) for row in events for time in (row.time, row.time + 1)]
        assert set(store.existing_events(keys)) == {EventKey(name, row.time, row.id) for row in events} & set(keys)
    for kind in ("anonymous", "token"):
        owned = {row.value: row for row in model.of(IdentityRow) if row.kind == kind}
        values = [row.value for row in model.of(IdentityRow)]
        assert store.read_identities(kind, values) == owned
    for segment in SEGMENTS:
        active = [row for row in model.of(MemberRow) if row.segment == segment and row.active]
        found = [row for row in store.scan_members(segment) if row.user.startswith(prefix)]
        assert sorted(found, key=key_of) == sorted(active, key=key_of)
