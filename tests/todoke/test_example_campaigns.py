"""The examples' campaigns over random customers: each has entries, every message goes out and can be made."""

import random
from collections import Counter
from typing import Any

import pytest
from core import DAY, HOUR, START, decode_all, of_type, run_bounded
from generators import iso
from test_examples import DAYS, EXAMPLES, WORLDS, history_of

from transforms.campaigns.effects import CampaignEntered, Converted, Send
from transforms.campaigns.load import Definitions, load
from transforms.channels.scope import make_message
from transforms.channels.settings import MailSettings
from transforms.events.decode import decode
from transforms.messages.render import RenderError
from transforms.users.user import Announcement, Input, by_arrival

Plain = dict[str, Any]

#: What else happens to customers: (name, properties, the day; None for any).
MORE: dict[str, list[tuple[str, Plain, int | None]]] = {
    "game": [
        ("Energy Spent", {"energy_left": 3}, None),
        ("Event Joined", {"event_kind": "weekend"}, 15),
        ("Purchase Completed", {"usd": 5}, None),
    ],
    "news": [
        ("Payment Failed", {"attempt": 1, "invoice_id": "i1"}, None),
        ("Payment Failed", {"attempt": 2, "invoice_id": "i2"}, None),
        ("Payment Succeeded", {"invoice_id": "i2"}, None),
        ("Article Read", {"utm_campaign": "weekly_digest"}, None),
        ("Subscription Started", {"plan": "standard", "price": 12}, None),
        ("Subscription Started", {"plan": "standard", "price": 12}, 75),
    ],
    "shop": [
        ("Order Shipped", {"carrier": "yamato", "order_id": 1, "eta": "29 日"}, None),
        ("Order Shipped", {"carrier": "yamato", "order_id": 2, "eta": "30 日"}, None),
        ("Order Completed", {"coupon": "BDAY10", "revenue": 500}, None),
        ("Order Completed", {"revenue": 700}, 97),
    ],
}
TRAITS = {
    "game": {"guild": "Owls", "player_name": "Ada"},
    "news": {"newsletter": True},
    "shop": {"country": "JP", "first_name": "Ada"},
}
ZONES = ["Asia/Tokyo", "Europe/Berlin", "America/New_York", None]
TOPICS = ("marketing", "game_news", "offers", "newsletter", "breaking_news")


def reached(name: str, chance: random.Random) -> list[Plain]:
    """The world of an example, whose customers can be reached somehow and do some things more."""
    calls = history_of(WORLDS[name], chance)
    for customer in range(300):
        first = {"userId": f"u{customer}", "timestamp": iso(START), "arrival": iso(START)}
        traits = {**TRAITS[name], "timezone": chance.choice(ZONES)}
        ways = [{}, {"email": f"u{customer}@example.org"}, {"line_id": f"U{customer}"}]
        for way in ways[1:]:
            traits |= way if chance.random() < 0.7 else {}
        context = {"device": {"token": f"t{customer}", "type": "ios"}} if chance.random() < 0.6 else {}
        calls.append(
            {"type": "identify", "messageId": f"first{customer}", "traits": traits, "context": context, **first}
        )
        for topic in TOPICS:
            for channel in ("email", "push", "line"):
                said = {"topic": topic, "channel": channel, "granted": chance.random() < 0.9}
                named = {"event": "Consent Changed", "messageId": f"{topic} {channel} {customer}"}
                calls.append({"type": "track", **named, "properties": said, **first})
        for number, (event, properties, day) in enumerate(MORE[name]):
            hours = chance.randrange(DAYS * 24) if day is None else 24 * day
            at = iso(START + hours * HOUR)
            clocks = {"timestamp": at, "arrival": at, "messageId": f"more{number} {customer}"}
            calls.append(
                {"type": "track", "event": event, "userId": f"u{customer}", "properties": properties, **clocks}
            )
    return calls


def announcements(name: str) -> list[Input]:
    """Breaking news, on some days."""
    found: list[Input] = []
    for day in range(5, 55, 10) if name == "news" else ():
        said = f'"headline":"Big {day}","summary":"S","article_id":"a{day}","breaking":true'
        at = iso(START + day * DAY)
        call = f'"type":"track","event":"Article Published","messageId":"news{day}","timestamp":"{at}"'
        event, _ = decode(f'{{{call},"properties":{{{said}}}}}'.encode(), nobody=True)
        found.append(Announcement(event))
    return found


def texts(sends: list[Send], definitions: Definitions) -> Counter[str]:
    """How many of each message could be made."""
    made: Counter[str] = Counter()
    for send in sends:
        message, locale = definitions.messages[send.message], definitions.policies.default_locale
        try:
            make_message(send, message, MailSettings(), send.decided_at, locale)
        except RenderError:
            made["not made"] += 1
        else:
            made[send.message] += 1
    return made


@pytest.mark.parametrize("name", WORLDS)
def test_the_campaigns_of_an_example_are_run(name: str) -> None:
    definitions = load(EXAMPLES / f"{name}.yaml")
    events = decode_all(reached(name, random.Random(11)))
    news = announcements(name)
    _, effects = run_bounded(
        events, definitions, START + 110 * DAY, lambda inputs: sorted([*inputs, *news], key=by_arrival)
    )
    entered = of_type(CampaignEntered, effects)
    assert {entry.campaign for entry in entered} == set(definitions.campaigns)
    sends = of_type(Send, effects)
    assert len({send.id for send in sends}) == len(sends)
    made = texts(sends, definitions)
    assert made.pop("not made", 0) < len(sends) / 20
    assert set(made) == set(definitions.messages)
    for campaign in definitions.campaigns.values():
        arms = {(entry.variant, entry.held_out) for entry in entered if entry.campaign == campaign.id}
        assert {variant for variant, _ in arms} == (set(campaign.variants) or {None})
        assert (True in {control for _, control in arms}) is bool(campaign.holdout)
    goals = {(each.campaign, each.goal) for each in of_type(Converted, effects)}
    assert goals == {(each.id, goal) for each in definitions.campaigns.values() for goal in each.goals}
