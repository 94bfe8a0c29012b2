"""Events for measurements: the same for the same arguments."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

__all__ = ["write_events"]

_NAMES = ("Product Viewed", "Product Added", "Order Completed", "Search", "Session Started", "Coupon Viewed")
_WEIGHTS = (45, 15, 5, 15, 15, 5)
_START = datetime(2026, 3, 1, tzinfo=UTC)


def write_events(path: Path, events: int, users: int) -> None:
    """Write JSON Lines of about 300 bytes over ten days, in the order of time; each user's first call identifies."""
    chance = random.Random(7)
    step = timedelta(days=10) / events
    seen: set[int] = set()
    with path.open("w") as file:
        for number in range(events):
            user = chance.randrange(users)
            call: dict[str, object] = {
                "messageId": f"message-{number:08d}",
                "userId": f"user-{user:06d}",
                "timestamp": (_START + step * number).isoformat().replace("+00:00", "Z"),
            }
            if user in seen:
                call |= {"type": "track", "event": chance.choices(_NAMES, _WEIGHTS)[0], "properties": _product(chance)}
            else:
                seen.add(user)
                traits = {"country": chance.choice(["JP", "US", "DE"]), "age": chance.randrange(15, 70)}
                context = {"device": {"token": f"token-{user}", "type": "ios"}, "timezone": "Asia/Tokyo"}
                call |= {"type": "identify", "traits": traits, "context": context}
            file.write(json.dumps(call) + "\n")


def _product(chance: random.Random) -> dict[str, object]:
    return {
        "product_id": f"product-{chance.randrange(500)}",
        "category": chance.choice(["shoes", "books", "music", "games"]),
        "price": chance.randrange(1000),
        "revenue": chance.randrange(1000),
    }
