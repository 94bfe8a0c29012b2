"""The examples' segments over random customers: rows, columns and the naive oracle agree, and each has members."""

import random
from pathlib import Path
from typing import Any

import pytest
from columns import columnar
from core import DAY, HOUR, START, decode_all, known, run_bounded
from generators import iso
from oracle import memberships

from transforms.campaigns.load import load
from transforms.segments.document import Problems, read_documents

Plain = dict[str, Any]

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
#: Sixty days of each customer, of whom half come without their user id now and then.
DAYS, CUSTOMERS, CALLS = 60, 300, 40

#: What happens in each example: the calls with what their properties may be, and the traits and contexts.
WORLDS: dict[str, dict[str, Any]] = {
    "game": {
        "Application Installed": {},
        "Tutorial Started": {},
        "Tutorial Completed": {},
        "Session Started": {},
        "Level Failed": {"level": [9, 10, 11], "mode": ["story", "hard", "easy"]},
        "Level Completed": {"level": [9, 10]},
        "Purchase Completed": {"usd": [1, 19.99, 50, 60]},
        "traits": {"gems": [0, 49, 50], "country": ["NO", "DE"], "player_level": [4, 5, 60]},
        "context": {"os": [{"name": "ios"}, {"name": "android"}], "app": [{"version": "2.9.1"}, {"version": "2.10"}]},
    },
    "news": {
        "Article Read": {"article_id": [f"a{number}" for number in range(30)], "seconds": [5, 10, 90]},
        "screen Paywall": {},
        "Subscription Cancelled": {},
        "Subscription Started": {},
        "traits": {
            "plan": ["trial", "standard", "free"],
            "trial_ends_at": [iso(START + day * DAY) for day in (40, 60, 62)],
            "age": [20, 29, 30],
            "articles_shared": [2, 3],
            "cancelled_at": ["2026-01-01T00:00:00Z", "2027-06-01T00:00:00Z"],
            "cancel_reason": ["price", "refund asked"],
            "topics": [["politics", "sport"], ["sport"]],
            "email": ["ann@example.com", "ann@news.example"],
        },
        "context": {"locale": ["ja-JP", "en-US"]},
    },
    "shop": {
        "Order Completed": {
            "revenue": [900, 40_000, 70_000],
            "cart_id": ["c1", "c2"],
            "products": [[{"category": "shoes"}], [{"category": "books"}], []],
        },
        "Product Added": {"price": [999, 1000, 2000], "cart_id": ["c1", "c2", "c3"]},
        "Product Viewed": {"product_id": [f"p{number}" for number in range(9)], "price": [4000, 9000]},
        "Coupon Viewed": {},
        "traits": {
            "loyalty_rank": ["gold", "silver"],
            "points": [4999, 5000],
            "prefecture": ["東京都", "沖縄県"],
            "registered_at": [iso(START), iso(START + 30 * DAY)],
            "birthday": ["1990-06-02", "1984-08-31", "2001-05-30"],
            "home": [{"latitude": 35.66, "longitude": 139.70}, {"latitude": 34.7, "longitude": 135.5}],
        },
        "context": {},
    },
}


def history_of(world: dict[str, Any], chance: random.Random) -> list[Plain]:
    """Calls of customers who are keen or not, and each of them of some things more than of others."""
    calls: list[Plain] = []
    for customer in range(CUSTOMERS):
        names = [name for name in world if name not in ("traits", "context") and chance.random() < 0.4]
        weights = [chance.random() ** 2 for _ in names] if names else [1]
        first, last = chance.choice([(0, 42), (30, DAYS), (50, DAYS), (57, DAYS), (0, DAYS)])
        count = int(CALLS * chance.random() ** 2)
        for name in ["identify", *chance.choices(names or ["identify"], weights, k=count)]:
            call, at = call_of(name, world, chance), START + chance.randrange(first * 24, last * 24) * HOUR
            for again in range(chance.choice([1, 1, 4])):
                ids, time = ids_of(customer, chance), at + again * chance.choice([0, HOUR, 5 * HOUR])
                arrival = time + chance.choice([0, 0, HOUR])
                clocks = {"timestamp": iso(time), "arrival": iso(arrival)}
                calls.append({**call, **ids, **clocks, "messageId": f"m{len(calls)}"})
    return calls


def call_of(name: str, world: dict[str, Any], chance: random.Random) -> Plain:
    def some(what: str) -> Plain:
        return {key: chance.choice(values) for key, values in world[what].items() if chance.random() < 0.9}

    if name == "identify":
        return {"type": "identify", "traits": some("traits"), "context": some("context")}
    kind, _, screen = name.partition(" ")
    if kind == "screen":
        return {"type": "screen", "name": screen, "properties": {}}
    return {"type": "track", "event": name, "properties": some(name)}


def ids_of(customer: int, chance: random.Random) -> Plain:
    ids = {"userId": f"u{customer}", "anonymousId": f"a{customer}"}
    if customer % 2:
        return ids if customer % 4 == 1 else {"userId": ids["userId"]}
    return chance.choice([ids, {"anonymousId": ids["anonymousId"]}])


@pytest.mark.parametrize(
    "name", [name if name == "shop" else pytest.param(name, marks=pytest.mark.all_in_ci) for name in WORLDS]
)
def test_the_segments_of_an_example_are_run(name: str) -> None:
    path = EXAMPLES / f"{name}.yaml"
    definitions = load(path)
    [plain] = read_documents({"example": path.read_text(encoding="utf-8")}, Problems())
    asked = {key: value for key, value in plain.plain().items() if key in ("segments", "policies")}
    history = history_of(WORLDS[name], random.Random(7))
    found: set[str] = set()
    for day in (20, 45, 52, 59, 60, 62, 150):
        users, _ = run_bounded(decode_all(history), definitions, START + day * DAY)
        members = known(users)
        assert members == columnar(history, definitions, START + day * DAY)
        assert members == memberships(asked, history, START + day * DAY)
        found |= {segment for segments in members.values() for segment in segments}
    assert found == set(definitions.segments)
