"""Messages handed over a second, end to end: from events, through the ledger and Deliver, to servers on this machine.

    python -m bench.delivery [--pushes N] [--mails N] [--latency SECONDS] [--runs N] [--no-faults]

Each sender is a process, with SQLite and with Bigtable's emulator: `todoke run`, from events on; the fan-out of sends
that were decided before, through the ledger and Deliver; firebase-admin's `send_each` in batches of 500; and smtplib
with a connection for each mail. The push server answers after 50 ms; of 100 tokens one is refused once with 429 and
Retry-After, one once with 500, and of one the connection is cut once after the message was taken. Each is measured with
N and 2 N messages; what the second N cost is the cost of one, the rest is start-up. The server counts what it took more
than once. At last, decisions and renders a second of one core's time, without a store: a decision takes an `identify`
and the event that triggers the message, a render makes what is handed over.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.delivery_peers import DEFINITIONS
from bench.run import measure

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from emulators import EmulatorMissing, start_bigtable

#: How parts of it are called.
CORE = [sys.executable, "-m", "bench.delivery_core"]
#: How a user's token begins, by the user's number modulo a hundred.
FAULTS = {13: "quota1", 41: "internal1", 73: "cutafter1"}


class Figures(msgspec.Struct):
    """The cost of one size: seconds, those of the processor, and MB of the sender, and the server's counts."""

    seconds: float
    processor: float
    memory: float
    messages: int
    twice: int


@contextmanager
def serving(kind: str, latency: float) -> Iterator[tuple[str, dict[str, int]]]:
    """A server's URL, and its report after it was stopped."""
    command = [sys.executable, "-m", "bench.delivery_servers", kind, str(latency)]
    root = Path(__file__).parent.parent
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
    assert server.stdout is not None
    said: dict[str, int] = {}
    try:
        yield server.stdout.readline().strip(), said
    finally:
        output, _ = server.communicate(timeout=30)
        said.update(json.loads(output))


def write_calls(path: Path, kind: str, size: int, faults: bool) -> None:
    """One user for each message, who identifies, and then triggers the message; all just now."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    with path.open("w") as file:
        for number in range(size):
            user, word = f"user-{number:07d}", FAULTS.get(number % 100, "token") if faults else "token"
            traits = {"first_name": f"Aiko {number}", "email": f"{user}@example.com"}
            call: dict[str, Any] = {"userId": user, "timestamp": now}
            known = {"type": "identify", "messageId": f"i-{number}", "traits": traits}
            if kind == "push":
                known["context"] = {"device": {"token": f"{word}-{number}", "type": "ios"}}
            file.write(json.dumps(call | known) + "\n")
            event = "Restocked" if kind == "push" else "Order Completed"
            about = {"name": "Rain boots", "price": 4900 + number % 100, "product_id": "b-1", "order_id": f"o-{number}"}
            asks = {"type": "track", "messageId": f"t-{number}", "event": event, "properties": about}
            file.write(json.dumps(call | asks) + "\n")


def commands(kind: str, url: str, events: Path, folder: Path, stores: list[str]) -> dict[str, list[str]]:
    """What is measured, by name."""
    fresh = time.time_ns()
    run = [sys.executable, "-m", "todoke", "run", "--definitions", str(DEFINITIONS), "--events", str(events)]
    run += ["--outbox", str(folder / "outbox"), "--report", str(folder / "report.json")]
    run += ["--push", f"fcm:bench@{url}"] if kind == "push" else ["--email", url]
    urls = {"SQLite": f"sqlite:{folder / f'{fresh}.db'}", "Bigtable": f"bigtable:bench/b{fresh}"}
    peer = "send_each" if kind == "push" else "smtplib"
    ours = {f"todoke run, {store}": [*run, "--store", urls[store]] for store in stores}
    sends, said = str(events.with_suffix(".sends")), f"fcm:bench@{url}" if kind == "push" else url
    for store in stores:
        ours[f"fan-out, {store}"] = [*CORE, "fan_out", sends, said, f"{urls[store]}f"]
    return ours | {peer: [sys.executable, "-m", "bench.delivery_peers", peer, url, str(events)]}


def table(kind: str, size: int, given: argparse.Namespace, folder: Path, stores: list[str]) -> None:
    """Measure one channel, and print the best of the runs."""
    best: dict[tuple[str, int], Figures] = {}
    for _ in range(given.runs):
        for count in (size, 2 * size):
            events = folder / "events.jsonl"
            write_calls(events, kind, count, faults=kind == "push" and not given.no_faults)
            decisions = output_of(["decide", str(events), str(events.with_suffix(".sends"))])
            renders = output_of(["render", str(events)])
            for name in commands(kind, "", folder, folder, stores):
                with serving(kind, given.latency) as (url, said):
                    command = commands(kind, url, events, folder, stores)[name]
                    before = processor()
                    seconds, memory, _ = measure(command, folder)
                    used = processor() - before
                found = Figures(seconds, used, memory, said["messages"], said["twice"])
                known = best.get((name, count))
                best[name, count] = found if known is None or found.seconds < known.seconds else known
    names = [name for name, count in best if count == size]
    speeds = {name: size / (best[name, 2 * size].seconds - best[name, size].seconds) for name in names}
    print(f"{kind}: {size:,} and {2 * size:,} messages")
    print(
        f"{'':24}{'s':>8}{'s, twice':>10}{'a second':>10}{f'x {names[-1]}':>14}{'CPU ms each':>13}"
        f"{'arrived':>10}{'twice':>8}{'MB':>7}"
    )
    for name in names:
        once, double = best[name, size], best[name, 2 * size]
        ratio = speeds[name] / speeds[names[-1]]
        each = (double.processor - once.processor) / size * 1000
        print(
            f"{name:24}{once.seconds:8.2f}{double.seconds:10.2f}{speeds[name]:10,.0f}{ratio:14.2f}{each:13.2f}"
            f"{double.messages:10,}{double.twice:8,}{double.memory:7.0f}"
        )

    print(f"one core: {decisions:,} decisions a second, {renders:,} renders a second\n")


def processor() -> float:
    """Seconds of the processor that processes have taken that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def output_of(part: list[str]) -> int:
    """The number that a part prints."""
    return int(subprocess.run([*CORE, *part], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--pushes", type=int, default=5_000)
    flags.add_argument("--mails", type=int, default=2_500)
    flags.add_argument("--latency", type=float, default=0.05)
    flags.add_argument("--runs", type=int, default=1)
    flags.add_argument("--no-faults", action="store_true")
    given = flags.parse_args()
    stores, emulator = ["SQLite", "Bigtable"], None
    try:
        emulator = start_bigtable()
        os.environ["BIGTABLE_EMULATOR_HOST"] = emulator.host
    except EmulatorMissing as missing:
        print(missing, file=sys.stderr)
        stores.remove("Bigtable")
    with tempfile.TemporaryDirectory() as name:
        table("push", given.pushes, given, Path(name), stores)
        table("mail", given.mails, given, Path(name), stores)
    if emulator is not None:
        emulator.stop()


if __name__ == "__main__":
    main()
