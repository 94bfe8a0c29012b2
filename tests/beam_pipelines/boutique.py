"""A small shop's day for end-to-end tests: definitions, and messages of every kind with the outcome of each known."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

__all__ = ["DEFINITIONS", "EXPECTED", "lines"]

DEFINITIONS = """
segments:
  buyers: {owner: growth, members: {event: Order Completed}}
  waiting: {owner: growth, members: {event: Product Added, missing: {event: Order Completed, within: 1h}}}
campaigns:
  cart:
    owner: growth
    trigger: {enters: waiting}
    steps: [{send: cart_push}, {wait: 1h}, {send: cart_mail}]
    exit: {event: Order Completed}
    reenter: {after: 7d}
    consent: offers
  receipt:
    owner: shop
    transactional: true
    trigger: {event: Order Completed}
    max_event_age: 1d
    steps: [{send: receipt_mail}]
    reenter: always
messages:
  cart_push: {channel: push, title: "{{ user.name }}, your cart waits"}
  cart_mail: {channel: email, subject: "Your cart", text: "It still waits"}
  receipt_mail: {channel: email, subject: "Order {{ event.order_id }}", text: "Thank you"}
"""

#: What the report says of one run over `lines`.
EXPECTED: dict[str, Any] = {
    "read": 24,
    "applied": 17,
    "duplicates": 2,
    "deleted": 1,
    "dead_letters": 3,
    "later": 1,
    "users": 5,
    "entries": 6,
    "sends": {"email": {"failed": 1, "handed_off": 4}, "push": {"failed": 1, "handed_off": 1}},
    "suppressed": {"exit": 1, "historical": 1, "render_error": 1},
    "segments": {"buyers": 3, "waiting": 2},
    "waiting": 0,
}


def lines(now: datetime) -> bytes:
    """Messages of the ten hours before `now`, one an hour from now, and three that nobody can read."""
    start = now.astimezone(UTC) - timedelta(hours=10)
    messages: list[dict[str, Any]] = []

    def say(minutes: int, kind: str, user: str | None = None, **fields: Any) -> None:
        moment = (start + timedelta(minutes=minutes)).isoformat()
        message = {"messageId": f"m{len(messages):02}", "type": kind, "timestamp": moment, **fields}
        messages.append(message | ({"userId": user} if user else {}))

    def identify(minutes: int, user: str, token: str | None = None, **traits: Any) -> None:
        context = {"device": {"token": token, "type": "ios"}} if token else {}
        say(minutes, "identify", user, traits=traits, context=context)

    def agree(minutes: int, user: str) -> None:
        properties = {"topic": "offers", "channel": "email", "granted": True}
        say(minutes, "track", user, event="Consent Changed", properties=properties)

    def add(minutes: int, user: str | None, **fields: Any) -> None:
        say(minutes, "track", user, event="Product Added", **fields)

    def order(minutes: int, user: str, number: int, **fields: Any) -> None:
        say(minutes, "track", user, event="Order Completed", properties={"order_id": number}, **fields)

    # Ada, first seen without a name: push after an hour, mail an hour later.
    add(0, None, anonymousId="visitor-a")
    identify(1, "ada", "token-ada", name="Ada", email="ada@example.com")
    say(1, "identify", "ada", anonymousId="visitor-a")
    agree(2, "ada")
    # Bob's device is gone and his mailbox refuses: both fail, each once.
    identify(0, "bob", "dead-bob", name="Bob", email="bounce-bob@example.com")
    agree(1, "bob")
    add(2, "bob")
    # Eve orders before the mail: an exit, and a receipt.
    identify(0, "eve", "token-eve", email="eve@example.com")
    add(1, "eve")
    order(90, "eve", 1)
    # Sue's order of long ago is history.
    order(5, "sue", 2, historical=True)
    # Tom orders twice; a copy of the second changes nothing.
    identify(0, "tom", email="tom@example.com")
    order(3, "tom", 3)
    order(4, "tom", 4)
    messages.append(messages[-1])
    messages.append(messages[0])
    # Zoe is deleted; what comes of her past after that is dropped.
    identify(0, "zoe", "token-zoe", email="zoe@example.com")
    say(10, "delete", "zoe")
    add(-5, "zoe", receivedAt=(start + timedelta(minutes=20)).isoformat())
    # Sue again, with a cart and no address.
    add(200, "sue")
    # A clock that is ahead of ours.
    order(700, "tom", 5)
    encoded = [msgspec.json.encode(message) for message in messages]
    return b"\n".join(
        [*encoded, b"{not json", b'{"type": "track"}', b'{"type": "track", "event": "A", "userId": "null"}', b""]
    )
