"""Calls to a running `todoke serve` at a steady rate, from a process of its own; prints what came of them as JSON.

    python -m bench.serve_load PORT KEY --users N --rate N --seconds N [--calls N] [--first N] [--identify]

Each request has so many calls of random users. Every 50th call accepts an offer, which is answered by a push that
carries when its request was due. So a server that stands still is seen.
"""

import argparse
import asyncio
import json
import random
import time
from base64 import b64encode
from datetime import UTC, datetime

from bench.collect_load import Load
from bench.live_load import event, identify

#: Requests that may be under way.
CONNECTIONS = 64


class ServeLoad(Load):
    """A load whose requests are made when they are sent."""

    def __init__(self, given: argparse.Namespace) -> None:
        super().__init__(given.calls, given.seconds, given.rate / given.calls)
        self._given = given
        self._chance = random.Random(given.first)
        self._first = given.first
        self._key = b64encode(f"{given.key}:".encode()).decode()
        self._wall = time.time() - time.perf_counter()

    def next_request(self) -> bytes:
        """A whole request."""
        given = self._given
        due = self._wall + self._began + self._sent / self._rate
        first = self._first + self._sent * given.calls
        self._sent += 1
        calls = []
        for number in range(first, first + given.calls):
            made = identify(number % given.users) if given.identify else event(number, given.users, self._chance)
            made |= {"messageId": f"m-{number}", "timestamp": datetime.now(UTC).isoformat()}
            if "properties" in made:
                made["properties"]["published"] = int(due * 1e6)
            calls.append(made)
        body = json.dumps({"batch": calls})
        head = f"POST /v1/batch HTTP/1.1\r\nHost: bench\r\nAuthorization: Basic {self._key}\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def main() -> None:
    """Send and print."""
    flags = argparse.ArgumentParser()
    flags.add_argument("port", type=int)
    flags.add_argument("key")
    for name in ("users", "calls", "first"):
        flags.add_argument(f"--{name}", type=int, default=0)
    for name in ("rate", "seconds"):
        flags.add_argument(f"--{name}", type=float, required=True)
    flags.add_argument("--identify", action="store_true")
    given = flags.parse_args()
    load = ServeLoad(given)
    started = time.time()
    asyncio.run(load.run(given.port, CONNECTIONS))
    took = sorted(load.took)
    quantiles = {name: took[int(share * (len(took) - 1))] for name, share in (("p50", 0.5), ("p99", 0.99), ("most", 1))}
    sent = len(took) * given.calls
    print(json.dumps({"calls": sent, "statuses": load.statuses, "started": started, "ended": time.time(), **quantiles}))


if __name__ == "__main__":
    main()
