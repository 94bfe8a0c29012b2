"""How many clicks a second are led on, each durable in the queue of touches before its answer.

    python -m bench.redirect [--seconds N]

A load from another process, over loopback, with granian: 10,000 links of as many sends, in turn, by 32 connections. In
the same run the same server leads on without noting anything. Then half of what was taken, for its latency; and two
workers. The judge runs beside, as it does in production.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec
from starlette.types import ASGIApp

from bench.collect import NoSink
from bench.collect_load import loaded
from services.engage.app import engage
from services.engage.desk import Desk, StoreView
from services.server import parse_listen, serve
from transforms.campaigns.effects import Send
from transforms.campaigns.load import compiled
from transforms.channels.links import Links
from transforms.channels.tokens import SigningKeys
from transforms.storage.open import open_reader, open_store

SECRET = "bench-secret-bench-secret-bench-secret"
LINKS, CONNECTIONS, ROUNDS = 10_000, 32, 3
AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"


def without_noting(folder: str) -> ASGIApp:
    reader = open_reader(f"sqlite:{folder}/store.db")
    definitions = compiled((("none.yaml", "{}"),))
    keys = SigningKeys({"b": SECRET})
    return engage(
        Desk(sink=NoSink(), view=StoreView(reader), definitions=lambda: definitions, keys=keys, touches=NoSink())
    )


def links() -> list[bytes]:
    """Requests as browsers send them."""
    made = Links("http://bench", SigningKeys({"b": SECRET}))
    send = Send("", "spring_sale", "e", "first", "", "email", "spring_mail", "ann@shop.example", 0, 1, topic="offers")
    found = []
    for number in range(LINKS):
        mine = msgspec.structs.replace(send, id=f"{number:024x}", user=f"user-{number:06}")
        url = made.click(
            mine, "hero", f"https://shop.example/shoes/{number}?utm_source=shop&utm_campaign=spring_sale", 7
        )
        path = url.removeprefix("http://bench")
        found.append(f"GET {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: {AGENT}\r\n\r\n".encode())
    return found


@contextmanager
def serving(folder: str, *, notes: bool, workers: int = 1) -> Iterator[int]:
    """A service; gives its port."""
    open_store(f"sqlite:{folder}/store.db").close()
    Path(folder, "none.yaml").write_text("{}")
    command = [sys.executable, "-m", "bench.redirect", "--without-noting", folder]
    if notes:
        command = [sys.executable, "-m", "services.engage", "--store", f"sqlite:{folder}/store.db", "--listen", "0"]
        command += ["--definitions", f"{folder}/none.yaml", "--touches", f"queue:{folder}/touches.db"]
        command += ["--workers", str(workers)]
    environment = {**os.environ, "TODOKE_SIGNING_KEYS": f"b={SECRET}"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline().split()[1].rstrip(",").rpartition(":")[2])
    finally:
        process.terminate()
        process.wait()


def load(port: int, seconds: float, rate: float = 0) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.redirect", "--load", str(port), str(seconds), str(rate)]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def measured(name: str, seconds: float, *, notes: bool, workers: int = 1) -> float:
    """Print a line; returns the median of the requests a second."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, serving(folder, notes=notes, workers=workers) as port:
        load(port, 1.0)
        found = [load(port, seconds) for _ in range(ROUNDS)]
    speeds = [each["requests"] for each in found]
    ms = " ".join(f"{name} {1000 * statistics.median(each[name] for each in found):.1f}" for name in ("p50", "p99"))
    spread = f"({min(speeds):,.0f} to {max(speeds):,.0f})"
    print(f"{name:28} {statistics.median(speeds):>8,.0f} redirects/s {spread:>18}  ms {ms}", flush=True)
    return statistics.median(speeds)


def main() -> None:
    """Run and print all."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--seconds", type=float, default=5.0, help="of each round; the median of three counts")
    flags.add_argument("--without-noting", help=argparse.SUPPRESS)
    flags.add_argument("--load", nargs=3, help=argparse.SUPPRESS)
    given = flags.parse_args()
    if given.without_noting:
        up = partial(print, "bench:", flush=True)
        serve(partial(without_noting, given.without_noting), parse_listen("0"), up=lambda found: up(found.url))
        return
    if given.load:
        port, seconds, rate = int(given.load[0]), float(given.load[1]), float(given.load[2])
        found = loaded(links(), port, CONNECTIONS, seconds, rate)
        assert set(found["statuses"]) == {302}, found  # type: ignore[call-overload]
        print(json.dumps(found))
        return
    print(f"load {os.getloadavg()[0]:.1f}")
    noted = measured("noted", given.seconds, notes=True)
    print(f"{'noted to not noted':28} {noted / measured('not noted', given.seconds, notes=False):>8.2f}")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, serving(folder, notes=True) as port:
        load(port, 1.0)
        found = load(port, 2 * given.seconds, noted / 2)
    ms = " ".join(f"{name} {1000 * found[name]:.1f}" for name in ("p50", "p99", "most"))
    print(f"{'half of it':28} {found['requests']:>8,.0f} redirects/s {'':>18}  ms {ms}", flush=True)
    measured("noted, two workers", given.seconds, notes=True, workers=2)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
