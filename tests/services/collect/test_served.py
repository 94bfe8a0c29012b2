"""The service as a process: how it starts, what is refused, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from services_served import KEY, Served, collect_process

from services.server import parse_listen
from transforms.errors import WrongUse
from transforms.events.queue.read import QueueReader
from transforms.metrics.counts import counts_of, summed
from transforms.storage.open import open_reader

BODY = json.dumps({"event": "Seen", "userId": "ann"}).encode()


def head(length: int) -> bytes:
    key = b64encode(f"{KEY}:".encode()).decode()
    return (
        f"POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {key}\r\nContent-Length: {length}\r\n\r\n".encode()
    )


def post(served: Served, key: str = KEY) -> int:
    return httpx.post(f"{served.url}/v1/track", content=BODY, auth=(key, "")).status_code


def count(folder: Path) -> int:
    with closing(QueueReader(folder / "events.db")) as reader:
        return sum(len(page) for page in reader.pages())


def children(process: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def wait_until_gone(process: int) -> None:
    until = time.monotonic() + 20
    while Path(f"/proc/{process}").exists() and "Z" not in Path(f"/proc/{process}/stat").read_text().split()[2]:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_it_says_where_it_answers_and_ends_with_all_that_it_took(tmp_path: Path) -> None:
    with collect_process(tmp_path, "--workers", "2") as served:
        assert post(served) == 200
        assert post(served, "another-key-0123456") == 401
        with socket.create_connection(("127.0.0.1", served.port)) as slow:
            slow.sendall(head(len(BODY)) + BODY[:9])
            time.sleep(0.3)  # taken by a worker, not only by the kernel
            served.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            slow.sendall(BODY[9:])
            assert slow.recv(20).startswith(b"HTTP/1.1 200")
        assert served.process.wait(20) == 0
    assert count(tmp_path) == 2


def test_without_keys_one_is_made_on_loopback_and_another_address_is_refused(tmp_path: Path) -> None:
    with collect_process(tmp_path, TODOKE_WRITE_KEYS="") as served:
        assert served.process.stdout is not None
        assert post(served, served.process.stdout.readline().split()[-1]) == 200
    words = [sys.executable, "-m", "services.collect", "--sink", f"queue:{tmp_path / 'e.db'}", "--listen", "0.0.0.0:0"]
    environment = {**os.environ, "TODOKE_WRITE_KEYS": ""}
    done = subprocess.run(
        [*words, "--store", "sqlite:s.db"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "collect: at 0.0.0.0:0 others can send: set keys by --keys or TODOKE_WRITE_KEYS\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--sink", "kafka:x", "--store", "sqlite:s.db"], "--sink"),
        (["--sink", "queue:e.db"], "--dead-letters"),
        (["--sink", "queue:e.db", "--store", "redis:x"], "--store"),
        (["--sink", "queue:e.db", "--dead-letters", "file.jsonl"], "--dead-letters"),
        (["--sink", "queue:e.db", "--store", "sqlite:s.db", "--retain", "soon"], "--retain"),
        (["--sink", "queue:e.db", "--store", "sqlite:s.db", "--keys", "none.json"], "none.json"),
        (["--sink", "queue:e.db", "--store", "sqlite:s.db", "--listen", "no-such-host.invalid:1"], "cannot listen"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_served(tmp_path: Path, words: list[str], says: str) -> None:
    environment = {**os.environ, "TODOKE_WRITE_KEYS": f"shop={KEY}"}
    command = [sys.executable, "-m", "services.collect", *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("collect: ")
    assert says in line


def test_an_address_is_of_one_service(tmp_path: Path) -> None:
    with collect_process(tmp_path) as served:
        words = ["--sink", "queue:o.db", "--store", "sqlite:s.db", "--listen", f"127.0.0.1:{served.port}"]
        command = [sys.executable, "-m", "services.collect", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "in use" in done.stderr
        assert post(served) == 200


def test_a_worker_that_is_killed_is_replaced_and_ends_with_who_started_it(tmp_path: Path) -> None:
    with collect_process(tmp_path) as served:
        [worker] = children(served.process.pid)
        os.kill(worker, signal.SIGKILL)
        until = time.monotonic() + 20
        while True:
            try:
                assert post(served) == 200
                break
            except httpx.TransportError:
                assert time.monotonic() < until
                time.sleep(0.1)
        [worker] = children(served.process.pid)
        served.process.kill()
        served.process.wait()
        with collect_process(tmp_path, listen=f"127.0.0.1:{served.port}") as again:  # waits for the dying one
            assert post(again) == 200
        wait_until_gone(worker)
    assert count(tmp_path) == 2


def test_a_store_that_is_away_stops_only_what_it_must_keep(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with collect_process(tmp_path, "--store", f"sqlite:{tmp_path / 'file' / 'store.db'}") as served:
        assert post(served) == 200
        refused = httpx.post(f"{served.url}/v1/track", content=b"{}", auth=(KEY, ""))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert post(served) == 200
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(20) == 0
    assert count(tmp_path) == 2


@pytest.mark.all_in_ci
def test_a_body_that_never_ends_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    with collect_process(tmp_path) as served:
        assert post(served) == 200
        with socket.create_connection(("127.0.0.1", served.port)) as slow:
            slow.sendall(head(len(BODY)) + BODY[:9])
            time.sleep(0.3)
            served.process.send_signal(signal.SIGTERM)
            served.process.wait(20)
    assert count(tmp_path) == 1


def test_each_worker_counts_into_the_store(tmp_path: Path) -> None:
    with collect_process(tmp_path, "--workers", "2") as served:
        for _ in range(20):
            assert post(served) == 200
        assert httpx.post(f"{served.url}/v1/track", content=b"{}", auth=(KEY, "")).status_code == 400
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(20) == 0
    with closing(open_reader(f"sqlite:{tmp_path / 'store.db'}")) as reader:
        sums = summed(counts_of(reader))
    assert sums["collect_calls", (("source", "shop"),)] == 20
    assert sums["collect_refused", (("cause", "no_event"), ("source", "shop"))] == 1
    assert sums["collect_requests", (("status", "200"),)] == 20


@pytest.mark.parametrize(
    ("text", "found", "loopback"),
    [
        ("8600", ("127.0.0.1", 8600), True),
        ("[::1]:0", ("::1", 0), True),
        ("localhost:1", ("localhost", 1), True),
        ("0.0.0.0:80", ("0.0.0.0", 80), False),
        ("shop.example:80", ("shop.example", 80), False),
    ],
)
def test_an_address_is_host_and_port(text: str, found: tuple[str, int], loopback: bool) -> None:
    assert parse_listen(text) == found
    assert parse_listen(text).is_loopback is loopback


@pytest.mark.parametrize("text", ["", "host:", ":80", "host:x", "host:65536", "host:-1", "²:²"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(WrongUse, match="HOST:PORT"):
        parse_listen(text)


def test_a_worker_that_finds_its_keys_broken_says_so_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"shop": {"keys": [KEY]}}))
    with collect_process(tmp_path, "--keys", str(keys)) as served:
        keys.write_text("{")
        assert post(served) == 200  # it goes on with those that it has
        for worker in children(served.process.pid):
            os.kill(worker, signal.SIGKILL)
        served.process.wait(30)
    told = capfd.readouterr().err
    assert f"{keys}: Input data was truncated" in told
    assert "Traceback" not in told
