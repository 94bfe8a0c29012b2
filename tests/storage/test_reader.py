"""What every store promises of its pages: together they are the whole list, whatever the limit and the cursor."""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import HOSTILE, NOW, event, identity, inbox, lease, letter, member, sent, user
from strength import examples

from transforms.storage.open import open_reader
from transforms.storage.pages import MOST, BadCursor, Page
from transforms.storage.reader import Reader
from transforms.storage.rows import LedgerRow, MetricRow, RunRow
from transforms.storage.sends import STATES, SendsAsked
from transforms.storage.store import NoStore, Store

Ask = Callable[[int, str | None], Page[Any]]


def test_whose_an_address_is_can_be_read(store: Store, reader: Reader) -> None:
    store.write_identities([identity("ann@example.com", "ann", kind="address"), identity("a1", "ann")])
    asked = ["ann@example.com", "a1", "nobody@example.com"]
    assert {value: row.user for value, row in reader.read_identities("address", asked).items()} == {asked[0]: "ann"}
    assert reader.read_identities("address", []) == {}


def test_members_with_a_user_id_are_counted(store: Store, reader: Reader) -> None:
    gone = member("vip", "ben", active=False)
    store.write_members([member("vip", "ann"), gone, member("vip", "cat"), member("vip", "~v"), member("vips", "dan")])
    assert [reader.count_members(segment) for segment in ("vip", "vips", "nobody")] == [2, 1, 0]


def whole(ask: Ask, limit: int) -> list[Any]:
    """All pages of a list together."""
    rows: list[Any] = []
    cursor: str | None = None
    while True:
        page = ask(limit, cursor)
        assert len(page.rows) <= limit
        rows += page.rows
        if page.next is None:
            return rows
        assert page.next != cursor
        cursor = page.next


def lists(reader: Reader) -> dict[str, Ask]:
    return {
        "events": lambda limit, cursor: reader.page_events("u1", limit, cursor),
        "decisions": lambda limit, cursor: reader.page_decisions("u1", limit, cursor),
        "inbox": lambda limit, cursor: reader.page_inbox("u1", limit, cursor),
        "members": lambda limit, cursor: reader.page_members("vip", limit, cursor),
        "sends": lambda limit, cursor: reader.page_sends(SendsAsked(), limit, cursor),
        "dead_letters": reader.page_dead_letters,
    }


@pytest.fixture
def filled(store: Store) -> dict[str, list[Any]]:
    """A store with twelve rows of each list among others, and what its lists are."""
    names = HOSTILE[:12]
    times = [NOW - each // 5 for each in range(12)]
    events = [event("u1", time, name) for time, name in zip(times, names, strict=True)]
    decisions = [sent("u1", name, "failed", decided_at=time) for time, name in zip(times, names, strict=True)]
    shown = [inbox("u1", time, name) for time, name in zip(times, names, strict=True)]
    members = [member("vip", name) for name in names]
    letters = [letter(number, time=time) for number, time in enumerate(times)]
    store.write_events([*events, event("u1#", message="x"), event("u", message="x")])
    store.record([*decisions, sent("u1#", "x", "unknown"), sent("u", "x", "suppressed")])
    store.write_inbox([*shown, inbox("u1#"), inbox("u")])
    store.write_members([*members, member("vip", "left", active=False), member("vip2", "x"), member("vi", "x")])
    store.write_dead_letters(letters)
    newest = {"key": lambda row: (-getattr(row, "decided_at", 0), row.send)}
    return {
        "events": sorted(events, key=lambda row: (-row.time, row.id)),
        "decisions": sorted(decisions, **newest),
        "inbox": sorted(shown, key=lambda row: (-row.at, row.send)),
        "members": members,
        "sends": [sent("u", "x", "suppressed"), *sorted(decisions, **newest), sent("u1#", "x", "unknown")],
        "dead_letters": letters,
    }


NAMES = ["events", "decisions", "inbox", "members", "sends", "dead_letters"]


@pytest.mark.parametrize("name", NAMES)
def test_pages_of_any_size_are_the_whole_list(filled: dict[str, list[Any]], reader: Reader, name: str) -> None:
    for limit in (1, 2, 5, 11, 12, 13, 14, MOST):
        rows = whole(lists(reader)[name], limit)
        if name == "members":
            rows, filled[name] = (sorted(each, key=lambda row: row.user) for each in (rows, filled[name]))
        assert rows == filled[name]


@pytest.mark.parametrize("name", NAMES)
def test_where_a_list_ends_there_is_no_cursor(filled: dict[str, list[Any]], reader: Reader, name: str) -> None:
    assert lists(reader)[name](len(filled[name]), None).next is None


@pytest.mark.parametrize("name", NAMES)
def test_limits_are_bounded(reader: Reader, name: str) -> None:
    for limit in (0, -1, MOST + 1, 10**30):
        with pytest.raises(ValueError, match="a page has 1 to 1,000 rows"):
            lists(reader)[name](limit, None)


def cursor_of(*said: Any) -> str:
    return urlsafe_b64encode(msgspec.json.encode(said)).rstrip(b"=").decode()


WRONG = ["", "x", "!", "届け", "a" * 5_000, "[]", cursor_of(), cursor_of("events"), cursor_of("events", 1, 2)]
WRONG += [cursor_of("events", "a", "b"), cursor_of("events", 1.5, "b"), cursor_of("events", True, "b")]
WRONG += [cursor_of("events", 2**70, "b"), cursor_of("events", -(2**70), "b"), cursor_of("other", 1, "b")]
WRONG += [cursor_of("events", 1, "b", "c"), cursor_of(["events"], 1), cursor_of("events", None, "b")]
WRONG += [urlsafe_b64encode(said).decode() for said in (b'["events",1,"\\ud800"]', b'["events",1,"\xff"]', b"[" * 3000)]


@pytest.mark.parametrize("cursor", WRONG)
def test_cursors_from_outside_are_checked(reader: Reader, cursor: str) -> None:
    for name, ask in lists(reader).items():
        with pytest.raises(BadCursor, match=f"no cursor of {name.replace('_', ' ')}: "):
            ask(10, cursor)


def test_a_cursor_of_another_list_is_none(filled: dict[str, list[Any]], reader: Reader) -> None:
    asked = lists(reader)
    cursors = {name: ask(1, None).next for name, ask in asked.items()}
    for name, ask in asked.items():
        for other, cursor in cursors.items():
            if other != name:
                with pytest.raises(BadCursor):
                    ask(1, cursor)


def test_a_cursor_of_the_first_and_the_last_time_goes_on(store: Store, reader: Reader) -> None:
    rows = [event("u1", time, name, arrival=NOW) for time in (2**63 - 1, 0, -(2**63)) for name in ("a", "b")]
    store.write_events(rows)
    assert whole(lists(reader)["events"], 1) == rows


def test_what_comes_before_the_place_of_a_cursor_is_not_seen(store: Store, reader: Reader) -> None:
    store.write_events([event("u1", NOW - each) for each in range(4)])
    page = reader.page_events("u1", 2)
    store.write_events([event("u1", NOW + 1), event("u1", NOW - 9)])
    assert [row.time for row in reader.page_events("u1", 9, page.next).rows] == [NOW - 2, NOW - 3, NOW - 9]


def test_what_is_not_read_by_pages(store: Store, reader: Reader) -> None:
    rows = [MetricRow(name, window, 1) for name in ("a", "a{b}") for window in (-1, 0, NOW)]
    store.write_metrics([*rows, MetricRow("b", 0, 1)])
    assert list(reader.scan_metrics("a")) == rows
    assert list(reader.scan_metrics("a", 0)) == [row for row in rows if row.window >= 0]
    store.write_members([member("vip", f"u{number:05}", active=number != 7) for number in range(1_100)])
    store.write_members([member("vip2", "x")])
    assert sorted(row.user for row in reader.scan_members("vip")) == [
        f"u{number:05}" for number in range(1_100) if number != 7
    ]


def test_users_runs_and_leases_are_read(store: Store, reader: Reader) -> None:
    assert (reader.read_users(["u1"]), reader.read_run(), reader.read_lease()) == ({}, None, None)
    store.write_users([user("u1"), user("u2")])
    store.write_run(RunRow(NOW, "abc"))
    store.swap_lease(None, lease("a"))
    assert reader.read_users(["u1", "nobody"]) == {"u1": user("u1")}
    assert (reader.read_run(), reader.read_lease()) == (RunRow(NOW, "abc"), lease("a"))


def test_a_store_that_is_not_there_is_not_made(url: str) -> None:
    with pytest.raises(NoStore, match=r"there is no file|lacks the tables"):
        open_reader(url)
    with pytest.raises(NoStore):
        open_reader(url)


#: A new prefix of campaigns for each example, so that one store serves them all.
EXAMPLES = count()
CAMPAIGNS = ["a", "a#", "a#b", "b", "届"]
SENDS = st.lists(
    st.builds(
        lambda name, send, state, campaign, reason, at: sent(
            name, send, state, campaign=campaign, detail=reason, decided_at=at, at=at + 5
        ),
        st.sampled_from(["u1", "u1#", "u2", "~a", "\0"]),
        st.sampled_from(["s1", "s2", "#", "届"]),
        st.sampled_from(STATES),
        st.sampled_from(CAMPAIGNS),
        st.sampled_from(["", "quiet", "quiet: until 9", "quiet_hours", "retry: quota"]),
        st.integers(-2, 2),
    ),
    max_size=25,
)
ASKED = st.builds(
    SendsAsked,
    st.lists(st.sampled_from(STATES), min_size=1, unique=True).map(tuple),
    st.none() | st.sampled_from(CAMPAIGNS),
    st.none() | st.sampled_from(["quiet", "retry", "no"]),
    st.sampled_from([-(2**63), -1, 0, 2]),
)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=SENDS, asked=ASKED, limit=st.integers(1, 7), data=st.data())
def test_sends_are_listed_as_they_are_now(
    *, store: Store, reader: Reader, written: list[LedgerRow], asked: SendsAsked, limit: int, data: st.DataObject
) -> None:
    """By claims, records and resolutions; a send that comes to another state, or goes, is listed so."""
    before = next(EXAMPLES)
    for name in {row.user for row in written}:
        store.delete_user(name, [], [])
    standing: dict[tuple[str, str], LedgerRow] = {}
    prefix = f"{before}-"
    for drawn in written:
        old = standing.get((drawn.user, drawn.send))
        # Nothing of a send changes but its state and what is said of it.
        campaign, at = (
            (f"{prefix}{drawn.campaign}", drawn.decided_at) if old is None else (old.campaign, old.decided_at)
        )
        row = msgspec.structs.replace(drawn, campaign=campaign, decided_at=at)
        how = data.draw(st.sampled_from(["claim", "record", "resolve"]))
        if how == "claim" and old is not None:
            assert store.claim([row]) == {row.send: old}
            continue
        if how == "resolve" and old is not None:
            assert store.resolve([(old, row)]) == [row]
        elif how == "claim":
            assert store.claim([row]) == {row.send: None}
        else:
            store.record([row])
        standing[row.user, row.send] = row
    if asked.campaign is not None:
        asked = msgspec.structs.replace(asked, campaign=f"{prefix}{asked.campaign}")
    found = whole(lambda limit, cursor: reader.page_sends(asked, limit, cursor), limit)
    found = [row for row in found if row.campaign.startswith(prefix)]
    expected = [
        row
        for row in standing.values()
        if row.state in asked.states
        and asked.campaign in (None, row.campaign)
        and asked.reason in (None, row.detail.partition(": ")[0])
        and row.decided_at >= asked.since
    ]

    def order(row: LedgerRow) -> tuple[Any, ...]:
        return asked.states.index(row.state), row.campaign, -row.decided_at, row.user, row.send

    def in_any_order(row: LedgerRow) -> tuple[Any, ...]:
        return row.user, row.send

    listed = [row for row in found if row.state != "claimed"]
    assert listed == sorted((row for row in expected if row.state != "claimed"), key=order)
    assert sorted(found, key=in_any_order) == sorted(expected, key=in_any_order)
    for name in {row.user for row in written}:
        store.delete_user(name, [], [])
    left = whole(lambda limit, cursor: reader.page_sends(asked, limit, cursor), MOST)
    assert [row for row in left if row.campaign.startswith(prefix)] == []


def test_many_sends_of_one_instant(store: Store, reader: Reader) -> None:
    """As a scheduled run decides them."""
    rows = [sent(f"u{number:05}", "s", "handed_off") for number in range(2_500)]
    store.record([*rows, sent("older", "s", "handed_off", decided_at=NOW - 1)])
    asked = SendsAsked(("handed_off",), "win_back")
    assert whole(lambda limit, cursor: reader.page_sends(asked, limit, cursor), 999)[:-1] == rows
    since = SendsAsked(("handed_off",), since=NOW)
    assert whole(lambda limit, cursor: reader.page_sends(since, limit, cursor), 1_000) == rows
    until = SendsAsked(("handed_off",), until=NOW)
    assert [row.user for row in whole(lambda limit, cursor: reader.page_sends(until, limit, cursor), 1_000)] == [
        "older"
    ]
    until = SendsAsked(until=NOW + 1)
    assert whole(lambda limit, cursor: reader.page_sends(until, limit, cursor), 1_000)[:-1] == rows


def test_a_rare_reason_is_found_page_by_page(store: Store, reader: Reader) -> None:
    rows = [sent(f"u{number:05}", "s", "suppressed", detail="quiet") for number in range(10_001)]
    store.record([*rows, sent("x", "s", "suppressed", detail="no_address")])
    asked = SendsAsked(("suppressed",), reason="no_address")
    page = reader.page_sends(asked, 10)
    assert page.rows == []
    assert page.next is not None
    assert [row.user for row in reader.page_sends(asked, 10, page.next).rows] == ["x"]


def test_a_cursor_of_a_state_that_is_not_asked_for_is_refused(store: Store, reader: Reader) -> None:
    store.record([sent("u1", "s1", "failed"), sent("u1", "s2", "failed")])
    cursor = reader.page_sends(SendsAsked(("failed",)), 1).next
    with pytest.raises(BadCursor, match="failed"):
        reader.page_sends(SendsAsked(("unknown",)), 1, cursor)
