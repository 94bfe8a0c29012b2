"""The unbounded graph with its steps in other processes, where only the built package is installed.

So nothing of it leans on the memory of the launching process. Acknowledging messages on one machine does, and says so
when it is not there (tests/events/live/test_in_flight.py); here the events come from files.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from core import DAY, HOUR, START, compile_plain, decode_all, essence, run_bounded, texts_of
from generators import iso
from shop import SHOP
from wheels import ROOT, surroundings

from transforms.storage.open import open_store
from transforms.users.user import decode_user

JOB = Path(__file__).parent / "external_job.py"
#: Longer than anything here takes on a busy machine, in seconds.
PATIENCE = 200.0
USERS = 60
#: Without campaigns' exits: whether somebody was in a segment meanwhile depends on the order, which is any here.
CAMPAIGNS = {name: {**body, "exit": []} for name, body in SHOP["campaigns"].items()}
DEFINITIONS = {**SHOP, "campaigns": CAMPAIGNS}


def history() -> list[dict[str, Any]]:
    """Some days of users who look and buy, many of them without a name at first; in no order."""
    calls: list[dict[str, Any]] = []

    def say(type_: str, hour: int, **fields: Any) -> None:
        at = iso(START + hour * HOUR)
        calls.append({"type": type_, "messageId": f"m{len(calls)}", "timestamp": at, "arrival": at, **fields})

    for number in range(USERS):
        user, visitor = {"userId": f"u{number}"}, {"anonymousId": f"a{number}"}
        context = {"device": {"type": "ios", "token": f"token {number}"}}
        say(
            "track", number % 30, event="Viewed", properties={"amount": number % 4}, **(visitor if number % 2 else user)
        )
        say("identify", 31, traits={"plan": "pro" if number % 3 else "free"}, context=context, **user, **visitor)
        say("track", 32 + number % 40, event="Viewed", **visitor)
        if number % 4 == 0:
            say("track", 33 + number % 20, event="Ordered", **user)
    calls.append(calls[0])
    return sorted(calls, key=lambda call: str(call["messageId"])[::-1])


@pytest.fixture
def workers(installed: Path, tmp_path: Path) -> Iterator[str]:
    """Where a worker pool of the installed package listens; it starts the `python` that it finds first on PATH."""
    environment = surroundings() | {"PATH": f"{installed}{os.pathsep}{os.environ['PATH']}"}
    log = tmp_path / "workers.txt"
    with log.open("wb") as file:
        pool = subprocess.Popen(
            [installed / "python", "-m", "apache_beam.runners.worker.worker_pool_main", "--service_port=0"],
            cwd=tmp_path,
            env=environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + PATIENCE
        while not (listening := listeners(pool.pid)):
            assert pool.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield f"localhost:{listening[0]}"
    finally:
        os.killpg(pool.pid, signal.SIGKILL)  # the pool, and the workers that it has started
        pool.wait()


def listeners(pid: int) -> list[int]:
    """The ports at which a process listens."""
    return [each.laddr.port for each in psutil.Process(pid).net_connections() if each.status == psutil.CONN_LISTEN]


@pytest.mark.all_in_ci
def test_workers_of_the_installed_package_end_in_the_same_users(workers: str, prism: str, tmp_path: Path) -> None:
    texts, calls = texts_of(DEFINITIONS), history()
    (tmp_path / "plain.yaml").write_text(texts[0][1])
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(call) + "\n" for call in calls) + "not JSON\n")
    url = f"sqlite:{tmp_path / 'store.db'}"
    command = [sys.executable, JOB, tmp_path / "events.jsonl", tmp_path / "plain.yaml", url, tmp_path / "outbox"]
    job = subprocess.Popen(
        [*command, prism, workers],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = job.communicate(timeout=PATIENCE)
    finally:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
    assert job.returncode == 0, said[-3000:]

    # All deadlines of this history are over by then, and by the clock on the wall.
    compiled, as_of = compile_plain(DEFINITIONS), START + 60 * DAY
    expected, _ = run_bounded(decode_all(calls), compiled, as_of)
    store = open_store(url)
    users = {row.user: decode_user(row.state) for row in store.scan_users()}
    assert essence(users, compiled) == essence(expected, compiled)
    for segment in compiled.segments:
        found = {row.user for row in store.scan_members(segment)}
        assert found == {key for key, user in expected.items() if segment in user.members}
    # What was decided is long over by the clock on the wall: Deliver saw it, and let nothing out.
    states = Counter(row.state for row in store.scan_ledger())
    assert states["expired"] > USERS
    assert states.keys() <= {"expired", "suppressed"}
    counts: Counter[str] = Counter()
    for row in store.scan_metrics(""):
        counts[row.series] += row.count
    assert sum(count for series, count in counts.items() if series.startswith("accounts{")) == len(calls) + 1
    assert counts['accounts{outcome="duplicate"}'] == 1
    store.close()
