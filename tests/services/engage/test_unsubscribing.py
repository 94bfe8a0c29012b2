"""Leaving by one click (RFC 8058): what denies the topic, and all that must not."""

import re
from typing import Any

import pytest
from engage_service import KEYS, OLD_KEYS, Service
from touched_shop import BASE, links, path, sent

from transforms.channels.links import PREFERENCES, UNSUBSCRIBE, PreferencesLink
from transforms.channels.references import reference_of
from transforms.channels.tokens import SigningKeys

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
CALL = {"type": "identify", "traits": {"email": "ann@shop.example"}}
LINK = path(links(KEYS).unsubscribe(sent()))


def consent(service: Service) -> dict[str, bool]:
    found: dict[str, bool] = service.settle()["consent"]
    return found


@pytest.mark.parametrize(
    "body",
    [
        {"data": ONE_CLICK},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
        {"content": b"List-Unsubscribe=One-Click", "headers": {"Content-Type": "text/plain"}},
    ],
    ids=["form", "multipart", "without its type"],
)
@pytest.mark.parametrize("keys", [KEYS, OLD_KEYS])
def test_one_click_denies_the_topic_on_its_channel(service: Service, body: dict[str, Any], keys: SigningKeys) -> None:
    service.know(CALL)
    answer = service.ask("POST", path(links(keys).unsubscribe(sent())), **body)
    assert (answer.status_code, answer.history, "set-cookie" in answer.headers) == (200, [], False)
    [receipt] = service.receipts()
    said = {"userId": "ann", "kind": "unsubscribed", "channel": "email", "topic": "news", "campaign": "hello"}
    assert said.items() <= receipt.items()
    assert receipt["message"] == "hello_mail"
    assert consent(service) == {"news/email": False}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_follows_every_link_changes_nothing(service: Service, method: str) -> None:
    for _ in range(30):
        assert service.ask(method, LINK, headers={"User-Agent": "Mozilla/5.0"}).status_code == 200
    assert service.receipts() == []


def test_the_page_has_one_button_which_does_it(service: Service) -> None:
    html = service.ask("GET", LINK).text
    assert html.count("<button") == 1
    assert "<script" not in html
    assert 'method="post"' in html
    assert "action" not in html
    fields = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', html))
    assert service.ask("POST", LINK, data=fields).status_code == 200
    assert len(service.receipts()) == 1


@pytest.mark.parametrize(
    ("accepted", "words"),
    [
        ("ja,en;q=0.5", "「ニュース」のメールの配信を停止します。"),
        ("fr, en-GB;q=0.9", "No more messages about News by e-mail."),
        ("", "No more messages about News by e-mail."),
        ("x" * 10_000, "No more messages about News by e-mail."),
        ("ja;q=0, en", "No more messages about News by e-mail."),
    ],
)
def test_the_page_is_in_the_readers_language(service: Service, accepted: str, words: str) -> None:
    assert words in service.ask("GET", LINK, headers={"Accept-Language": accepted}).text


def test_who_left_came_back_and_leaves_by_the_same_link_has_left(service: Service) -> None:
    service.know(CALL)
    service.ask("POST", LINK, data=ONE_CLICK)
    assert consent(service) == {"news/email": False}
    service.clock.now += 60_000_000
    granted = {"topic": "news", "channel": "email", "granted": True}
    service.know({"type": "track", "event": "Consent Changed", "messageId": "x", "properties": granted})
    assert consent(service) == {"news/email": True}
    service.clock.now += 60_000_000
    service.ask("POST", LINK, data=ONE_CLICK)
    assert consent(service) == {"news/email": False}


def test_a_transactional_message_leaves_every_topic(service: Service) -> None:
    service.ask("POST", path(links(KEYS).unsubscribe(sent(topic=None))), data=ONE_CLICK)
    assert [receipt["topic"] for receipt in service.receipts()] == ["all"]


@pytest.mark.parametrize(
    "body", [{}, {"List-Unsubscribe": "one-click"}, {"List-Unsubscribe": "Two"}, {"other": "One-Click"}]
)
def test_another_body_is_refused(service: Service, body: dict[str, str]) -> None:
    assert service.ask("POST", LINK, data=body).status_code == 400
    assert service.receipts() == []


def test_forged_links_are_404_and_do_nothing(service: Service) -> None:
    reference = reference_of(sent())
    others = [
        KEYS.seal(PREFERENCES, PreferencesLink(reference, b"12345678")),  # of another purpose
        SigningKeys({"b": "x" * 40}).seal(UNSUBSCRIBE, PreferencesLink(reference, b"12345678")),
        KEYS.sign(UNSUBSCRIBE, ["ann"]),
        LINK.rpartition("/")[2][:-1],
        LINK.rpartition("/")[2] + "A",
        *("a", "a.b", "..", "%2e%2e", "%00", "a" * 9_000, "日本"),
    ]
    for token in others:
        for method in ("GET", "POST"):
            answer = service.ask(method, f"/u/{token}", data=ONE_CLICK if method == "POST" else None)
            assert answer.status_code == 404, token
            assert len(token) < 20 or token not in answer.text
    assert service.receipts() == []


def test_replays_are_bounded_and_harmless(service: Service) -> None:
    service.know(CALL)
    found = [service.ask("POST", LINK, data=ONE_CLICK) for _ in range(20)]
    assert [answer.status_code for answer in found] == [200] * 5 + [429] * 15
    assert int(found[-1].headers["Retry-After"]) >= 1
    assert len(service.receipts()) == 5
    assert consent(service) == {"news/email": False}


def test_a_large_body_is_refused(service: Service) -> None:
    assert service.ask("POST", LINK, content=b"a" * 70_000).status_code == 413


def test_pages_can_do_nothing_but_show_themselves(service: Service) -> None:
    headers = service.ask("GET", LINK).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "form-action 'self'; frame-ancestors 'none'; base-uri 'none'" in policy
    assert "script" not in policy
    assert "unsafe" not in policy
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "topic", ["<script>alert(1)</script>", '"><img src=x>', "{{ topic }}{channel}", "a\r\nSet-Cookie: x"]
)
def test_a_topic_is_shown_as_text(service: Service, topic: str) -> None:
    answer = service.ask("GET", path(links(KEYS).unsubscribe(sent(topic=topic))))
    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert "<img" not in answer.text
    assert "set-cookie" not in answer.headers
    assert BASE not in answer.text


def test_the_page_leads_to_the_preferences(service: Service) -> None:
    service.know(CALL)
    [place] = re.findall(r'<a href="\.\./(p/[^"]+)">', service.ask("POST", LINK, data=ONE_CLICK).text)
    assert service.ask("GET", f"/{place}").status_code == 200
