"""`todoke slo review` and `todoke slo postmortem`: what owners read, from a store with an incident."""

import json
import shutil
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from browser import show_in_browser
from commands import Todoke

from transforms.events.times import read_time
from transforms.segments.values import DAY, HOUR, MINUTE
from transforms.storage.open import open_store
from transforms.storage.rows import DeadLetterRow, LeaseRow, LedgerRow
from transforms.users.tally import Tallies

MONDAY = read_time("2026-03-23T00:00:00Z")
INCIDENT = MONDAY + 2 * DAY + 9 * HOUR
DEFINITIONS = """\
policies: {owners: {growth: {name: Growth team, contact: growth@example.com}}}
slos:
  sent: {owner: growth, indicator: {success: {channel: push}}, objective: 99, window: 7d, status: live}
  audited: {owner: growth, indicator: correctness, objective: 99, window: 28d}
"""
FLAGS = ("--store", "sqlite:users.db", "--definitions", "levels.yaml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A week of a thousand sends a day, and an hour in which 150 failed."""
    (tmp_path / "levels.yaml").write_text(DEFINITIONS)
    tallies = Tallies(MINUTE)

    def sent(state: str, at: int, by: int, reason: str = "") -> None:
        tallies.count("sends", "greet", "push", reason, state, "hello", "", at=at, by=by)

    for day in range(-3, 7):
        sent("handed_off", MONDAY + day * DAY + 10 * HOUR, 1000)
    for minute in range(30):
        sent("failed", INCIDENT + minute * MINUTE, 5, "unavailable")
    with closing(open_store(f"sqlite:{tmp_path / 'users.db'}")) as store:
        store.add_metrics(tallies.rows(INCIDENT))
        rows = [
            LedgerRow(f"user{number}", f"send{number}", "failed", "greet", "hello", "push", INCIDENT, INCIDENT + MINUTE)
            for number in range(3)
        ]
        store.record([*rows, LedgerRow("ada", "other", "failed", "greet", "hello", "push", MONDAY, MONDAY)])
        letters = [DeadLetterRow(INCIDENT, "x", INCIDENT, "", "shop", "no_type", "", b"{}", 2)]
        store.write_dead_letters(letters)
        store.swap_lease(None, LeaseRow("a live job", "host1", 1, "", "t", INCIDENT - HOUR, INCIDENT + 9 * DAY))
    return tmp_path


def cells(markdown: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines() if line[:1] == "|"]


def test_a_week_as_an_owner_reads_it(folder: Path, todoke: Todoke) -> None:
    done = todoke("slo", "review", *FLAGS, "--week", "2026-W13")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# Service levels, week 2026-W13\n")
    rows = cells(done.stdout)
    state = "exhausted (before: healthy)"
    assert ["sent", "Growth team", "99 % in 7d", state, "-109.8%", "2.10", "150 of 7,150"] in rows
    assert ["audited", "Growth team", "99 % in 28d, on trial", "no data", "", "", "0 of 0"] in rows
    assert ["sent", "2026-03-25T09:00:00Z", "150 of 150"] in rows
    assert "- Growth team (growth@example.com), for sent: acts: exhausted since 2026-03-25T09:" in done.stdout
    assert "- 2026-03-25T08:00:00Z: a live job began on host1" in done.stdout
    assert "their version control says what changed" in done.stdout


def test_open_actions_of_the_last_review_are_taken_over(folder: Path, todoke: Todoke) -> None:
    (folder / "last.md").write_text("## Actions\n\n- [x] done\n- [ ] ask the provider, Ada, 1 April\n- [ ] \n")
    done = todoke("slo", "review", *FLAGS, "--week", "2026-W13", "--last", "last.md")
    assert "- [ ] ask the provider, Ada, 1 April\n" in done.stdout
    assert "done" not in done.stdout


def test_a_line_that_nobody_filled_in_is_no_open_action(folder: Path, todoke: Todoke) -> None:
    done = todoke("slo", "review", *FLAGS, "--week", "2026-W13")
    (folder / "last.md").write_text(done.stdout)
    again = todoke("slo", "review", *FLAGS, "--week", "2026-W13", "--last", "last.md")
    assert again.stdout == done.stdout


def test_publications_of_the_week_say_what_they_changed(folder: Path, todoke: Todoke) -> None:
    """By the revisions that the pointer keeps: those whose conditions were others."""
    assert todoke("publish", "levels.yaml", "--to", "levels.json").returncode == 0
    changed = DEFINITIONS.replace("objective: 99, window: 7d", "objective: 98, window: 7d")
    (folder / "levels.yaml").write_text(f"{changed}segments: {{s: {{owner: us, members: {{event: A}}}}}}\n")
    assert todoke("publish", "levels.yaml", "--to", "levels.json").returncode == 0
    this_week = datetime.now(UTC).strftime("%G-W%V")
    flags = ("--store", "sqlite:users.db", "--definitions", "levels.json", "--week", this_week)
    done = todoke("slo", "review", *flags)
    assert done.returncode == 0, done.stderr
    assert "was published: segment s added, service level sent changed\n" in done.stdout


def test_a_page_and_values(folder: Path, todoke: Todoke) -> None:
    done = todoke("slo", "review", *FLAGS, "--week", "2026-W13", "--html", "review.html")
    assert done.returncode == 0, done.stderr
    page = (folder / "review.html").read_text()
    assert ">150 of 7,150</td>" in page
    assert "http://" not in page
    assert "https://" not in page
    done = todoke("slo", "review", *FLAGS, "--week", "2026-W13", "--json")
    shown = {each["slo"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert (shown["sent"]["state"], shown["sent"]["before"], shown["sent"]["week_bad"]) == ("exhausted", "healthy", 150)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no Chromium")
def test_a_browser_shows_the_review_on_a_telephone(folder: Path, todoke: Todoke) -> None:
    assert todoke("slo", "review", *FLAGS, "--week", "2026-W13", "--html", "review.html").returncode == 0
    shown = show_in_browser(folder / "review.html", folder)
    assert "150 of 7,150" in shown.text
    assert (shown.scrolls, shown.cut, shown.complaints) == (shown.width, 0, [])


@pytest.mark.parametrize("week", ["2026-13", "2026-W60", "last", "9999-W52", "0000-W01"])
def test_what_is_no_week(folder: Path, todoke: Todoke, week: str) -> None:
    done = todoke("slo", "review", *FLAGS, "--week", week)
    assert (done.returncode, "expected a week such as 2026-W14" in done.stderr) == (2, True)


def test_the_postmortem_of_the_incident(folder: Path, todoke: Todoke) -> None:
    times = ("--from", "2026-03-25T08:30:00Z", "--to", "2026-03-25T09:45:00Z")
    done = todoke("slo", "postmortem", *FLAGS, *times)
    assert done.returncode == 0, done.stderr
    rows = cells(done.stdout)
    assert ["sent", "Growth team (growth@example.com)", "150 of 150", "291.3%", "-191.3%", "exhausted"] in rows
    assert ["2026-03-25T09:00:00Z", "sent: bad events until 2026-03-25T09:30:00Z, 150 of 150"] in rows
    assert ["2026-03-25T09:00:00Z", "first of 150 sends by push of greet / hello: failed, unavailable"] in rows
    alert = "sent: Growth team is alerted by the page of 1 h, until 2026-03-25T09:34:00Z"
    assert ["2026-03-25T09:19:00Z", alert] in rows, "from the hundredth event on, until five minutes are clean"
    assert not any("the ticket" in row[-1] for row in rows), "seven days have none"
    assert "3 sends to 3 users did not go out, or nobody knows." in done.stdout
    assert ["greet", "hello", "push", "failed", "", "3"] in rows
    assert ["no_type", "1"] in rows
    assert "- 2026-03-25T08:00:00Z: a live job began on host1" in done.stdout
    assert "## Root causes\n" in done.stdout
    assert "- [ ] what, who, until when" in done.stdout


def test_an_incident_has_an_end(folder: Path, todoke: Todoke) -> None:
    times = ("--from", "2026-03-25T09:30:00Z", "--to", "2026-03-25T08:30:00Z")
    assert todoke("slo", "postmortem", *FLAGS, *times).returncode == 2


def test_minutes_that_begin_before_the_time_are_of_it(folder: Path, todoke: Todoke) -> None:
    times = ("--from", "2026-03-25T10:00:30.5+01:00", "--to", "2026-03-25T10:01:01+01:00")
    done = todoke("slo", "postmortem", *FLAGS, *times)
    assert "From 2026-03-25T09:00:00Z to 2026-03-25T09:02:00Z, " in done.stdout
    assert ["2026-03-25T09:00:00Z", "sent: bad events until 2026-03-25T09:02:00Z, 10 of 10"] in cells(done.stdout)


@pytest.mark.parametrize(
    ("start", "end", "cause"),
    [
        ("2026-03-25T09:00:00Z", "2026-03-25T09:00:00Z", "--to: expected a time after --from, at most 7 days later"),
        ("2026-03-01T09:00:00Z", "2026-03-25T09:00:00Z", "--to: expected a time after --from, at most 7 days later"),
        ("2026-03-25T09:00:00", "2026-03-25T09:00:00Z", "--from: expected a time with a zone"),
        ("yesterday", "2026-03-25T09:00:00Z", "--from: expected a time with a zone"),
    ],
)
def test_what_is_no_time_of_an_incident(folder: Path, todoke: Todoke, start: str, end: str, cause: str) -> None:
    done = todoke("slo", "postmortem", *FLAGS, "--from", start, "--to", end)
    assert (done.returncode, done.stdout, cause in done.stderr) == (2, "", True), done.stderr


def test_who_was_written_to_later_than_promised(folder: Path, todoke: Todoke) -> None:
    """A provider that was away for some minutes fails nothing: all goes out, late."""
    promise = "indicator: {latency: {from: arrival, channel: push, campaign: greet, below: 60s}}"
    other = promise.replace("push", "email")
    levels = (
        f"  prompt: {{owner: growth, {promise}, objective: 99}}\n  mail: {{owner: growth, {other}, objective: 99}}\n"
    )
    campaign = "{owner: us, trigger: {event: A}, reenter: always, consent: news, steps: [{send: [p, m]}]}"
    messages = "messages: {p: {channel: push, title: A}, m: {channel: email, subject: A, text: A}}\n"
    (folder / "levels.yaml").write_text(f"{DEFINITIONS}{levels}campaigns: {{greet: {campaign}}}\n{messages}")
    with closing(open_store(f"sqlite:{folder / 'users.db'}")) as store:
        ended = [(name, "handed_off", INCIDENT + number * MINUTE) for number, name in enumerate(("ada", "bob", "cy"))]
        place = ("greet", "hello", "push", INCIDENT)
        store.record([LedgerRow(user, f"late{user}", state, *place, at + 1) for user, state, at in ended])
        later = LedgerRow("dee", "later", "handed_off", *place[:3], INCIDENT + 8 * DAY, INCIDENT + 9 * DAY)
        mail = LedgerRow("eve", "mail", "handed_off", "greet", "hello", "email", INCIDENT, INCIDENT + MINUTE)
        store.record([later, mail])
    times = ("--from", "2026-03-25T08:30:00Z", "--to", "2026-03-25T09:45:00Z")
    done = todoke("slo", "postmortem", *FLAGS, *times)
    assert "2 sends to 2 users went out later than promised." in done.stdout, done.stdout + done.stderr
    assert ["greet", "hello", "push", "60 s (prompt)", "2", "2 min"] in cells(done.stdout)
    assert ["prompt (trial)", "Growth team (growth@example.com)", "0 of 0", "", "", "no data"] in cells(done.stdout)


def test_the_week_that_is_not_over_ends_now(folder: Path, todoke: Todoke) -> None:
    """Minutes that are still to come are not bad, though a job is expected to run in them."""
    fresh = "  fresh: {owner: growth, indicator: {freshness: {job: true, below: 60s}}, objective: 99}\n"
    (folder / "levels.yaml").write_text(DEFINITIONS + fresh)
    clock = time.time_ns() // 1000
    with closing(open_store(f"sqlite:{folder / 'users.db'}")) as store:
        tallies = Tallies(MINUTE)
        for ago in range(3):
            tallies.count("behind", "1", at=clock - ago * MINUTE, by=60)
        store.add_metrics(tallies.rows(clock))
    flags = (*FLAGS, "--week", datetime.now(UTC).strftime("%G-W%V"))
    done = todoke("slo", "review", *flags)
    assert "States are those at its end. The week is not over." in done.stdout
    [row] = [row for row in cells(done.stdout) if row[0] == "fresh"]
    assert row[-1] in ("0 of 3", "0 of 4", "1 of 4"), row  # a minute may end meanwhile
    begun = datetime.fromtimestamp(clock / 1e6 - 120, UTC).strftime("%Y-%m-%dT%H:%M:00Z")
    tomorrow = datetime.fromtimestamp(clock / 1e6 + 86_400, UTC).isoformat()
    done = todoke("slo", "postmortem", *FLAGS, "--from", begun, "--to", tomorrow)
    [row] = [row for row in cells(done.stdout) if row[0] == "fresh (trial)"]
    assert row[2] in ("0 of 3", "0 of 4", "1 of 4"), row
