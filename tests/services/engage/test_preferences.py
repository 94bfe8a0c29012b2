"""The preference page: what it shows, what a choice changes, and who cannot use it."""

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from engage_service import KEYS, NOW, Service, serving
from touched_shop import DEFINITIONS, links, path, sent

from services.engage.access import EngageAccess
from transforms.campaigns.load import check, read_texts

CALL = {"type": "identify", "traits": {"email": "Ann@shop.example", "locale": "ja_JP"}, "messageId": "i"}
LINK = path(links(KEYS).preferences(sent("Ann@shop.example")))
ODD = '"><script>alert(1)</script>'


def grant(topic: str, channel: str, granted: bool) -> dict[str, Any]:
    said = {"topic": topic, "channel": channel, "granted": granted}
    return {"type": "track", "event": "Consent Changed", "properties": said, "messageId": f"{said}"}


def boxes(html: str) -> dict[str, bool]:
    found = re.findall(r'<input type="checkbox" name="granted" value="([^"]*)"( checked)?>', html)
    return {unescape(value): bool(checked) for value, checked in found}


def form(html: str) -> str:
    [found] = re.findall(r'name="form" value="([^"]*)"', html)
    return unescape(found)


def save(service: Service, *granted: str, **more: Any) -> Any:
    shown = form(service.ask("GET", LINK).text)
    return service.ask("POST", LINK, data={"form": shown, "granted": list(granted)}, **more)


def said(service: Service) -> list[tuple[str, str, str]]:
    return [(each["kind"], each["topic"], each["channel"]) for each in service.receipts()]


def test_topics_stand_by_channel_as_they_are_granted_now(service: Service) -> None:
    service.know(CALL, grant("news", "email", True))
    html = service.ask("GET", LINK, headers={"Accept-Language": "en"}).text
    assert boxes(html) == {
        "offers/email": False,
        "news/email": True,
        "news/push": True,
        f"{ODD}/email": False,
    }
    assert re.findall(r"<legend>(.*?)</legend>", html)[:2] == ["Offers", "News"]
    assert "Up to one a week &lt;b&gt;" in html
    assert "<script" not in html
    assert "webhook" not in html


def test_the_words_are_the_browsers_else_the_users(service: Service) -> None:
    service.know(CALL)
    assert '<html lang="ja">' in service.ask("GET", LINK).text
    assert "お得情報" in service.ask("GET", LINK).text
    assert '<html lang="en">' in service.ask("GET", LINK, headers={"Accept-Language": "en-US"}).text
    assert '<html lang="ja">' in service.ask("GET", LINK, headers={"Accept-Language": '"><script>, fr'}).text


def test_what_was_changed_is_published_and_nothing_else(service: Service) -> None:
    service.know(CALL, grant("news", "email", True))
    answer = save(service, "news/push", "offers/email")
    assert boxes(answer.text) == {"offers/email": True, "news/email": False, "news/push": True, f"{ODD}/email": False}
    assert 'role="status"' in answer.text
    assert said(service) == [("resubscribed", "offers", "email"), ("unsubscribed", "news", "email")]
    assert service.settle()["consent"] == {"news/email": False, "offers/email": True}
    assert boxes(service.ask("GET", LINK).text) == boxes(answer.text)


def test_leaving_all_and_coming_back_to_one(service: Service) -> None:
    service.know(CALL, grant("news", "email", True), grant("offers", "email", True))
    shown = form(service.ask("GET", LINK).text)
    assert not any(boxes(service.ask("POST", LINK, data={"form": shown, "none": "1"}).text).values())
    assert said(service) == [("unsubscribed", "all", "email"), ("unsubscribed", "all", "push")]
    service.settle()
    service.clock.now += 1_000_000
    save(service, "news/email")
    assert said(service) == [
        ("resubscribed", "all", "email"),
        ("unsubscribed", "offers", "email"),
        ("resubscribed", "news", "email"),
        ("unsubscribed", ODD, "email"),
    ]
    found = service.settle()["consent"]
    assert (found["all/email"], found["news/email"], found["offers/email"]) == (True, True, False)
    assert (found["all/push"], boxes(service.ask("GET", LINK).text)["news/push"]) == (False, False)


def test_what_was_not_shown_is_not_taken(service: Service) -> None:
    service.know(CALL)
    save(service, "secret/email", "news/webhook", "all/email")
    assert said(service) == [("unsubscribed", "news", "push")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://["},
        {"Origin": "https://links.shop.example.evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://links.shop.example"},
    ],
)
def test_the_form_of_another_site_is_refused(service: Service, headers: dict[str, str]) -> None:
    service.know(CALL)
    assert save(service, "news/email", headers=headers).status_code == 403
    assert said(service) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://links.shop.example"},
        {"Origin": "https://links.shop.example"},
        {},
        # Behind a proxy that asks with another host than the browser.
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://links.shop.example:8443", "Host": "links.shop.example"},
    ],
)
def test_the_form_of_this_page_is_taken(service: Service, headers: dict[str, str]) -> None:
    service.know(CALL)
    assert save(service, "news/email", headers=headers).status_code == 200


def test_a_form_that_is_sent_without_end_is_bounded(service: Service) -> None:
    service.know(CALL)
    found = [save(service, "news/email") for _ in range(30)]
    assert [answer.status_code for answer in found] == [200] * 20 + [429] * 10
    assert int(found[-1].headers["Retry-After"]) >= 1
    service.clock.now += 10_000_000
    assert save(service, "news/email").status_code == 200


def test_behind_a_proxy_that_asks_by_its_own_name_links_say_what_this_site_is(tmp_path: Path) -> None:
    with serving(tmp_path, DEFINITIONS, access=EngageAccess(url="https://mail.shop.example")) as service:
        service.know(CALL)
        for origin, status in (("https://mail.shop.example", 200), ("https://evil.example", 403)):
            headers = {"Origin": origin, "Host": "127.0.0.1:8600"}
            assert save(service, "news/email", headers=headers).status_code == status


def test_a_form_that_is_old_forged_or_of_another_is_refused(service: Service) -> None:
    service.know(CALL)
    service.know({"type": "identify", "traits": {"email": "bob@shop.example"}}, user="bob")
    theirs = path(links(KEYS).preferences(sent("bob@shop.example", user="bob")))
    old, other = form(service.ask("GET", LINK).text), form(service.ask("GET", theirs).text)
    forged = KEYS.sign("other", ["ann", [{}, []]])
    for token in (other, forged, "", LINK):
        answer = service.ask("POST", LINK, data={"form": token, "granted": "news/email"})
        assert (answer.status_code, "too old" in answer.text or "有効期限" in answer.text) == (400, True)
    service.clock.now += 3 * 3_600_000_000
    assert service.ask("POST", LINK, data={"form": old, "granted": "news/email"}).status_code == 400
    assert said(service) == []


def test_a_link_to_an_address_that_is_no_longer_the_users_shows_nothing(service: Service) -> None:
    service.know(CALL)
    assert service.ask("GET", path(links(KEYS).preferences(sent("ANN@shop.example")))).status_code == 200
    for link in (sent("old@shop.example"), sent(user="nobody"), sent("x", channel="gone")):
        answer = service.ask("GET", path(links(KEYS).preferences(link)))
        assert answer.status_code == 410
        assert boxes(answer.text) == {}
    service.know({"type": "identify", "traits": {"email": "new@shop.example"}, "messageId": "j"})
    assert service.ask("GET", LINK).status_code == 410
    assert service.ask("POST", LINK, data={"form": "x"}).status_code == 410


def test_forged_links_are_404(service: Service) -> None:
    for token in (KEYS.seal("u", ["x"]), LINK.rpartition("/")[2][:-2], "x"):
        assert service.ask("GET", f"/p/{token}").status_code == 404
        assert service.ask("POST", f"/p/{token}").status_code == 404


def test_who_was_merged_or_deleted(service: Service) -> None:
    service.know({"type": "delete", "messageId": "d"}, user="ann")
    assert service.ask("GET", LINK).status_code == 410


OWN = """<title>{{ words.title }}</title><style>p{color:red}</style>{% for topic in topics %}<p>{{ topic.name }}
{% for channel in topic.channels %}<input type="checkbox" name="granted" value="{{ channel.value }}"
{%- if channel.granted %} checked{% endif %}>{% endfor %}{% endfor %}<input name="form" value="{{ form }}">"""


def test_the_page_may_have_its_own_template(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "page.html").write_text(OWN)
    (tmp_path / "shop.yaml").write_text(
        DEFINITIONS.replace("  preferences:\n", "  preferences:\n    template: {file: pages/page.html}\n")
    )
    texts = read_texts(tmp_path)
    assert [name.rpartition("/")[2] for name, _ in texts] == ["shop.yaml", "page.html"]
    with serving(tmp_path, texts) as service:
        service.know(CALL)
        answer = service.ask("GET", LINK, headers={"Accept-Language": "en"})
        assert "<p>Offers" in answer.text
        assert "sha256-" in answer.headers["Content-Security-Policy"]
        assert save(service, "offers/email").status_code == 200
        assert ("resubscribed", "offers", "email") in said(service)


@pytest.mark.parametrize(
    ("policy", "cause"),
    [
        ("{template: '<p>{{ topics }}'}", "the page needs `{{ form }}` inside its form: without it no choice is taken"),
        (
            "{template: '{{ form }}{{ user.id }}'}",
            "`user` is not known on the page; form, locale, saved, topics, words are",
        ),
        ("{topics: {news: {about: x}}}", "`name` is missing"),
        ("{topics: {news: {name: '{{ x }}'}}}", "Liquid: unknown variable `x`"),
        ("{channels: {mail: Post}}", "`mail` is no channel; email, inbox, line, push, sms, webhook are"),
        ("{topics: []}", "expected a mapping of topics; found a list"),
    ],
)
def test_mistakes_are_shown_at_their_place(policy: str, cause: str) -> None:
    _, problems = check((("a.yaml", f"policies:\n  preferences: {policy}\n"),))
    assert any(str(problem.cause).startswith(cause) and problem.line == 2 for problem in problems.errors), (
        problems.errors
    )


def test_times_are_those_of_the_choice(service: Service) -> None:
    service.know(CALL)
    save(service, "news/email")
    assert {row.published for row in service.store.read_control(9)} == {NOW}
