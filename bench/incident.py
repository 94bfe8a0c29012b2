"""An incident: the demo's shop live on this machine, the push server gone for some minutes, the job killed meanwhile.

    python -m bench.incident [--out DIR] [--minutes N] [--down N] [--kills N] [--rate N] [--seed N]

New customers come and order, `todoke run` reads them from an embedded queue into SQLite, and sends. Then this asks what
an owner would ask: `todoke slo`, `slo review`, `slo postmortem` and `report`, and writes the answers into DIR, beside
the store, for further questions. It also compares the report with what the calls themselves say, and with the report of
a run over a file of the same calls: kills neither lose a count nor count twice. Ends with 1 if they differ.
"""

import argparse
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from bench.reliability.__main__ import print_checks, say
from bench.reliability.brokers import FileQueue
from bench.reliability.checks import Check
from bench.reliability.reported import compare_reports
from bench.reliability.rig import Rig, publishing
from bench.reliability.stream import Call
from bench.reliability.watch import Progress, settle, wait_for
from todoke.demo.command import DEFINITIONS

__all__ = ["IncidentPlan", "ask", "customers", "main", "run_incident"]

#: Until the job has started, in seconds: what is published before waits for it.
START = 15
#: Of customers: how many order a second and a third time; and how many tokens are dead.
_AGAIN, _THRICE, _DEAD = 0.3, 0.1, 0.02
#: Between two calls of one customer, in seconds: a live job may turn those around that come together.
_APART = 5.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class IncidentPlan(NamedTuple):
    """What is to happen: how long customers come, from when and how long the push server is gone (all in seconds), and
    when the job is killed."""

    seconds: float
    down_at: float
    down: float
    kills: tuple[float, ...]


def main() -> None:
    """Run one incident, and print what is compared."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--out", type=Path, default=Path("out/incident"))
    flags.add_argument("--minutes", type=float, default=15.0, help="for so long customers come")
    flags.add_argument("--down", type=float, default=4.0, help="for so many minutes the push server is gone")
    flags.add_argument("--kills", type=int, default=3, help="so often the job is killed")
    flags.add_argument("--rate", type=float, default=2.0, help="customers a second")
    flags.add_argument("--seed", type=int, default=7)
    given = flags.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing that was started outlives this
    seconds = given.minutes * 60
    if given.out.exists():
        flags.error(f"--out: {given.out} exists already")
    given.out.mkdir(parents=True)
    chance = random.Random(given.seed)
    kills = tuple(sorted(chance.uniform(0.3, 0.9) * seconds for _ in range(given.kills)))
    incident = IncidentPlan(seconds, seconds * 0.4, given.down * 60, kills)
    checks, times = run_incident(given.out, incident, given.rate, given.seed, DEFINITIONS)
    print_checks(checks)
    ask(given.out, DEFINITIONS, times)
    print(f"\nanswers are in {given.out}")
    if any(check.wrong for check in checks):
        raise SystemExit(1)


def customers(seconds: float, rate: float, begin: int, seed: int) -> list[Call]:
    """The calls of new customers, who come evenly over a time: who they are, an order, and sometimes more orders."""
    chance = random.Random(seed)
    calls = []
    for number in range(int(seconds * rate)):
        user, at = f"customer-{number:05}", chance.uniform(0, seconds)
        word = "dead" if chance.random() < _DEAD else "demo"
        device = {"token": f"{word}-{chance.getrandbits(64):016x}", "type": "android"}
        traits = {"first_name": "Ada", "email": f"{user}@example.com", "locale": "en-US"}
        calls.append(_call(begin, at, user, "account", type="identify", traits=traits, context={"device": device}))
        orders = 1 + (chance.random() < _AGAIN) + (chance.random() < _THRICE)
        for order in range(1, orders + 1):
            at += _APART * (1 + chance.random())
            properties = {"order_id": f"{number}-{order}", "quantity": 1, "revenue": chance.randint(100, 9_900) / 100}
            calls.append(
                _call(begin, at, user, f"order{order}", type="track", event="Order Completed", properties=properties)
            )
    return sorted(calls, key=lambda call: call.at)


def _call(begin: int, at: float, user: str, name: str, **content: object) -> Call:
    moment = begin + int(at * 1_000_000)
    common = {"userId": user, "messageId": f"{name}-{user}"}
    timestamp = (_EPOCH + timedelta(microseconds=moment - 1_000)).isoformat()
    return Call(at, {**common, **content, "timestamp": timestamp}, moment - 1_000)


def run_incident(
    folder: Path, incident: IncidentPlan, rate: float, seed: int, definitions: Path
) -> tuple[list[Check], tuple[str, str]]:
    """Let it happen; returns what was compared afterwards, and from when to when it lasted."""
    made = Rig(folder, FileQueue(folder / "events.db"), f"sqlite:{folder / 'users.db'}", definitions=definitions)
    begin = time.time_ns() // 1000 + START * 1_000_000
    calls = customers(incident.seconds, rate, begin, seed)
    progress = Progress(made, calls, begin)
    try:
        made.job.start()
        say(f"{len(calls):,} calls; the log is {made.job.log}")
        with publishing(made.broker, calls, begin, progress.note) as publisher:
            for at, what in _moments(incident):
                _wait_until(made, begin / 1e6 + at)
                _do(made, what)
            while publisher.is_alive():
                made.job.check()
                publisher.join(0.5)
        wait_for(lambda: not _waiting(made), made, "sends went out")
        over = time.time()
        say(settle(made, progress, say).strip())
        checks = [
            Check("kills of the whole tree", len(incident.kills)),
            Check("s that the push server was gone", f"{incident.down:.0f}"),
            *compare_reports(made, calls),
        ]
    finally:
        made.close()
    return checks, (_minute(begin / 1e6 + incident.down_at), _minute(over + 60))


def _moments(incident: IncidentPlan) -> list[tuple[float, str]]:
    moments = [(incident.down_at, "down"), (incident.down_at + incident.down, "back")]
    return sorted([*moments, *((at, "kill") for at in incident.kills)])


def _do(made: Rig, what: str) -> None:
    if what == "down":
        made.fcm.go_down()
        say("the push server is gone")
    elif what == "back":
        made.fcm.come_back()
        say("the push server is back")
    else:
        say(f"{made.job.kill()} processes killed")
        made.job.start()


def _wait_until(made: Rig, moment: float) -> None:
    while (left := moment - time.time()) > 0:
        made.job.check()
        time.sleep(min(0.5, left))


def _waiting(made: Rig) -> bool:
    return any(row.detail.startswith("retry: ") for row in made.store.scan_ledger())


def _minute(at: float) -> str:
    return datetime.fromtimestamp(at // 60 * 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ask(folder: Path, definitions: Path, times: tuple[str, str]) -> None:
    """Ask what an owner asks, and write the answers, those on both outputs, beside the store."""
    store = ("--store", f"sqlite:{folder / 'users.db'}", "--definitions", str(definitions))
    week = datetime.fromisoformat(times[0]).strftime("%G-W%V")
    span = ("--from", times[0], "--to", times[1])
    for name, command in {
        "slo.txt": ("slo", *store),
        "check.txt": ("slo", "check", *store),
        "review.md": ("slo", "review", *store, "--week", week),
        "review.txt": ("slo", "review", *store, "--week", week, "--html", str(folder / "review.html")),
        "postmortem.md": ("slo", "postmortem", *store, *span),
        "report.txt": ("report", *store),
        "report.json": ("report", *store, "--json", "--html", str(folder / "report.html")),
    }.items():
        (folder / name).write_text(_todoke(command), encoding="utf-8")


def _todoke(command: Sequence[str]) -> str:
    done = subprocess.run([sys.executable, "-m", "todoke", *command], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
