"""A thousand segments kept fresh by the core, against ClickHouse (chdb), asked for all every 120 s of event time.

    python -m bench.freshness [--events N] [--users N] [--segments N] [--hours H] [--window H]

Both read the same files, one for each 120 s, and end with the same members. ClickHouse has its events sorted by name
and user, and answers all segments in one scan: for each name and user a count a window, of which there are seven, and
from these the size of each segment. Cost is processor time of whole processes, all threads. The windows of the segments
are one to seven times `--window`, in hours.
"""

import argparse
import csv
import heapq
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.segments import START, TOUCHED, compiling
from transforms.events.event import Event
from transforms.segments.values import HOUR
from transforms.users.advance import apply
from transforms.users.editor import UserEditor
from transforms.users.user import User, Wake

ROUND = 120_000_000
#: Different windows of segments.
WINDOWS = 7


def least_window(hours: float) -> int:
    """The shortest window of a segment in microseconds: definitions are written in whole seconds."""
    return int(hours * 3600) * 1_000_000


def asked(segment: int, window: float) -> tuple[int, int, int]:
    """The name's number, least count and window in microseconds of a segment."""
    return segment // TOUCHED, segment % 3 + 1, (segment % WINDOWS + 1) * least_window(window)


def write(folder: Path, events: int, users: int, segments: int, hours: float) -> None:
    """One file for each round: time, user, name, in the order of time."""
    chance, span = random.Random(7), int(hours * HOUR)
    rounds: dict[int, list[str]] = {number: [] for number in range(-(-span // ROUND))}
    for number in range(events):
        at = number * span // events
        rounds[at // ROUND].append(
            f"{START + at},{chance.randrange(users)},{chance.randrange(-(-segments // TOUCHED))}"
        )
    for number, lines in rounds.items():
        (folder / f"{number:06d}.csv").write_text("\n".join(lines) + "\n")


def core(files: list[Path], segments: int, window: float) -> list[int]:
    """Apply each event and each deadline when it comes."""
    lines = ["segments:"]
    for number in range(segments):
        name, least, within = asked(number, window)
        condition = f"{{event: E{name}, count: {{at_least: {least}}}, within: {within // 1_000_000}s}}"
        lines.append(f"  s{number}: {{owner: bench, members: {condition}}}")
    definitions = compiling("\n".join(lines))
    editors: dict[str, UserEditor] = {}
    due: list[tuple[int, str]] = []

    def settle(now: int) -> None:
        while due and due[0][0] <= now:
            at, user = heapq.heappop(due)
            take(user, Wake(at))

    def take(user: str, item: Event | Wake) -> None:
        editor = editors.get(user)
        if editor is None:
            editor = editors[user] = UserEditor(User(user), definitions)
        before = editor.leaves.deadline
        apply(editor, item)
        editor.effects.clear()
        after = editor.leaves.deadline
        if after is not None and (after != before or isinstance(item, Wake)):
            heapq.heappush(due, (after, user))

    number = 0
    for order, file in enumerate(files):
        with file.open() as rows:
            for time, user, name in csv.reader(rows):
                settle(int(time))
                number += 1
                take(user, Event(str(number), "track", f"E{name}", int(time), int(time), user))
        settle(START + (order + 1) * ROUND)
    sizes = dict.fromkeys(range(segments), 0)
    for editor in editors.values():
        for name in editor.members:
            sizes[int(name[1:])] += 1
    return list(sizes.values())


def clickhouse(files: list[Path], segments: int, window: float) -> list[int]:
    """Insert a round's events, and ask for all segments again."""
    from chdb.session import Session  # noqa: PLC0415 - a peer, imported where it is measured

    session = Session()
    session.query("CREATE TABLE e (t Int64, u UInt32, n UInt16) ENGINE = MergeTree ORDER BY (n, u, t)")
    names = range(-(-segments // TOUCHED))
    each = least_window(window)
    answers = []
    for place in range(TOUCHED):
        # Which window and which least count the segment at this place has, by the name's number.
        mine = [asked(name * TOUCHED + place, window) for name in names]
        counts = f"arrayElement(c, arrayElement({[length // each for _, _, length in mine]}, n + 1))"
        answers.append(f"countIf({counts} >= arrayElement({[least for _, least, _ in mine]}, n + 1))")
    sizes: list[int] = []
    for order, file in enumerate(files):
        sizes = [0] * segments
        session.query(f"INSERT INTO e SELECT * FROM file('{file}', CSV, 't Int64, u UInt32, n UInt16')")
        now = START + (order + 1) * ROUND
        counts = ", ".join(f"countIf(t > {now - each * (number + 1)})" for number in range(WINDOWS))
        inner = f"SELECT n, [{counts}] AS c FROM e WHERE t > {now - each * WINDOWS} GROUP BY n, u"
        found = str(session.query(f"SELECT n, {', '.join(answers)} FROM ({inner}) GROUP BY n", "CSV"))
        for line in found.splitlines():
            name, *counted = map(int, line.split(","))
            sizes[name * TOUCHED : (name + 1) * TOUCHED] = counted[: segments - name * TOUCHED]
    session.close()
    return sizes


def main() -> None:
    """Measure and print; with a peer's name, be that peer."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--events", type=int, default=1_000_000)
    flags.add_argument("--users", type=int, default=100_000)
    flags.add_argument("--segments", type=int, default=1_000)
    flags.add_argument("--hours", type=float, default=168)
    flags.add_argument("--window", type=float, default=24)
    flags.add_argument("--peer", choices=("core", "clickhouse"))
    flags.add_argument("--folder", type=Path)
    given = flags.parse_args()
    if given.peer:
        run = {"core": core, "clickhouse": clickhouse}[given.peer]
        print(json.dumps(run(sorted(given.folder.glob("*.csv")), given.segments, given.window)))
        return
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), given.events, given.users, given.segments, given.hours)
        spent: dict[str, float] = {}
        answers: dict[str, str] = {}
        for peer in ("core", "clickhouse"):
            command = [sys.executable, "-m", "bench.freshness", "--peer", peer, "--folder", name]
            command += ["--segments", str(given.segments), "--window", str(given.window)]
            with (Path(name) / "answer").open("w+") as output:
                process = subprocess.Popen(command, stdout=output)
                _, status, usage = os.wait4(process.pid, 0)
                output.seek(0)
                answers[peer] = output.read()
            if status:
                raise SystemExit(f"{peer} failed")
            spent[peer] = usage.ru_utime + usage.ru_stime
        assert answers["core"] == answers["clickhouse"], "the peers do not agree"
    print(
        f"{given.events:,} events of {given.users:,} users in {given.hours} h, {given.segments:,} segments, "
        f"windows of {given.window} to {WINDOWS * given.window} h"
    )
    print(f"core        {spent['core']:8.1f} s of processor, at worst 0 s old")
    print(f"clickhouse  {spent['clickhouse']:8.1f} s of processor, at worst 120 s old and what asking takes")
    print(f"ratio       {spent['clickhouse'] / spent['core']:8.2f}")


if __name__ == "__main__":
    main()
