"""Publish events at a steady rate, in a process of its own; prints what it published as JSON.

    python -m bench.live_load TOPIC --users N --rate N --total N [--first N] [--identify]

Each event is of a random user; every 50th accepts an offer, which is answered by a push, and every 500th asks for a
receipt by mail. Each carries the time at which it was made, in microseconds.
"""

import argparse
import json
import os
import random
import time
from datetime import UTC, datetime
from typing import Any

import grpc
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.types import PubsubMessage

#: Every how many events one is answered by a push, and by a mail.
PUSH_EVERY, MAIL_EVERY = 50, 500
#: Requests a second; each carries what fell due since the one before, at most so many messages.
REQUESTS_A_SECOND, AT_ONCE = 50, 500

_NAMES = ("Product Viewed", "Product Added", "Order Completed", "Search", "Session Started", "Coupon Viewed")
_WEIGHTS = (45, 15, 5, 15, 15, 5)


def identify(number: int) -> dict[str, Any]:
    """The call that makes a user known, with a token and a mailbox."""
    context = {"device": {"token": f"token-{number}", "type": "ios"}, "timezone": "Asia/Tokyo"}
    traits = {"country": "JP", "age": 15 + number % 55, "email": f"user-{number}@example.com"}
    return {"type": "identify", "userId": f"user-{number:06d}", "traits": traits, "context": context}


def event(number: int, users: int, chance: random.Random) -> dict[str, Any]:
    """A call about what a user did."""
    properties: dict[str, Any] = {
        "product_id": f"product-{chance.randrange(500)}",
        "category": chance.choice(["shoes", "books", "music", "games"]),
        "price": chance.randrange(1000),
        "revenue": chance.randrange(1000),
    }
    name = chance.choices(_NAMES, _WEIGHTS)[0]
    if number % MAIL_EVERY == 1:
        name = "Receipt Asked"
    elif number % PUSH_EVERY == 0:
        name = "Offer Accepted"
    properties["published"] = time.time_ns() // 1000
    user = f"user-{chance.randrange(users):06d}"
    return {"type": "track", "userId": user, "event": name, "properties": properties}


def publish(topic: str, users: int, rate: float, total: int, first: int, *, known: bool) -> dict[str, float]:
    """Publish calls at a rate a second; `first` is the number of the first one."""
    client = _client()
    chance = random.Random(first)
    started, done, behind = time.time(), 0, 0.0
    while done < total:
        due = min(total, int((time.time() - started) * rate) + 1)
        messages = []
        for number in range(first + done, first + due):
            call = event(number, users, chance) if known else identify(number - first)
            call |= {"messageId": f"m-{number}", "timestamp": datetime.now(UTC).isoformat()}
            messages.append(PubsubMessage(data=json.dumps(call).encode()))
        for start in range(0, len(messages), AT_ONCE):
            client.publish(topic=topic, messages=messages[start : start + AT_ONCE])
        done = due
        behind = max(behind, time.time() - started - done / rate)
        time.sleep(max(0.0, min(1 / REQUESTS_A_SECOND, started + total / rate - time.time())))
    return {"published": done, "started": started, "ended": time.time(), "behind": behind}


def _client() -> PublisherClient:
    """The plain client, which sends a list of messages as one request; Google's other one sorts them into batches."""
    emulator = os.environ["PUBSUB_EMULATOR_HOST"]
    return PublisherClient(transport=PublisherGrpcTransport(host=emulator, channel=grpc.insecure_channel(emulator)))


def main() -> None:
    """Publish and print."""
    flags = argparse.ArgumentParser()
    flags.add_argument("topic")
    flags.add_argument("--users", type=int, required=True)
    flags.add_argument("--rate", type=float, required=True)
    flags.add_argument("--total", type=int, required=True)
    flags.add_argument("--first", type=int, default=0)
    flags.add_argument("--identify", action="store_true")
    given = flags.parse_args()
    print(json.dumps(publish(given.topic, given.users, given.rate, given.total, given.first, known=not given.identify)))


if __name__ == "__main__":
    main()
