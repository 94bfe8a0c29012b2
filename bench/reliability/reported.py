"""What `todoke report` says of a live job, compared with the calls themselves, and with a run over a file of them."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from bench.reliability.checks import Check, arrivals_of, settled_at
from bench.reliability.rig import Rig
from bench.reliability.stream import Call
from transforms.channels.email.local_smtp import LocalSmtp
from transforms.channels.push.local_fcm import LocalFcm
from transforms.events.times import write_time
from transforms.storage.rows import LedgerState

__all__ = ["compare_reports"]

Plain = dict[str, Any]

_CAMPAIGN, _GOAL, _ORDER = "thank_you", "second_order", "Order Completed"


def compare_reports(made: Rig, calls: Sequence[Call]) -> list[Check]:
    """The report of the campaign that thanks for first orders, of the job's store and of a run over the file."""
    as_of = write_time(settled_at(made.store.scan_users()))
    live = _report(made, made.url, as_of)
    bounded = _report(made, _run_over_file(made, calls, as_of), as_of)
    orders = _orders(calls)
    again = {user: sums[1:] for user, sums in orders.items() if len(sums) > 1}
    cohorts = [each for each in live["cohorts"] if each["goal"] == _GOAL]
    states = _states(live)
    rows = Counter(row.state for row in made.store.scan_ledger() if row.campaign == _CAMPAIGN and row.channel)
    taken = len(made.fcm.received) + len(made.smtp.received)
    handed = states[LedgerState.HANDED_OFF]
    unknown = states[LedgerState.UNKNOWN]
    return [
        _equal("users who entered, by the report", sum(live["units"].values()), len(orders)),
        _equal("of these who ordered again", sum(each["reached"] for each in cohorts), len(again)),
        _equal(
            "what they paid then, in cents",
            round(100 * sum(each["total"] for each in cohorts)),
            round(sum(100 * paid for sums in again.values() for paid in sums)),
        ),
        _equal("sends that ended, by the report", sum(states.values()), sum(_ended(rows).values())),
        *(_equal(f"of these {state}", states[state], rows[state]) for state in sorted(states)),
        Check(
            "messages that the servers took",
            taken,
            [] if handed <= taken <= handed + unknown else [f"{handed} handed off, {unknown} unknown"],
        ),
        *(
            Check(f"the report's {part}, as of a run over the file", _size(live[part]), _unlike(live, bounded, part))
            for part in ("entries", "units", "by_day", "refusals", "cohorts", "balance", "effects")
        ),
        Check(
            "sends decided, as of a run over the file",
            sum(_decided(live).values()),
            [] if _decided(live) == _decided(bounded) else [f"live {_decided(live)}", f"file {_decided(bounded)}"],
        ),
        _equal("sends that ended, as of it", sum(states.values()), sum(_states(bounded).values())),
    ]


def _report(made: Rig, url: str, as_of: str) -> Plain:
    said = _todoke(
        "report", _CAMPAIGN, "--store", url, "--definitions", str(made.definitions), "--as-of", as_of, "--json"
    )
    found: Plain = json.loads(said)
    found["refusals"].sort(key=lambda each: (each["reason"], each["step"]))
    return found


def _run_over_file(made: Rig, calls: Sequence[Call], as_of: str) -> str:
    """The URL of the store of a run over the calls, with the arrivals that the broker gave them."""
    events, url = made.folder / "calls.jsonl", f"sqlite:{made.folder / 'file.db'}"
    events.write_text("".join(json.dumps(plain) + "\n" for plain in arrivals_of(made, list(calls))), encoding="utf-8")
    fcm, smtp = LocalFcm.start(slow=0.0), LocalSmtp.start()
    given = made.flags(str(events), url) | {
        "--as-of": as_of,
        "--push": f"fcm:demo-project@{fcm.url}",
        "--email": smtp.url,
        "--outbox": made.folder / "file-outbox",
    }
    _todoke("run", *(str(part) for flag in given.items() for part in flag))
    smtp.stop()
    fcm.stop()
    return url


def _todoke(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", "todoke", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def _orders(calls: Iterable[Call]) -> dict[str, list[float]]:
    """What each customer paid, order by order."""
    found: dict[str, list[float]] = {}
    for call in sorted(calls, key=lambda call: call.time):
        if call.plain.get("event") == _ORDER:
            found.setdefault(call.plain["userId"], []).append(call.plain["properties"]["revenue"])
    return found


def _states(report: Plain) -> Counter[str]:
    sums = Counter[str]()
    for step in report["steps"]:
        sums.update(step["sends"])
    return sums


def _ended(rows: Counter[str]) -> Counter[str]:
    return Counter({state: count for state, count in rows.items() if state != LedgerState.SUPPRESSED})


def _decided(report: Plain) -> dict[str, int]:
    return {f"{each['step']} {each['arm']} {each['channel']}": each["decided"] for each in report["steps"]}


def _equal(name: str, found: object, expected: object) -> Check:
    return Check(name, found, [] if found == expected else [f"{found} in place of {expected}"])


def _unlike(live: Plain, bounded: Plain, part: str) -> list[str]:
    return [] if live[part] == bounded[part] else [f"live {live[part]}", f"file {bounded[part]}"]


def _size(part: Plain | list[Plain]) -> int:
    """How many there are: of counts their sum."""
    counts = [value for value in part.values() if isinstance(value, int)] if isinstance(part, dict) else []
    return sum(counts) or len(part)
