"""`todoke report`: over a run of files from events to a verdict, as text, JSON and a page."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import show_in_browser
from commands import Todoke

SHOP = """
segments:
  buyers: {owner: growth, members: {event: Order Completed}}
campaigns:
  thanks:
    name: "<b>Thanks</b> & more"
    owner: growth
    trigger: {event: Order Completed}
    reenter: always
    ends: 2026-03-20T00:00:00Z
    holdout: 40
    steps: [{id: hello, send: hello_push}]
    goals: {again: {event: Ordered Again, within: 3d, value: revenue}}
    consent: news
messages:
  hello_push: {channel: push, title: Hello}
policies: {settling: 0s}
"""


def event(user: int, name: str, day: int, hour: int, **properties: object) -> str:
    at = f"2026-03-{day:02}T{hour:02}:00:00Z"
    said = {"type": "track", "event": name, "userId": f"u{user}", "messageId": f"{name}{user}{at}", "timestamp": at}
    context = {"device": {"token": f"t{user}", "type": "ios"}}
    return json.dumps(said | {"properties": properties, "context": context})


@pytest.fixture
def shop(tmp_path: Path, todoke: Todoke) -> Path:
    """200 users buy and are thanked, or held out; every other one orders again, for 10 and for 5."""
    (tmp_path / "shop.yaml").write_text(SHOP)
    lines = []
    for user in range(200):
        lines += [event(user, "Order Completed", 1 + user % 5, 9), event(user, "Order Completed", 1 + user % 5, 10)]
        if user % 2:
            lines += [event(user, "Ordered Again", 2 + user % 5, 9 + n, revenue=10 - 5 * n) for n in range(2)]
    (tmp_path / "events.jsonl").write_text("\n".join(lines))
    flags = ("--definitions", "shop.yaml", "--events", "events.jsonl", "--store", "sqlite:s.db", "--outbox", "out")
    done = todoke("run", *flags, "--as-of", "2026-03-31T00:00:00Z")
    assert done.returncode == 0, done.stderr
    return tmp_path


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        if tag != "meta":  # which has no end
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_run_over_files_is_reported_to_people_programs_and_as_a_page(shop: Path, todoke: Todoke) -> None:
    shown = todoke("report", "--store", "sqlite:s.db")
    assert shown.returncode == 0, shown.stderr
    said = " ".join(shown.stdout.split())
    assert "thanks as of 2026-03-31T00:00:00Z" in said
    assert "again, reached by: treated 5" in said
    assert "treated against holdout: no difference seen so far" in said
    assert "again, value a user" in said
    assert "not enough data: in one of the arms fewer than 100 users reached it" in said

    asked = ("--store", "sqlite:s.db", "--definitions", "shop.yaml", "--json", "--html", "page.html")
    done = todoke("report", "thanks", *asked)
    found = json.loads(done.stdout)
    assert sum(found["entries"].values()) == 400
    assert sum(found["units"].values()) == sum(each["units"] for each in found["cohorts"]) == 200
    assert sum(each["reached"] for each in found["cohorts"]) == 100
    assert sum(each["total"] for each in found["cohorts"]) == 1500
    (hello,) = found["steps"]
    assert (hello["step"], hello["channel"], hello["sends"]["handed_off"]) == ("hello", "push", found["entries"][""])
    assert found["ended"] is True
    rate = found["effects"][0]
    assert rate["effects"][0]["once"]["p"] <= rate["effects"][0]["found"]["p"]
    assert found["balance"]["mismatch"] is False

    text = (shop / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert page.links == ["#thanks"]  # nothing is loaded
    assert "&lt;b&gt;Thanks&lt;/b&gt; &amp; more" in text
    assert "At the declared end, looked at once" in text
    assert re.search(r"by day of entry, between ±\d+\.\d\d pp<", text)  # the axis has a scale
    assert page.tags.count("svg") >= 1


def test_users_whose_time_is_not_over_are_said_with_the_day_on_which_it_is(shop: Path, todoke: Todoke) -> None:
    """Goals within three days, and a day for what comes late: who entered on the first is complete on the sixth."""
    early = " ".join(todoke("report", "--store", "sqlite:s.db", "--as-of", "2026-03-05T12:00:00Z").stdout.split())
    assert "again, reached by: 200 are not complete yet, the first on 2026-03-06" in early
    later = " ".join(todoke("report", "--store", "sqlite:s.db", "--as-of", "2026-03-07T12:00:00Z").stdout.split())
    assert "; 120 more are not complete yet, the first on 2026-03-08" in later


def test_a_campaign_of_which_nothing_was_counted_is_said(shop: Path, todoke: Todoke) -> None:
    done = todoke("report", "thank", "--store", "sqlite:s.db")
    assert done.returncode == 0
    assert "nothing was counted of a campaign thank; did you mean `thanks`?" in done.stderr
    refused = todoke("report", "--store", "sqlite:s.db", "--html", ".")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--html: . is a folder" in refused.stderr


def test_all_campaigns_together_are_asked_of_the_archive(shop: Path, todoke: Todoke) -> None:
    whole = "policies: {global_holdout: {percent: 50, salt: x, goals: {ordered: {event: Ordered Again}}}, settling: 0s}"
    (shop / "whole.yaml").write_text(SHOP.replace("policies: {settling: 0s}", whole))
    asked = ("report", "--store", "sqlite:s.db", "--programme", "2026-03-03T00:00:00Z")
    done = todoke(*asked, "--definitions", "whole.yaml", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["campaign"] == "*"
    assert sum(found["units"].values()) == 80  # those who ordered on the first two days
    assert "users known before the period: " in todoke(*asked, "--definitions", "whole.yaml").stdout
    refused = todoke(*asked, "--definitions", "shop.yaml")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--programme: name --definitions whose policies have a global_holdout with goals" in refused.stderr


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no Chromium")
def test_a_browser_shows_the_page_on_a_telephone(shop: Path, todoke: Todoke) -> None:
    assert todoke("report", "--store", "sqlite:s.db", "--html", "page.html").returncode == 0
    shown = show_in_browser(shop / "page.html", shop)
    assert "treated against holdout" in shown.text
    assert (shown.scrolls, shown.cut, shown.complaints) == (shown.width, 0, [])  # wide tables scroll by themselves
