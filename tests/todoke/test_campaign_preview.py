"""`todoke preview CAMPAIGN`: what a campaign would do by the events of a file, and nothing that is sent."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Plain = dict[str, Any]

DEFINITIONS = """
segments:
  buyers: {owner: crm, members: {event: Order Completed}}
  twice: {owner: crm, members: {event: Order Completed, count: {at_least: 2}}}
messages:
  thanks: {channel: email, subject: "Thank you, {{ user.name }}", text: "Come again"}
  again: {channel: push, title: "Come again"}
campaigns:
  greet:
    owner: crm
    trigger: {event: Order Completed, where: {total: {at_least: 10}}}
    audience: {not: {event: Refunded}}
    steps: [{send: thanks}, {wait: 2d}, {send: again}]
    exit: {event: Order Returned}
    reenter: {after: 7d}
    transactional: true
  twice: {owner: crm, trigger: {enters: buyers}, steps: [{send: again}], transactional: true}
"""


def call(type_: str, day: int, user: str, **fields: Any) -> Plain:
    time = f"2026-03-{day:02}T12:00:00Z"
    return {"type": type_, "messageId": f"{user} {type_} {fields} {day}", "timestamp": time, "userId": user, **fields}


def order(day: int, user: str, event: str = "Order Completed", total: int = 10) -> Plain:
    return call("track", day, user, event=event, properties={"total": total})


def known(user: str, **traits: Any) -> Plain:
    phone = {"device": {"type": "ios", "token": f"token-{user}"}}
    return call("identify", 1, user, traits={"email": f"{user}@example.com", **traits}, context=phone)


EVENTS = [
    *(known("ann", name="Ann"), order(2, "ann"), order(6, "ann"), order(20, "ann")),
    *(known("bob"), order(9, "bob")),  # who has no name
    *(known("cat", name="Cat"), order(10, "cat"), order(11, "cat", "Order Returned")),
    *(known("dan", name="Dan"), order(4, "dan", "Refunded"), order(5, "dan")),
    order(5, "eve", total=9),
]


@pytest.fixture
def previewed(tmp_path: Path, todoke: Callable[..., Any]) -> Callable[..., Any]:
    (tmp_path / "definitions.yaml").write_text(DEFINITIONS, encoding="utf-8")
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, EVENTS)), encoding="utf-8")
    flags = ("--definitions", "definitions.yaml", "--events", "events.jsonl")
    return lambda *arguments: todoke("preview", *arguments, *flags)


def test_who_enters_what_is_sent_and_what_is_not_and_why(previewed: Callable[..., Any]) -> None:
    done = previewed("greet", "--json", "--weeks", "3")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["as_of"], found["entries"], found["users"]) == ("2026-03-20T12:00:00Z", 4, 3)
    assert found["weeks"] == [
        {"at": "2026-03-06T12:00:00Z", "entries": 1, "sends": 2},
        {"at": "2026-03-13T12:00:00Z", "entries": 2, "sends": 2},
        {"at": "2026-03-20T12:00:00Z", "entries": 1, "sends": 1},
    ]
    assert found["sends"] == [
        {"sends": 3, "step": "thanks", "message": "thanks", "channel": "email"},
        {"sends": 2, "step": "again", "message": "again", "channel": "push"},
    ]
    assert found["refusals"] == [
        {"times": 1, "step": "", "reason": "audience"},
        {"times": 1, "step": "", "reason": "reentry"},
        {"times": 1, "step": "thanks", "reason": "render_error"},
        {"times": 1, "step": "again", "reason": "exit"},
    ]


def test_the_same_as_a_run(previewed: Callable[..., Any], todoke: Callable[..., Any], tmp_path: Path) -> None:
    flags = ("--definitions", "definitions.yaml", "--events", "events.jsonl", "--store", "none")
    assert todoke("run", *flags, "--report", "report.json", "--runner=FnApiRunner").returncode == 0
    report = json.loads((tmp_path / "report.json").read_bytes())
    found = json.loads(previewed("greet", "--json").stdout)
    refused = {each["reason"]: each["times"] for each in found["refusals"]}
    assert refused.items() <= report["suppressed"].items()
    assert report["sends"]["email"] == {"handed_off": 3}


def test_without_a_service_for_links_nothing_is_tracked_and_that_is_said(
    previewed: Callable[..., Any], todoke: Callable[..., Any], tmp_path: Path
) -> None:
    tracking = "policies: {tracking: {opens: true, clicks: true}}\n"
    (tmp_path / "definitions.yaml").write_text(tracking + DEFINITIONS, encoding="utf-8")
    assert "a preview tracks no opens and clicks" in previewed("greet").stderr
    flags = ("--definitions", "definitions.yaml", "--events", "events.jsonl", "--store", "none")
    done = todoke("run", *flags, "--runner=FnApiRunner")
    assert done.returncode == 0
    assert "opens and clicks are not tracked: set TODOKE_LINKS_URL and TODOKE_SIGNING_KEYS" in done.stderr


def test_text_for_people(previewed: Callable[..., Any]) -> None:
    done = previewed("greet", "--sample", "4")
    lines = done.stdout.splitlines()
    assert lines[0] == "greet, up to 2026-03-20T12:00:00Z: 4 journeys, 3 users"
    start = lines.index("ann")
    assert lines[start : start + 6] == [
        "ann",
        "  2026-03-02T12:00:00Z  entered",
        '  2026-03-02T12:00:00Z  thanks: email thanks, "Thank you, Ann"',
        '  2026-03-04T12:00:00Z  again: push again, "Come again"',
        "  2026-03-06T12:00:00Z  not entered: no send, reentry",
        "  2026-03-20T12:00:00Z  entered",
    ]
    [refused] = [line for line in lines if line.startswith("  2026-03-09T12:00:00Z  thanks: no send, render_error")]
    assert "(subject: " in refused
    assert lines[-2:] == ["dan", "  2026-03-05T12:00:00Z  not entered: no send, audience"], "who enters comes first"


def test_an_earlier_time(previewed: Callable[..., Any]) -> None:
    found = json.loads(previewed("greet", "--as-of", "2026-03-04T11:59:59Z", "--json", "--sample", "0").stdout)
    assert (found["entries"], found["sample"]) == (1, [])
    assert [each["step"] for each in found["sends"]] == ["thanks"]


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("gret", "the definitions have no segment or campaign `gret`; did you mean `greet`?"),
        ("twice", "`twice` is a segment and a campaign: give one of them another id"),
    ],
)
def test_wrong_names(previewed: Callable[..., Any], name: str, cause: str) -> None:
    done = previewed(name)
    assert (done.returncode, done.stdout) == (2, "")
    assert cause in done.stderr
