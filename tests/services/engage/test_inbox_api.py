"""`/v1/inbox`: a user sees and marks the messages of that user, and of nobody else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from engage_service import NOW, Service, serving
from hypothesis import given
from hypothesis import strategies as st
from test_user_tokens import KEYS, SECONDS, token

from services.engage.access import EngageAccess
from services.engage.inbox import routes
from services.engage.inbox.routes import _names
from transforms.events.times import write_time
from transforms.storage.pages import write_cursor
from transforms.storage.rows import InboxRow, UserRow

SHOP = "https://shop.example"


def row(user: str, send: str, age: int = 0, **more: Any) -> InboxRow:
    texts = {"campaign": "win_back", "step": "one", "title": f"To {user}", "body": "", "image": "", "deep_link": ""}
    return InboxRow(user=user, at=NOW - age, send=send, **{**texts, "data": b'{"gems":5}', "expires": 0, **more})


def person(name: str, **said: Any) -> UserRow:
    return UserRow(name, 1, b"", json.dumps({"user": name, **said}).encode())


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Service]:
    access = EngageAccess(inbox_keys=KEYS, inbox_origins=frozenset({SHOP}))
    with serving(tmp_path, access=access) as service:
        people = [
            person("ann", merged=["old"]),
            person("old", owner="ann"),
            person("bob"),
            person("gone", deleted=write_time(NOW)),
        ]
        service.store.write_users(people)
        rows = [row("ann", "a1"), row("old", "a2", 1), row("ann", "a3", 2, expires=NOW), row("bob", "b1")]
        rows += [row("ann", "p1", 3, placement="popup", trigger=b'{"event":"Cart Viewed","after":5}', locale="ja")]
        service.store.write_inbox([*rows, row("gone", "g1")])
        yield service


def show(inbox: Service, user: str = "ann", *, headers: dict[str, str] | None = None, **asked: Any) -> httpx.Response:
    said = {"authorization": f"Bearer {token(sub=user)}", **(headers or {})}
    return inbox.ask("GET", "/v1/inbox", params=asked, headers=said)


def mark(inbox: Service, path: str, user: str = "ann", **more: Any) -> httpx.Response:
    return inbox.ask("POST", f"/v1/inbox/{path}", headers={"authorization": f"Bearer {token(sub=user)}"}, **more)


def ids(answer: httpx.Response) -> list[str]:
    return [message["id"] for message in answer.json()["messages"]]


def told(inbox: Service) -> list[tuple[str, str, str]]:
    return [(each["userId"], each["kind"], each["send"]) for each in inbox.receipts()]


def test_a_user_sees_what_is_for_that_user_alone_newest_first(inbox: Service) -> None:
    answer = show(inbox)
    assert answer.status_code == 200
    assert ids(answer) == ["a1", "a2"]
    assert (answer.json()["unread"], answer.json()["next"]) == (2, None)
    assert answer.json()["messages"][0] == {
        "id": "a1",
        "at": write_time(NOW),
        "title": "To ann",
        "body": "",
        "data": {"gems": 5},
    }, "nor is it told how a campaign is called"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert "Authorization" in answer.headers["vary"]
    assert ids(show(inbox, "old")) == ["a1", "a2"], "a former id is the same person"
    assert ids(show(inbox, "bob")) == ["b1"]
    for nobody in ("gone", "never seen", "an"):
        assert show(inbox, nobody).json() == {"messages": [], "unread": 0, "next": None}


def test_pop_ups_are_apart_with_what_the_app_reads_of_them(inbox: Service) -> None:
    [popup] = show(inbox, placement="popup").json()["messages"]
    assert popup["trigger"] == {"event": "Cart Viewed", "after": 5}
    assert (popup["placement"], popup["locale"]) == ("popup", "ja")
    assert ids(show(inbox, placement="*")) == ["a1", "a2", "p1"]


def test_pages_and_what_is_no_page(inbox: Service) -> None:
    first = show(inbox, limit=1)
    assert (ids(first), first.json()["unread"]) == (["a1"], 2)
    second = show(inbox, limit=1, cursor=first.json()["next"])
    assert (ids(second), second.json()["next"]) == (["a2"], None)
    assert ids(show(inbox, "bob", cursor=first.json()["next"])) == ["b1"], "a cursor of others shows nothing of theirs"
    for asked in ({"limit": 0}, {"limit": 101}, {"limit": "x"}, {"limit": "1" * 5_000}, {"limit": "²"}):
        assert show(inbox, **asked).json()["code"] == "limit"
    for cursor in ("", "x", "é", write_cursor("inbox", (1, "a")), "A" * 10_000):
        assert show(inbox, cursor=cursor).json()["code"] == "cursor"


def test_what_has_not_changed_is_not_sent_again(inbox: Service) -> None:
    tag = show(inbox).headers["etag"]
    for asked in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = show(inbox, headers={"if-none-match": asked})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert show(inbox, headers={"if-none-match": '"other"'}).status_code == 200
    assert show(inbox, "bob", headers={"if-none-match": tag}).status_code == 200
    assert mark(inbox, "a1/read").status_code == 200
    assert show(inbox, headers={"if-none-match": tag}).status_code == 200


@given(st.text(max_size=30))
def test_any_header_is_read(header: str) -> None:
    assert _names(header, '"tag"') in (False, True)


def test_marks_are_receipts_once_and_are_seen_at_once(inbox: Service) -> None:
    assert mark(inbox, "a1/read").json() == {"marked": 1}
    assert mark(inbox, "a1/read").json() == {"marked": 0}
    assert mark(inbox, "a2/clicked").json() == {"marked": 1}
    assert told(inbox) == [("ann", "opened", "a1"), ("old", "opened", "a2"), ("old", "clicked", "a2")]
    receipt = inbox.receipts()[0]
    assert (receipt["channel"], receipt["campaign"], receipt["step"]) == ("inbox", "win_back", "one")
    assert show(inbox).json()["unread"] == 0
    assert {"read", "clicked"} <= set(show(inbox).json()["messages"][1])
    assert mark(inbox, "a1/dismissed").json() == {"marked": 1}
    assert ids(show(inbox)) == ["a2"]
    assert mark(inbox, "a1/clicked").json() == {"marked": 1}, "what is no longer listed may still be open in the app"


def test_all_are_read_until_a_time_or_of_a_placement(inbox: Service) -> None:
    assert mark(inbox, "read", json={"until": write_time(NOW - 1)}).json() == {"marked": 2}
    assert mark(inbox, "read", json={"placement": "popup"}).json() == {"marked": 1}
    assert mark(inbox, "read").json() == {"marked": 1}
    assert sorted(send for _, kind, send in told(inbox) if kind == "opened") == ["a1", "a2", "a3", "p1"]
    assert show(inbox, "bob").json()["unread"] == 1
    for body in (b"{", b"[]", b'{"until":5}', b'{"until":"soon"}', b'{"all":true}', b"\xff", b"{" * 4_000):
        assert mark(inbox, "read", content=body).status_code == 400
    assert mark(inbox, "read", content=b" " * 5_000).status_code == 413


def test_nobody_marks_what_is_somebody_elses(inbox: Service) -> None:
    for user, message in (("ann", "b1"), ("bob", "a1"), ("gone", "g1"), ("ann", "nothing"), ("never seen", "a1")):
        for said in ("read", "clicked", "dismissed"):
            assert mark(inbox, f"{message}/{said}", user).json()["code"] == "no_message"
    assert mark(inbox, "a1/deleted").status_code == 404
    assert told(inbox) == []


def test_what_cannot_be_told_is_not_marked(inbox: Service) -> None:
    """Else it would never be told: the app sends it again."""
    inbox.desk.sink.close()
    assert mark(inbox, "a1/read").status_code == 503
    assert show(inbox).json()["unread"] == 2


def test_without_a_token_there_is_nothing(inbox: Service) -> None:
    for headers in ({}, {"authorization": "Bearer "}, {"authorization": token()}, {"authorization": "Basic YTpi"}):
        for method, path in (("GET", "/v1/inbox"), ("POST", "/v1/inbox/read"), ("POST", "/v1/inbox/a1/read")):
            answer = inbox.ask(method, path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "token")
            assert answer.headers["www-authenticate"] == "Bearer"
    ended = inbox.ask(
        "GET", "/v1/inbox", headers={"authorization": f"Bearer {token(exp=SECONDS - 61, iat=SECONDS - 90)}"}
    )
    assert ended.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert ended.json()["message"] == "the token has ended"
    assert inbox.ask("GET", "/v1/inbox", params={"token": token()}).status_code == 401, "addresses are logged"


def test_pages_of_allowed_origins_may_ask_and_no_cookie_counts(inbox: Service) -> None:
    asked = {"origin": SHOP, "access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    allowed = inbox.ask("OPTIONS", "/v1/inbox", headers=asked)
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == SHOP
    assert "Authorization" in allowed.headers["access-control-allow-headers"]
    assert "ETag" in show(inbox, headers={"origin": SHOP}).headers["access-control-expose-headers"]
    for answer in (
        inbox.ask("OPTIONS", "/v1/inbox", headers={**asked, "origin": "https://evil.example"}),
        show(inbox, headers={"origin": "https://evil.example"}),
        allowed,
    ):
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers.get("access-control-allow-origin") in (None, SHOP)
        assert "Origin" in answer.headers["vary"]
    refused = inbox.ask("GET", "/v1/inbox", headers={"origin": SHOP})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == SHOP, "a page shall read why"


def test_without_keys_there_is_no_inbox(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        answer = service.ask("GET", "/v1/inbox", headers={"authorization": f"Bearer {token()}"})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_set_up")


def test_a_user_who_asks_without_end_is_told_to_wait(inbox: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "RATE", 1e-6)
    assert {show(inbox, "bob").status_code for _ in range(int(routes.SAVED) + 1)} == {200}
    late = show(inbox, "bob")
    assert (late.status_code, late.json()["code"]) == (429, "rate")
    assert int(late.headers["retry-after"]) > 0
    assert show(inbox, "ann").status_code == 200
