"""What proxies and scanners do to messages: kept, told apart, and not taken for a person."""

import json
from typing import Any

import pytest
from core import MINUTE, START

from transforms.campaigns.load import compiled
from transforms.events.event import Event
from transforms.events.times import write_time
from transforms.users.advance import fold
from transforms.users.control import Receipt, decode_control, encode_receipt
from transforms.users.effects import Effect, Recorded
from transforms.users.tally import Tallies
from transforms.users.user import User

TEXT = """
segments:
  people: {owner: o, members: {event: Email Clicked}}
  machines: {owner: o, members: {event: Email Clicked, where: {machine: {is: true}}}}
  both: {owner: o, members: {event: Email Clicked, where: {machine: {in: [true]}}}}
  hero: {owner: o, members: {event: Email Clicked, where: {link: {is: hero}}}}
  after: {owner: o, members: {sequence: [{event: Signed Up}, {event: Email Clicked}]}}
  other: {owner: o, members: {event: App Clicked}}
campaigns:
  thanks:
    owner: o
    trigger: {event: Email Clicked}
    consent: news
    reenter: always
    exit: {event: Email Opened}
    steps: [{wait: 1d}, {send: thanks}]
messages:
  thanks: {channel: push, title: Thanks}
"""
DEFINITIONS = compiled((("shop.yaml", TEXT),))


def clicked(**more: Any) -> bytes:
    receipt = {"type": "receipt", "userId": "ann", "kind": "clicked", "channel": "email", "send": "s", "link": "hero"}
    return json.dumps({**receipt, "time": write_time(START + MINUTE), **more}).encode()


def after(*payloads: bytes) -> tuple[User, list[Effect]]:
    known = Event("m", "track", "Signed Up", START, START, user="ann")
    inputs = [each for payload in payloads for each in decode_control(payload, START + 2 * MINUTE)[1]]
    user, effects = fold(User("ann"), [known, *inputs], DEFINITIONS)
    return user, list(effects)


def members(user: User) -> set[str]:
    return set(user.members)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, {"people", "hero", "after"}),
        ({"machine": False}, {"people", "hero", "after"}),
        ({"machine": True}, {"machines", "both"}),
    ],
)
def test_a_condition_that_does_not_say_asks_for_people(said: dict[str, Any], expected: set[str]) -> None:
    user, effects = after(clicked(**said))
    assert members(user) == expected
    assert bool(user.journeys) == ("people" in expected)
    [receipt] = [each.event for each in effects if isinstance(each, Recorded) and each.event.type == "receipt"]
    assert receipt.properties.get("machine", False) == said.get("machine", False)


def test_responses_are_counted_by_who_caused_them_and_unknown_campaigns_are_one() -> None:
    payloads = [
        clicked(campaign="thanks"),
        clicked(campaign="thanks", machine=True, id="a"),
        clicked(campaign="x1", kind="opened"),
        clicked(campaign="x2", kind="opened", id="b"),
        clicked(kind="unsubscribed"),
    ]
    _, effects = after(*payloads)
    tallies = Tallies(MINUTE)
    tallies.live(effects, DEFINITIONS.events, DEFINITIONS.campaigns, START)
    assert {row.series: row.count for row in tallies.rows(START) if row.series.startswith("responses")} == {
        'responses{by="machine",campaign="thanks",channel="email",kind="clicked"}': 1,
        'responses{by="person",channel="email",kind="unsubscribed"}': 1,
        'responses{by="person",campaign="other",channel="email",kind="opened"}': 2,
        'responses{by="person",campaign="thanks",channel="email",kind="clicked"}': 1,
    }


def test_a_receipt_that_says_nothing_of_machines_is_written_as_before() -> None:
    written = json.loads(encode_receipt(Receipt("ann", "accepted", "email", "2026-03-10T12:00:00Z")))
    assert not written.keys() & {"machine", "link"}
