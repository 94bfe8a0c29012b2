"""The demo's events: real orders (data/README.md), with invented details that a demo needs.

Days, quantities and values are real. Names, addresses, tokens, zones, languages, consent, times of day and product
views are invented, for each customer from a generator seeded by the customer's number: no clock, and the same in any
sample.
"""

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

__all__ = ["Order", "RecordedCall", "read_orders", "recorded_calls", "write_events"]

_DATA = Path(__file__).with_name("data") / "cdnow_master.txt.gz"

_FIRST_NAMES = (
    *("Alice", "Ben", "Carmen", "Daniel", "Elena", "Frank", "Grace", "Hector", "Irene", "James", "Karen", "Luis"),
    *(
        "Maria",
        "Nathan",
        "Olivia",
        "Pablo",
        "Quinn",
        "Rosa",
        "Samuel",
        "Teresa",
        "Victor",
        "Wendy",
        "Xavier",
        "Yolanda",
    ),
)
_ZONES = ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles")
_ZONE_SHARES = (47, 29, 7, 17)
_GENRES = ("rock", "pop", "jazz", "classical", "country", "hip-hop", "latin")
_SPANISH = 0.12
_PUSH = 0.60
_DEAD_TOKEN = 0.02
_BOUNCES = 0.01
#: How many say yes to offers by mail, and how many say no; the rest say nothing. That is few enough mails for a demo:
#: with its server on two cores each costs some 6 ms.
_GRANTS, _DENIES = 0.16, 0.34
#: Orders come between these hours of the customer's day.
_OPENS, _CLOSES = 9, 22

DemoCall = dict[str, Any]


class RecordedCall(NamedTuple):
    """A call as JSON, with its time (ISO 8601, UTC) and its id, by which it is sorted."""

    time: str
    id: str
    line: bytes


class Order(msgspec.Struct, frozen=True, order=True):
    """One line of the data: `day` is YYYYMMDD, `revenue` US dollars."""

    day: str
    quantity: int
    revenue: float


def read_orders() -> dict[str, list[Order]]:
    """Every customer's orders, oldest first, by customer id."""
    orders: dict[str, list[Order]] = {}
    with gzip.open(_DATA, "rt", encoding="ascii") as lines:
        next(lines)  # the names of the columns
        for line in lines:
            customer, day, quantity, revenue = line.split()
            orders.setdefault(customer, []).append(Order(day, int(quantity), float(revenue)))
    return {customer: sorted(bought) for customer, bought in orders.items()}


def write_events(path: Path, *, customers: int | None = None) -> int:
    """Write the demo's events as JSON Lines in Segment's format, sorted by time; returns how many there are.

    Args:
      path: the file, which is written anew.
      customers: see `recorded_calls`.

    Raises:
      ValueError: `customers` is not between 1 and the number of customers in the data.
    """
    calls = recorded_calls(customers=customers)
    with path.open("wb") as file:
        file.writelines(call.line + b"\n" for call in calls)
    return len(calls)


def recorded_calls(*, customers: int | None = None) -> list[RecordedCall]:
    """The demo's events, sorted by time.

    Args:
      customers: how many of them, spread evenly over the data; None for all.

    Raises:
      ValueError: `customers` is not between 1 and the number of customers in the data.
    """
    orders = read_orders()
    names = list(orders)
    if customers is not None:
        if not 1 <= customers <= len(names):
            raise ValueError(
                f"the data holds {len(names):,} customers; expected 1 to {len(names):,}, not {customers:,}"
            )
        names = [names[place * len(names) // customers] for place in range(customers)]
    encoder = msgspec.json.Encoder()
    return sorted(
        RecordedCall(event["timestamp"], event["messageId"], encoder.encode(event))
        for name in names
        for event in _history(name, orders[name])
    )


def _history(customer: str, orders: list[Order]) -> Iterator[DemoCall]:
    """One customer's events: an anonymous visit, an account, an answer about offers, then the orders."""
    chance = Random(f"todoke demo {customer}")
    zone = chance.choices(_ZONES, _ZONE_SHARES)[0]
    times = sorted(_moment(chance, order.day, zone) for order in orders)
    signed_up = times[0] - timedelta(minutes=chance.randint(4, 9))
    visitor = f"visitor-{chance.getrandbits(48):012x}"
    view = _call("track", "view", customer, signed_up - timedelta(minutes=chance.randint(1, 40)), visitor)
    yield view | {"event": "Product Viewed", "properties": {"category": chance.choice(_GENRES)}}
    yield _account(customer, chance, zone, signed_up, visitor)
    answer = chance.random()
    if answer < _GRANTS + _DENIES:
        properties = {"topic": "offers", "channel": "email", "granted": answer < _GRANTS}
        asked = _call("track", "consent", customer, signed_up + timedelta(minutes=1))
        yield asked | {"event": "Consent Changed", "properties": properties}
    for number, (time, order) in enumerate(zip(times, orders, strict=True), start=1):
        properties = {
            "order_id": f"{customer}-{number}",
            "quantity": order.quantity,
            "revenue": order.revenue,
            "currency": "USD",
        }
        yield _call("track", f"order{number}", customer, time) | {"event": "Order Completed", "properties": properties}


def _account(customer: str, chance: Random, zone: str, time: datetime, visitor: str) -> DemoCall:
    """The identify call that ties the visitor to the customer."""
    first_name = chance.choice(_FIRST_NAMES)
    # The local servers refuse what begins with these words.
    mailbox = f"{'bounce-' if chance.random() < _BOUNCES else ''}{first_name.lower()}.{customer}"
    traits = {
        "first_name": first_name,
        "email": f"{mailbox}@example.com",
        "timezone": zone,
        "locale": "es-US" if chance.random() < _SPANISH else "en-US",
    }
    event = _call("identify", "account", customer, time, visitor) | {"traits": traits}
    if chance.random() < _PUSH:
        word = "dead" if chance.random() < _DEAD_TOKEN else "demo"
        event["context"] = {"device": {"token": f"{word}-{chance.getrandbits(64):016x}", "type": "android"}}
    return event


def _call(kind: str, name: str, customer: str, time: datetime, visitor: str | None = None) -> DemoCall:
    """The common fields of a call. A product view before there is an account names only the visitor."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ")
    event: DemoCall = {"messageId": f"{name}-{customer}", "type": kind, "timestamp": at}
    if name != "view":
        event["userId"] = f"customer-{customer}"
    if visitor is not None:
        event["anonymousId"] = visitor
    return event


def _moment(chance: Random, day: str, zone: str) -> datetime:
    """A second of the shop's hours on a day of the customer's calendar, in UTC."""
    second = chance.randrange(_OPENS * 3600, _CLOSES * 3600)
    midnight = datetime(int(day[:4]), int(day[4:6]), int(day[6:]), tzinfo=ZoneInfo(zone))
    # Adding to a time with a zone moves its wall clock; no zone here changes its clocks during these hours.
    return (midnight + timedelta(seconds=second)).astimezone(UTC)
