"""The page of a system on one machine: what it shows, to whom, and that it runs nothing."""

import asyncio
import os
import time
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.status.app import PATHS, Status
from services.status.facts import FactsPlace
from services.status.parts import PartState, read_parts, write_parts
from transforms.events.queue.append import Queue
from transforms.events.queue.file import open_to_read, queue_id
from transforms.events.queue.mark import mark_path, write_mark
from transforms.storage.acknowledged import Ids
from transforms.storage.rows import MemberRow, MetricRow
from transforms.storage.series import series_of
from transforms.storage.sqlite.store import SqliteStore

MINUTE = 60_000_000
NOW = 1_770_000_000_000_000
HERE = "http://127.0.0.1:8600"


def counted(name: str, count: int, window: int = NOW - NOW % MINUTE, **labels: str) -> MetricRow:
    return MetricRow(series_of(name, labels.items()), window, count)


@pytest.fixture
def place(tmp_path: Path) -> FactsPlace:
    """A store with two members and counts, a queue of which one of three messages is acknowledged, and two parts."""
    place = FactsPlace(f"sqlite:{tmp_path / 'store.db'}", tmp_path / "events.db", tmp_path / "parts.json")
    with closing(SqliteStore(tmp_path / "store.db")) as store:
        members = [("ann", True), ("ben", True), ("cat", False), ("~visitor", True)]
        store.write_members([MemberRow("buyers", user, 0, 1, active) for user, active in members])
        store.add_metrics(
            [
                counted("accounts", 7, outcome="applied", cause=""),
                counted("accounts", 5, NOW - NOW % MINUTE - MINUTE, outcome="applied", cause=""),
                counted("accounts", 2, outcome="dead_letter", cause="no_id"),
                counted("collect_refused", 3, source="app", cause="no_id", instance="a"),
                counted("collect_refused", 1, source="app", cause="no_event", instance="b"),
                counted("engage_told", 1, provider="standard", outcome="unreadable", instance="a"),
                counted("engage_told", 6, provider="standard", outcome="receipt", instance="a"),
                counted("accounts", 9, NOW - 2 * 86_400_000_000, outcome="applied", cause=""),
                counted("sends", 3, channel="push", state="handed_off", campaign="<script>"),
                counted("suppressed", 4, reason="no_consent", campaign="c"),
            ]
        )
    with Queue(place.queue, clock=lambda: NOW - 2_000_000) as queue:
        queue.append([b"1", b"2", b"3"])
        with closing(open_to_read(place.queue)) as connection:
            write_mark(place.queue, queue_id(connection, place.queue), Ids([(1, 1)]))
    os.utime(mark_path(place.queue), (NOW / 1e6, NOW / 1e6))
    write_parts(place.parts, [PartState(name, running=True, since=NOW / 1e6 - 60) for name in ("front", "job")])
    return place


def ask(place: FactsPlace, path: str, url: str = HERE, *, client: str = "127.0.0.1", **headers: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        status = Status(place, lambda: ("buyers", "<b>odd</b>"), lambda: NOW)
        transport = httpx.ASGITransport(status.app, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url=url) as asking:
            return await asking.get(path, headers=headers)

    return asyncio.run(asked())


def test_what_is_shown_is_what_store_queue_and_supervisor_say(place: FactsPlace) -> None:
    found: dict[str, Any] = ask(place, "/status.json").json()
    assert found["segments"] == {"buyers": 2, "<b>odd</b>": 0}
    assert found["queue"] == {"waiting": 2, "since": NOW - 2_000_000 + 1}
    assert list(found["minutes"].values())[:3] == [7, 5, 0]
    assert found["accounts"] == {"applied": 12, "dead_letter": 2}
    assert found["refused"] == {"no_id": 5, "no_event": 1, "invalid": 1}  # by the job, and by services
    assert found["sends"] == {"push": {"handed_off": 3}}
    assert found["suppressed"] == {"no_consent": 4}
    assert (found["fault"], [part["name"] for part in found["parts"]]) == ("", ["front", "job"])


class Tags(HTMLParser):
    """The tags of a page, and what they would load or run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loads: set[str | None] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loads |= {value for name, value in attrs if name in ("src", "href")}
        assert not [name for name, _ in attrs if name.startswith("on") or name == "style"]


def test_the_page_runs_nothing_and_loads_its_style_alone(place: FactsPlace) -> None:
    answer = ask(place, "/")
    page = Tags(answer.text)
    assert "script" not in page.tags
    assert page.loads == {"/status.css"}
    assert "&lt;b&gt;odd&lt;/b&gt;" in answer.text
    assert "2 waiting, the oldest for 2.0 s" in answer.text
    assert "default-src 'none'; style-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert ask(place, "/status.css").headers["Content-Type"].startswith("text/css")


@pytest.mark.parametrize(
    ("url", "client", "headers"),
    [
        (HERE, "192.0.2.7", {}),
        ("http://evil.example:8600", "127.0.0.1", {}),  # a name that was made to lead here
        ("http://localhost.evil.example:8600", "127.0.0.1", {}),
        ("http://192.0.2.1:8600", "127.0.0.1", {}),
        (HERE, "127.0.0.1", {"X-Forwarded-For": "192.0.2.7"}),
        (HERE, "127.0.0.1", {"Forwarded": "for=192.0.2.7"}),
        (HERE, "127.0.0.1", {"Via": "1.1 proxy"}),
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_nobody_else_sees_it_nor_pages_that_lead_a_browser_here(
    place: FactsPlace, path: str, url: str, client: str, headers: dict[str, str]
) -> None:
    answer = ask(place, path, url, client=client, **headers)
    assert (answer.status_code, answer.json()["code"], "buyers" in answer.text) == (404, "not_here", False)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("url", ["http://localhost:8600", "http://[::1]:8600", HERE])
def test_programs_of_this_machine_see_it(place: FactsPlace, path: str, url: str) -> None:
    assert ask(place, path, url, client="::1").status_code == 200


def test_a_store_that_cannot_be_read_is_a_problem(place: FactsPlace) -> None:
    Path(place.store.removeprefix("sqlite:")).write_bytes(b"no store" * 1_000)
    for path in ("/", "/status.json"):
        answer = ask(place, path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
        assert "cannot be read now" in answer.json()["detail"]


def test_a_fault_is_said(place: FactsPlace) -> None:
    def fault() -> str:
        return str(ask(place, "/status.json").json()["fault"])

    os.utime(mark_path(place.queue), (NOW / 1e6 - 60, NOW / 1e6 - 60))
    assert fault() == "the job has read nothing for 60 s"
    now = PartState("job", running=True, since=NOW / 1e6 - 1)
    write_parts(place.parts, [now])
    os.utime(mark_path(place.queue), (NOW / 1e6 - 2, NOW / 1e6 - 2))  # by the job before it
    assert fault() == "the job has not started"
    os.utime(mark_path(place.queue), (NOW / 1e6, NOW / 1e6))
    assert fault() == ""
    mark_path(place.queue).unlink()
    assert fault() == "the job has not started"
    write_parts(place.parts, [PartState("front", running=True), PartState("job", last="ended with 1", restarts=2)])
    assert fault() == "job ended with 1"
    assert "job ended with 1" in ask(place, "/").text


def test_before_there_is_anything_it_says_so(tmp_path: Path) -> None:
    place = FactsPlace(f"sqlite:{tmp_path / 'store.db'}", tmp_path / "events.db", tmp_path / "parts.json")
    answer = ask(place, "/")
    assert (answer.status_code, "the job has not started" in answer.text) == (200, True)
    assert read_parts(place.parts) == []


def test_many_who_look_at_once_read_once(place: FactsPlace) -> None:
    async def looked() -> set[float]:
        status = Status(place, lambda: ("buyers",), lambda: time.time_ns() // 1000)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(status.app), base_url=HERE) as asking:
            answers = await asyncio.gather(*(asking.get("/status.json") for _ in range(20)))
            return {answer.json()["at"] for answer in answers}

    assert len(asyncio.run(looked())) == 1
