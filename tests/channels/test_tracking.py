"""What a message looks like when its links and opens are tracked, and when they are not."""

import email
import email.policy
import re
from pathlib import Path
from typing import Any

import pytest

from transforms.campaigns.effects import Send
from transforms.campaigns.load import check, compiled
from transforms.channels.channel import secret_values, transport_of
from transforms.channels.links import ClickLink, Links, OpenLink, PreferencesLink, UnsubscribeLink
from transforms.channels.making import content_of
from transforms.channels.settings import MailSettings, missing_links
from transforms.channels.tokens import SigningKeys, read_signing_keys
from transforms.channels.tracking import tracking_of

KEYS = SigningKeys({"k": "s" * 32})
LINKED = MailSettings(links=Links("https://links.shop.example/", KEYS))
HTML = (
    "<html><body><a href='https://shop.example/a?x=1&amp;y=2' data-link='hero'>a</a> <a href='https://shop.example/b'>"
    "</a><a href='mailto:a@b.example'></a><a href='tel:1'></a><a href='#top'></a><a href='shop://cart'></a>"
    "<a href='other://x'></a><a href='{{ unsubscribe_url }}'>leave</a><a href='{{ preferences_url }}'></a>"
    "<a href='https://shop.example/c' data-tracking='off'></a></body></html>"
)
SHOP = """
policies: {{tracking: {policy}}}
campaigns:
  hello: {{owner: o, trigger: {{event: A}}, reenter: always, consent: news, tracking: {campaign},
          steps: [{{send: mail}}, {{send: plain}}, {{send: chat}}]}}
messages:
  mail: {{channel: email, subject: Hi, html: "{html}", tracking: {message}}}
  plain: {{channel: email, subject: Hi, text: "See https://shop.example/a."}}
  chat: {{channel: line, messages: [{{type: text, text: "https://shop.example/a"}},
         {{type: template, template: {{actions: [{{type: uri, uri: "https://shop.example/b"}}]}}}}]}}
"""


def made(settings: MailSettings, name: str = "mail", /, **said: str) -> Any:
    texts = {"policy": "{}", "campaign": "{}", "message": "{}", **said}
    definitions = compiled((("shop.yaml", SHOP.format(html=HTML, **texts)),))
    found = definitions.messages[name]
    send = Send("s1", "hello", "e", "step", "ann", found.channel, name, "a@b.example", 0, 1, topic="news")
    shown = transport_of(found.channel).show

    def compose(send: Send, rendered: Any) -> Any:
        return rendered if found.channel == "line" else shown(send, rendered, settings)

    more: Any = {"settings": settings, "now_us": 0, "default_locale": "en", "tracking": tracking_of(definitions)}
    return content_of(send, found, compose, **more)


def mail(settings: MailSettings = LINKED, name: str = "mail", /, **said: str) -> tuple[str, str, dict[str, str]]:
    parsed = email.message_from_bytes(made(settings, name, **said).content, policy=email.policy.SMTP)
    bodies = {kind: parsed.get_body((kind,)) for kind in ("html", "plain")}
    html, text = (each.get_content() if each is not None else "" for each in bodies.values())
    return html, text, {name: str(value).replace("\r\n", "") for name, value in parsed.items()}


def hrefs(html: str) -> list[str]:
    return re.findall(r'href="([^"]*)"', html)


def clicked(url: str) -> ClickLink:
    return KEYS.unseal("c", url.removeprefix("https://links.shop.example/c/"), ClickLink)


def test_links_lead_through_the_service_and_the_last_picture_says_that_the_mail_is_shown() -> None:
    html, text, headers = mail(policy="{opens: true, clicks: true, schemes: [shop]}")
    found = hrefs(html)
    links = [clicked(url) for url in found if "/c/" in url]
    assert [(each.link, each.target, each.of) for each in links] == [
        ("hero", "https://shop.example/a?x=1&y=2", 3),
        ("2", "https://shop.example/b", 3),
        ("3", "shop://cart", 3),
    ]
    assert links[0].send.send == "s1"
    assert links[0].send.campaign == "hello"
    assert [url for url in found if "links.shop.example" not in url] == [
        *("mailto:a@b.example", "tel:1", "#top", "other://x", "https://shop.example/c")
    ]
    [pixel] = re.findall(r'src="https://links.shop.example/o/([^"]+)"', html)
    assert KEYS.unseal("o", pixel, OpenLink).send == links[0].send
    in_text = {clicked(url).link: clicked(url) for url in re.findall(r"https://links.shop.example/c/[^\s)]+", text)}
    assert {name: each.target for name, each in in_text.items()} == {each.link: each.target for each in links}
    leave = headers["List-Unsubscribe"].removeprefix("<https://links.shop.example/u/").removesuffix(">")
    said = KEYS.unseal("u", leave, UnsubscribeLink)
    assert (said.send.user, said.topic, said.send.campaign) == (links[0].send.user, "news", "hello")
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert f"https://links.shop.example/u/{leave}" in found
    [page] = [url for url in found if "/p/" in url]
    assert KEYS.unseal("p", page.rpartition("/")[2], PreferencesLink).address == said.address


@pytest.mark.parametrize(
    ("said", "clicks", "opens"),
    [
        ({}, False, False),
        ({"policy": "{clicks: true}"}, True, False),
        ({"policy": "{clicks: true, opens: true}", "campaign": "{clicks: false}"}, False, True),
        ({"campaign": "{opens: true}", "message": "{clicks: true}"}, True, True),
        ({"campaign": "{clicks: true}", "message": "{clicks: false}"}, False, False),
    ],
)
def test_what_is_said_nearest_to_the_message_holds(said: dict[str, str], clicks: bool, opens: bool) -> None:
    html, text, _ = mail(**said)
    assert ("/c/" in html, "/c/" in text, "/o/" in html) == (clicks, clicks, opens)


def test_without_the_service_nothing_is_tracked() -> None:
    said = "{clicks: true, opens: true}"
    assert made(MailSettings(), policy=said) == made(MailSettings())


def test_parameters_go_to_links_of_the_web_and_stand_inside_what_is_signed() -> None:
    utm = "{utm: {source: shop, content: '{{ link }}'}, clicks: true, schemes: [shop]}"
    html, _, _ = mail(policy=utm)
    hero, other, app = [clicked(url).target for url in hrefs(html) if "/c/" in url]
    assert hero.endswith("x=1&y=2&utm_source=shop&utm_medium=email&utm_campaign=hello&utm_content=hero")
    assert other.endswith("/b?utm_source=shop&utm_medium=email&utm_campaign=hello&utm_content=2")
    assert app == "shop://cart"
    plain, _, _ = mail(MailSettings(), policy="{utm: {source: shop, campaign: c}}")
    assert "https://shop.example/b?utm_source=shop&utm_medium=email&utm_campaign=c" in hrefs(
        plain.replace("&amp;", "&")
    )


def test_links_of_text_and_of_line() -> None:
    _, text, _ = mail(LINKED, "plain", policy="{clicks: true}")
    [url] = re.findall(r"https://\S+", text)
    link = clicked(url.rstrip("."))
    assert (link.target, link.of) == ("https://shop.example/a", 1)
    words, buttons = made(LINKED, "chat", policy="{clicks: true}").messages
    of_words, of_button = clicked(words["text"]), clicked(buttons["template"]["actions"][0]["uri"])
    assert (of_words.target, of_button.target) == ("https://shop.example/a", "https://shop.example/b")
    assert (of_words.of, of_button.of) == (0, 0), "a part does not know how many there are, and two are not all"


@pytest.mark.parametrize(
    ("tracking", "cause"),
    [
        ("{open: true}", "unknown key `open`; allowed are clicks, opens, schemes, utm; did you mean `opens`?"),
        ("{opens: yes}", "expected true or false; found text; write true"),
        (
            "true",
            "expected a mapping with clicks, opens, schemes, utm; found true or false; "
            "write {opens: true, clicks: true}",
        ),
        ("{schemes: [javascript]}", "`javascript` is no scheme of an app, such as shop for shop://cart"),
        ("{utm: {medium: mail}}", "`source` is missing"),
        (
            "{utm: {source: '{{ user.id }}'}}",
            "`user` is not known here; campaign, channel, link, message, step, variant are",
        ),
    ],
)
def test_mistakes_are_shown_at_their_place(tracking: str, cause: str) -> None:
    _, problems = check((("a.yaml", f"policies:\n  tracking: {tracking}\n"),))
    assert [(problem.line, problem.cause) for problem in problems.errors] == [(2, cause)]


def test_what_the_environment_says_of_links(tmp_path: Path) -> None:
    both = {"TODOKE_LINKS_URL": "https://l.example/x", "TODOKE_SIGNING_KEYS": f"k={'s' * 32}"}
    assert MailSettings.from_environment(both).links is not None
    assert missing_links(both) == []
    (tmp_path / "keys").write_text(both["TODOKE_SIGNING_KEYS"])
    by_file = {**both, "TODOKE_SIGNING_KEYS": f"file:{tmp_path / 'keys'}"}
    assert MailSettings.from_environment(by_file).links is not None
    assert "s" * 32 in secret_values(by_file)
    assert missing_links({"TODOKE_LINKS_URL": "https://l.example"}) == ["TODOKE_SIGNING_KEYS"]
    with pytest.raises(ValueError, match="set TODOKE_SIGNING_KEYS"):
        MailSettings.from_environment({"TODOKE_LINKS_URL": "https://l.example"})
    for base in ("http://l.example", "l.example", "https://l.example?a", "https://u@l.example", "https://l.example/<"):
        with pytest.raises(ValueError, match="TODOKE_LINKS_URL must be"):
            MailSettings.from_environment({**both, "TODOKE_LINKS_URL": base})
    assert "s" * 32 not in repr(MailSettings.from_environment(both))
    assert read_signing_keys(both["TODOKE_SIGNING_KEYS"]) is not None
