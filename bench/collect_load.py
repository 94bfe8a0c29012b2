"""A load of HTTP requests from a process of its own: so many connections, each with one request under way.

    python -m bench.collect_load PORT CONNECTIONS CALLS SECONDS RATE

`CALLS` in a request; more than one is a batch. `RATE` of requests a second, 0 for as many as are answered. With a rate,
latency counts from when a request was due, so that a server that stands still is seen. Prints one object of JSON.
"""

import asyncio
import json
import sys
import time
from base64 import b64encode
from collections.abc import Sequence

__all__ = ["KEY", "call", "loaded", "main"]

KEY = "bench-key-0123456789"
#: Different bodies, made beforehand.
BODIES = 64


def call(number: int) -> dict[str, object]:
    """A call as the SDK for browsers sends it, of some 700 bytes."""
    return {
        "type": "track",
        "event": "Product Viewed",
        "userId": f"user-{number % 5_000:05}",
        "anonymousId": f"8d1c2f0e-7c1b-4d57-9f0e-{number:012}",
        "messageId": f"ajs-next-{number:012}",
        "timestamp": "2026-11-30T12:00:00.000Z",
        "sentAt": "2026-11-30T12:00:00.120Z",
        "properties": {"product_id": f"sku-{number % 100}", "price": 19.5, "currency": "EUR", "category": "shoes"},
        "context": {
            "library": {"name": "analytics.js", "version": "npm:next-1.81.0"},
            "locale": "de-DE",
            "page": {"path": "/shoes", "title": "Shoes", "url": "https://shop.example/shoes?page=2"},
            "timezone": "Europe/Berlin",
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0",
        },
        "integrations": {},
    }


def request(number: int, calls: int) -> bytes:
    """A whole request."""
    made = [call(number * calls + place) for place in range(calls)]
    body = json.dumps({"batch": made} if calls > 1 else made[0]).encode()
    key = b64encode(f"{KEY}:".encode()).decode()
    path = "batch" if calls > 1 else "track"
    head = (
        f"POST /v1/{path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Basic {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """Sends a request when it is told to, and the next when that one was answered."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._answer = b""
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._load.idle.append(self)

    def send(self, due: float) -> None:
        self._due = due
        self._transport.write(self._load.next_request())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, rest = self._answer.partition(b"\r\n\r\n")
        if not end or len(rest) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            return
        self._answer = b""
        self._load.note(int(head[9:12]), time.perf_counter() - self._due)
        self._load.idle.append(self)
        self._load.feed()


class Load:
    """What is sent, and what came of it."""

    def __init__(self, requests: Sequence[bytes], seconds: float, rate: float) -> None:
        self._requests = requests
        self._rate = rate
        self._seconds = seconds
        self._sent = 0
        self.idle: list[Connection] = []
        self.took: list[float] = []
        self.statuses: dict[int, int] = {}

    def next_request(self) -> bytes:
        self._sent += 1
        return self._requests[self._sent % len(self._requests)]

    def note(self, status: int, took: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.took.append(took)

    def feed(self) -> None:
        """Send what is due, as far as there are connections for it."""
        now = time.perf_counter()
        while self.idle and now < self._until:
            due = self._began + self._sent / self._rate if self._rate else now
            if due > now:
                return
            self.idle.pop(0).send(due)  # the one that rested longest: a server closes those that rest too long

    async def run(self, port: int, connections: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
        self._began = time.perf_counter()
        self._until = self._began + self._seconds
        while time.perf_counter() < self._until:
            self.feed()
            await asyncio.sleep(0.001 if self._rate else 0.05)
        for _ in range(100):  # what is under way
            if len(self.idle) == connections:
                break
            await asyncio.sleep(0.05)


def main() -> None:
    port, connections, calls, seconds, rate = sys.argv[1:]
    requests = [request(number, int(calls)) for number in range(BODIES)]
    print(json.dumps(loaded(requests, int(port), int(connections), float(seconds), float(rate))))


def loaded(requests: Sequence[bytes], port: int, connections: int, seconds: float, rate: float) -> dict[str, object]:
    """Send these requests in turn; how many were answered each second, and how long that took, in seconds."""
    load = Load(requests, seconds, rate)
    asyncio.run(load.run(port, connections))
    took = sorted(load.took)
    quantiles = {name: took[int(share * (len(took) - 1))] for name, share in (("p50", 0.5), ("p99", 0.99), ("most", 1))}
    found: dict[str, object] = {"requests": len(took) / seconds, "statuses": load.statuses, **quantiles}
    found["processor"] = time.process_time() / seconds
    return found


if __name__ == "__main__":
    main()
