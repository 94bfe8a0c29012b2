"""Views: what they say is JSON, is found page by page, and is checked where it comes from outside."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from transforms.events.times import write_time
from transforms.storage.pages import BadCursor, Page, every, write_cursor
from transforms.storage.reader import Reader
from transforms.storage.rows import (
    DeadLetterRow,
    EventRow,
    InboxMarks,
    InboxRow,
    LedgerRow,
    MemberRow,
    MetricRow,
    UserRow,
)
from transforms.storage.series import series_of
from transforms.storage.store import Store
from transforms.views.campaigns import funnel
from transforms.views.dead_letters import dead_letters
from transforms.views.inbox import inbox, inbox_rows, shown_inbox
from transforms.views.segments import flow, members
from transforms.views.sends import sends
from transforms.views.users import UnknownUser, known_user, past, profile, timeline

NOW = 1_772_000_000_000_000
MINUTE = 60_000_000
PAYLOAD = b'{"properties":{"total":9.5},"traits":{},"context":{}}'


def user(name: str, **said: Any) -> UserRow:
    return UserRow(name, 1, b"", json.dumps({"user": name, **said}).encode())


def event(name: str, time: int, id_: str) -> EventRow:
    return EventRow(name, time, id_, time + 5, "track", "Seen", "live", PAYLOAD)


def sent(name: str, send: str, at: int, state: str = "handed_off", **changes: Any) -> LedgerRow:
    said = {"campaign": "gift", "step": "one", "channel": "push", "detail": "", **changes}
    return LedgerRow(user=name, send=send, state=state, decided_at=at, at=at, **said)


def whole(ask: Callable[[int, str | None], Page[Any]], limit: int) -> list[Any]:
    return list(every(lambda cursor: ask(limit, cursor)))


@pytest.fixture
def ann(store: Store) -> list[dict[str, Any]]:
    """A user with two ids before, and three of each thing of each, two at a time at one instant."""
    store.write_users([user("ann", merged=["old"], anonymous=["a1"]), user("old", owner="ann"), user("bob")])
    for name in ("ann", "old", "~a1", "bob"):
        times = (NOW, NOW - 1, NOW - 1)
        store.write_events([event(name, time, f"{name}{place}") for place, time in enumerate(times)])
        store.record([sent(name, f"{name}{place}", time) for place, time in enumerate(times)])
        rows = [
            InboxRow(name, time, f"{name}{place}", "gift", "one", "A gift", "", "", "", b"{}", (place == 0) * NOW)
            for place, time in enumerate(times)
        ]
        store.write_inbox(rows)
    return [
        {"time": write_time(time), "kind": kind, "id": f"{name}{place}"}
        for time, places in ((NOW, (0,)), (NOW - 1, (1, 2)))
        for name in ("ann", "old", "~a1")
        for kind in ("send", "event")
        for place in places
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 17, 18, 19, 1_000])
def test_a_timeline_has_all_ids_of_a_user(reader: Reader, ann: list[dict[str, Any]], limit: int) -> None:
    found = whole(lambda most, cursor: timeline(reader, "ann", most, cursor), limit)
    assert [{name: entry[name] for name in ("time", "kind", "id")} for entry in found] == ann
    assert timeline(reader, "ann", 18).next is None
    [entry] = timeline(reader, "bob", 2).rows[1:]
    assert entry["said"] == {"total": 9.5}
    assert entry["arrival"] == write_time(NOW + 5)


def test_the_past_of_a_user_is_oldest_first(reader: Reader, ann: list[dict[str, Any]]) -> None:
    shown = profile(known_user(reader, "ann"))
    found = past(reader, "ann", shown, 1_000)
    assert sorted(entry["id"] for entry in found) == sorted(entry["id"] for entry in ann)
    assert [entry["time"] for entry in found] == sorted(entry["time"] for entry in found)
    assert len(past(reader, "ann", shown, 1)) == 6


def test_nobody_has_no_timeline(reader: Reader) -> None:
    for ask in (timeline, inbox):
        with pytest.raises(UnknownUser, match="ann"):
            ask(reader, "ann", 10)


def test_cursors_and_limits_are_checked(store: Store, reader: Reader, ann: list[dict[str, Any]]) -> None:
    cursor = timeline(reader, "ann", 1).next
    assert cursor is not None
    for ask in (
        lambda limit, cursor: timeline(reader, "ann", limit, cursor),
        lambda limit, cursor: inbox(reader, "ann", limit, cursor),
        lambda limit, cursor: members(reader, "vip", limit, cursor),
        lambda limit, cursor: flow(reader, "vip", limit, cursor),
        lambda limit, cursor: sends(reader, limit, cursor),
        lambda limit, cursor: dead_letters(reader, limit, cursor),
    ):
        with pytest.raises(ValueError, match="a page has 1 to 1,000 rows"):
            ask(1_001, None)
        with pytest.raises(BadCursor):
            ask(1, "no cursor")
    with pytest.raises(BadCursor, match="gone"):
        timeline(reader, "bob", 1, cursor)
    earliest = write_cursor("timeline", ("events ann", -(2**63), ""))
    assert timeline(reader, "ann", 1, earliest).next is None, "a cursor from outside may hold any time"
    with pytest.raises(ValueError, match='no send is "sent"'):
        sends(reader, 1, states=("sent",))


@pytest.mark.parametrize("limit", [1, 4, 9, 1_000])
def test_an_inbox_has_the_messages_of_merged_users(reader: Reader, ann: list[Any], limit: int) -> None:
    for name in ("ann", "old"):
        found = whole(lambda most, cursor, name=name: inbox(reader, name, most, cursor), limit)
        assert [message["send"] for message in found] == ["ann0", "old0", "ann1", "ann2", "old1", "old2"]
        left = whole(lambda most, cursor, name=name: inbox(reader, name, most, cursor, now=NOW), limit)
        assert [message["send"] for message in left] == ["ann1", "ann2", "old1", "old2"]


def test_an_app_shows_what_is_for_one_place_and_counts_what_is_unread(store: Store, reader: Reader) -> None:
    store.write_users([user("ann", merged=["old"]), user("old", owner="ann"), user("gone", deleted=write_time(NOW))])
    told = {"a": {}, "b": {"expires": NOW}, "c": {"dismissed": 1}, "d": {"opened": 5}, "e": {"clicked": 5}}
    told |= {"f": {"placement": "top", "trigger": b'{"event":"A"}', "locale": "ja"}, "g": {}, "h": {}}
    for number, (send, said) in enumerate(told.items()):
        name = "gone" if send == "h" else "old" if number % 2 else "ann"
        row = InboxRow(name, NOW - number // 2, send, "gift", "one", "A gift", "", "", "", b"{}", 0)
        marks = InboxMarks(**{mark: said.pop(mark) for mark in ("opened", "clicked", "dismissed") if mark in said})
        store.write_inbox([row := msgspec.structs.replace(row, **said)])
        store.mark_inbox([row], marks)
    for name in ("ann", "old"):
        pages, cursor = [], None
        while True:
            page = shown_inbox(reader, name, 1, cursor, now=NOW)
            pages += page.messages
            assert page.unread == 2
            if (cursor := page.next) is None:
                break
        assert [each["send"] for each in pages] == ["a", "d", "e", "g"]
        assert [each.get("read") or each.get("clicked") for each in pages[1:3]] == ["1970-01-01T00:00:00.000005Z"] * 2
    [placed] = shown_inbox(reader, "ann", 9, now=NOW, placement="top").messages
    assert (placed["placement"], placed["trigger"], placed["locale"]) == ("top", {"event": "A"}, "ja")
    assert shown_inbox(reader, "ann", 9, now=NOW, placement="*").unread == 3
    assert [row.send for row in inbox_rows(reader, "ann")] == ["a", "b", "c", "d", "e", "f", "g"]
    for name in ("gone", "nobody", "~ann"):
        assert shown_inbox(reader, name, 9, now=NOW, placement="*").messages == []
    for limit, cursor in ((0, None), (9, "no cursor"), (9, write_cursor("inbox", (1, "a")))):
        with pytest.raises(ValueError, match=r"a page has|no cursor"):
            shown_inbox(reader, "ann", limit, cursor, now=NOW)


def test_users_who_are_merged_into_each_other_end_somewhere(store: Store, reader: Reader) -> None:
    store.write_users([user("a", owner="b"), user("b", owner="a")])
    assert inbox(reader, "a", 10).rows == []


def test_members_are_whose_rows_say_so(store: Store, reader: Reader) -> None:
    since = write_time(NOW)
    store.write_members([MemberRow("vip", name, NOW, 1) for name in ("ann", "~a1", "stale", "gone")])
    store.write_users([user("ann", segments={"vip": since}), user("~a1", segments={"vip": since}), user("stale")])
    for limit in (1, 2, 100):
        found = whole(lambda most, cursor: members(reader, "vip", most, cursor), limit)
        assert [(member.user, member.since) for member in found] == [("ann", since)]
        found = whole(lambda most, cursor: members(reader, "vip", most, cursor, anonymous=True), limit)
        assert sorted(member.user for member in found) == ["ann", "~a1"]


def test_flow_comes_by_window(store: Store, reader: Reader) -> None:
    rows = [
        MetricRow(series_of("entered", [("segment", "vip")]), NOW + place * MINUTE, place + 1) for place in range(5)
    ]
    store.write_metrics(rows)
    store.write_users([user(f"u{place}", segments={"vip": write_time(NOW)}) for place in range(15)])
    store.write_members([MemberRow("vip", f"u{place}", NOW, 1) for place in range(15)])
    for limit in (1, 2, 5, 6):
        found = whole(lambda most, cursor: flow(reader, "vip", most, cursor), limit)
        assert [(each.entered, each.size) for each in found] == [(1, 1), (2, 3), (3, 6), (4, 10), (5, 15)]
    [last] = flow(reader, "vip", 9, since=NOW + 4 * MINUTE).rows
    assert (last.window, last.size) == (NOW + 4 * MINUTE, 15)


def test_a_funnel_adds_up_what_was_counted_of_a_campaign(store: Store, reader: Reader) -> None:
    counts = [
        ("entries", {"arm": "", "campaign": "gift"}, 10),
        ("entries", {"arm": "holdout", "campaign": "gift"}, 2),
        ("entries", {"campaign": "gifted"}, 99),
        ("decided", {"campaign": "gift", "channel": "push", "step": "one"}, 7),
        ("decided", {"campaign": "gift", "channel": "push", "step": "two"}, 1),
        ("sends", {"campaign": "gift", "channel": "push", "state": "handed_off"}, 6),
        ("sends", {"campaign": "gift", "channel": "push", "state": "failed", "reason": "quota"}, 2),
        ("suppressed", {"campaign": "gift", "reason": "quiet_hours"}, 3),
        ("suppressed", {"campaign": "gift", "reason": "no_address", "step": "one"}, 1),
        ("conversions", {"arm": "", "campaign": "gift", "goal": "bought"}, 4),
        ("value", {"arm": "", "campaign": "gift", "goal": "bought"}, 12_500_000),
    ]
    for window in (NOW, NOW + MINUTE):
        rows = [MetricRow(series_of(name, labels.items()), window, count) for name, labels, count in counts]
        store.write_metrics(rows)
    assert funnel(reader, "gift", since=NOW + 1) == {
        "campaign": "gift",
        "entries": {"": 10, "holdout": 2},
        "decided": {"push": 8},
        "refusals": {"no_address": 1, "quiet_hours": 3},
        "sends": {"push": {"failed": 2, "handed_off": 6}},
        "goals": [{"goal": "bought", "arm": "", "conversions": 4, "value": 12.5}],
    }
    assert funnel(reader, "gift")["entries"] == {"": 20, "holdout": 4}
    assert funnel(reader, "none")["sends"] == {}


def test_everything_that_views_say_is_json(store: Store, reader: Reader, ann: list[Any]) -> None:
    hostile = "\0\x1b[2J\n届け"
    store.write_dead_letters(
        [
            DeadLetterRow(NOW, "1", NOW, hostile, hostile, "no_id", hostile, b"\xff", 1),
            DeadLetterRow(NOW, "2", NOW, "", "s", "no_id", "d", hostile.encode(), 5_000_000, NOW),
        ]
    )
    store.record([sent(hostile, hostile, NOW, campaign=hostile, detail=hostile)])
    said = [timeline(reader, "ann", 9), inbox(reader, "ann", 9), sends(reader, 99), dead_letters(reader, 9)]
    said += [members(reader, "vip", 9), flow(reader, "vip", 9), funnel(reader, hostile)]
    for each in said:
        assert json.loads(msgspec.json.encode(each)) == msgspec.to_builtins(each)
    first, second = dead_letters(reader, 9).rows
    assert (first["payload"], first["encoding"], first["user"]) == ("/w==", "base64", hostile)
    assert (second["payload"], second["size"], second["replayed"]) == (hostile, 5_000_000, write_time(NOW))
    assert "user" not in second
