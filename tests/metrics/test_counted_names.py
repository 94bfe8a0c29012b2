"""Series and outcomes by name: rows of metrics and reports have them for ever."""

import json
from pathlib import Path
from typing import Any

from core import DAY, START, compile_plain
from shop import SHOP

from transforms.campaigns.effects import CampaignEntered, Converted, Draw, GoalUnit, Send, Suppressed
from transforms.events.event import Event
from transforms.metrics.report import Summary, report_json
from transforms.users.effects import (
    Account,
    Effect,
    Faulted,
    Merged,
    Recorded,
    SegmentEntered,
    SegmentLeft,
    Truncated,
)
from transforms.users.tally import Tallies, Tally

GOLDEN = Path(__file__).parent.parent / "golden" / "counted_names.json"

#: One effect of each kind that is counted, made by place.
EFFECTS: list[Effect] = [
    Account("applied", "m1"),
    Account("dead_letter", "m2", "invalid_event"),
    Account("applied", "r1", "", None, True),
    SegmentEntered("buyers", "u", START, "event"),
    SegmentLeft("buyers", "u", START, "time"),
    CampaignEntered("weekly", "u", "e1", START, "a"),
    CampaignEntered("weekly", "v", "e2", START, None, True),
    CampaignEntered("cart", "u", "e3", START),
    Converted("weekly", "ordered", "u", "e1", START, True, 9.5, "a"),
    Converted("weekly", "ordered", "v", "e2", START, True, 2, None, True),
    Send("s1", "weekly", "e1", "week", "u", "push", "push_g", "t1", START, START + 1),
    Suppressed("weekly", "v", "holdout", START),
    Merged("u", "w", START),
    Truncated("u", "messages", 3, START),
    Faulted("u", "leaf", START),
    CampaignEntered(
        *("weekly", "w", "e4", START, "a"),
        draw=Draw("0a1b2c3d", "40.5"),
        goals=(("ordered", START + DAY), ("back", 2**62)),
    ),
    Converted(
        *("weekly", "ordered", "w", "e4", START + DAY, True, 2_000, "a"),
        unit=GoalUnit(START, "0a1b2c3d", 2_000_000_000),
        complete=START + DAY,
    ),
    Converted(
        *("weekly", "ordered", "w", "e4", START + DAY, False, -500, "a"),
        unit=GoalUnit(START, "0a1b2c3d", 1_500_000_000),
        before=2_000_000_000,
        complete=START + DAY,
    ),
]


def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(GOLDEN.read_bytes())
    return found


#: What a live job alone counts: what became part of users, and how soon it led to sends.
LIVE: list[Effect] = [
    *(
        Recorded("u", Event(kind, kind, name, START, START, user="u"))
        for kind, name in (
            ("track", "Order Completed"),
            ("page", "Any"),
            ("identify", ""),
            ("session", "Session Ended"),
        )
    ),
    Send("s2", "weekly", "e1", "week", "u", "push", "push_g", "t1", START, START + 1, held_since=START - 50_000_000),
]


def counted() -> list[Tally]:
    tallies = Tallies()
    tallies.effects(EFFECTS)
    return list(tallies.drain())


def test_what_effects_are_counted_as() -> None:
    assert [[metric, list(values), at, count] for (metric, values, at), count in counted()] == golden()["tallies"]


def test_the_series_in_which_tallies_are_kept() -> None:
    tallies = Tallies()
    tallies.effects(EFFECTS)
    tallies.live(LIVE, {"Order Completed"}, {}, START + 5_000_000)
    assert [row.series for row in tallies.rows(START)] == golden()["series"]


def test_what_a_report_says() -> None:
    summary = Summary.of(START, counted())
    assert report_json(summary, compile_plain(SHOP), 1.0) == golden()["report"]
