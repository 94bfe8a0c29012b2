"""What was answered 200 is there, whatever happens: SIGKILL under load, a full disk, a broker that goes away."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from emulators import Project
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from services_served import KEY, ROOT, collect_process, kill_all, messages_by_id, started

SENDERS = 8


def batch(name: str, count: int = 5) -> dict[str, Any]:
    calls = [
        {"type": "track", "event": "Seen", "userId": "ann", "messageId": f"{name}.{place}"} for place in range(count)
    ]
    return {"batch": calls}


@pytest.mark.all_in_ci
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_was_answered_is_in_the_queue_when_all_processes_are_killed_under_load(
    tmp_path: Path, workers: str
) -> None:
    answered: set[str] = set()
    served = started(tmp_path, "--workers", workers)
    listen, ending = f"127.0.0.1:{served.port}", threading.Event()

    def send(sender: int) -> None:
        number = 0
        while not ending.is_set():
            number += 1
            name = f"{sender}.{number}"
            with suppress(requests.RequestException):
                answer = requests.post(f"http://{listen}/v1/batch", json=batch(name), auth=(KEY, ""), timeout=10)
                if answer.status_code == 200:
                    answered.update(call["messageId"] for call in batch(name)["batch"])

    senders = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    for each in senders:
        each.start()
    try:
        for _ in range(3):
            time.sleep(0.7)
            kill_all(served)
            served = started(tmp_path, "--workers", workers, listen=listen)
    finally:
        ending.set()
        for each in senders:
            each.join()
        kill_all(served)
    assert len(answered) > 50
    assert answered <= messages_by_id(tmp_path).keys()


#: Fills a disk of eight megabytes until the service says so, makes room, and goes on.
FULL = """
import json, sys, time
from pathlib import Path
import requests
from services_served import KEY, collect_process, messages_by_id

folder = Path(sys.argv[1])
ballast = folder / "ballast"
ballast.write_bytes(bytes(3_000_000))
call = {"type": "track", "event": "Seen", "userId": "ann", "properties": {"text": "x" * 5_000}}
answered = set()

def post(name, bad=False):
    calls = [{**call, "messageId": f"{name}.{place}"} for place in range(20)] + [{"type": "track"}] * bad
    answer = requests.post(f"{served.url}/v1/batch", json={"batch": calls}, auth=(KEY, ""), timeout=30)
    if answer.status_code == 200:
        answered.update(call["messageId"] for call in calls if "messageId" in call)
    return answer

with collect_process(folder) as served:
    for number in range(1_000):
        answer = post(number)
        if answer.status_code != 200:
            break
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (503, "1", "unavailable")
    ready = requests.get(f"{served.url}/ready", timeout=30)
    assert ready.status_code == 503, ready.text
    assert requests.get(f"{served.url}/live", timeout=30).status_code == 200
    assert post("with a letter", bad=True).status_code == 503
    ballast.unlink()
    assert post("later", bad=True).status_code == 200
    assert requests.get(f"{served.url}/ready", timeout=30).status_code == 200
assert len(answered) > 100
assert answered == messages_by_id(folder).keys()
print("done")
"""


def test_a_full_disk_is_503_until_there_is_room(tmp_path: Path) -> None:
    mounted = f'mount -t tmpfs -o size=8m none {tmp_path} || exit 77; exec {sys.executable} -c "$0" {tmp_path}'
    command = ["unshare", "--user", "--mount", "--map-root-user", "sh", "-c", mounted, FULL]
    environment = {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no namespaces here")
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


class Way:
    """The way to a broker, which can be cut and mended."""

    def __init__(self, to: str) -> None:
        host, _, port = to.rpartition(":")
        self._to = host, int(port)
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.mend()

    def mend(self) -> None:
        if self._server.fileno() == -1:
            self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def cut(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        while self._open:
            with suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def _accept(self, server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                here, _ = server.accept()
                there = socket.create_connection(self._to)
                self._open += [here, there]
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, to: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(65_536):
                to.sendall(part)
        for each in (source, to):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
                each.close()


@contextmanager
def way(to: str) -> Iterator[Way]:
    made = Way(to)
    try:
        yield made
    finally:
        made.cut()


def until(status: int, url: str, what: str, body: Any = None) -> requests.Response:
    """The first answer with a status."""
    end = time.monotonic() + 60
    while True:
        answer = requests.request("POST" if body else "GET", f"{url}{what}", json=body, auth=(KEY, ""), timeout=30)
        if answer.status_code == status:
            return answer
        assert time.monotonic() < end, answer.text
        time.sleep(0.1)


@pytest.mark.parametrize("ordering", [True, pytest.param(False, marks=pytest.mark.all_in_ci)])
def test_a_broker_that_goes_away_is_503_at_once_and_all_goes_on_when_it_is_back(
    tmp_path: Path, pubsub: Project, ordering: bool
) -> None:
    topic = f"projects/{pubsub.name}/topics/events"
    letters = f"projects/{pubsub.name}/topics/letters"
    subscription = f"projects/{pubsub.name}/subscriptions/job"
    with PublisherClient() as publisher, SubscriberClient() as subscriber:
        for each in (topic, letters):
            publisher.create_topic(name=each)
        asked = {"name": subscription, "topic": topic, "enable_message_ordering": ordering}
        subscriber.create_subscription(request=asked)
        refused = f"projects/{pubsub.name}/subscriptions/people"
        subscriber.create_subscription(request={"name": refused, "topic": letters})
        flags = ["--sink", f"pubsub:{topic}", "--dead-letters", f"pubsub:{letters}", *["--ordering"] * ordering]
        answered = set()

        def post(name: str) -> int:
            answer = requests.post(f"{served.url}/v1/batch", json=batch(name), auth=(KEY, ""), timeout=30)
            if answer.status_code == 200:
                answered.update(call["messageId"] for call in batch(name)["batch"])
            return answer.status_code

        with way(pubsub.host) as broker:
            environment = {"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{broker.port}"}
            with collect_process(tmp_path, *flags, **environment) as served:
                assert post("before") == 200
                until(200, served.url, "/ready")
                broker.cut()
                assert post("away") == 503
                began = time.monotonic()
                for _ in range(5):
                    assert requests.get(f"{served.url}/ready", timeout=30).status_code == 503
                assert post("still away") == 503
                assert time.monotonic() - began < 3
                assert requests.get(f"{served.url}/live", timeout=30).status_code == 200
                broker.mend()
                until(200, served.url, "/v1/batch", batch("back"))
                until(200, served.url, "/ready")
                assert post("after") == 200
                requests.post(f"{served.url}/v1/track", json={"userId": "ann"}, auth=(KEY, ""), timeout=30)
        pulled: dict[str, str] = {}
        end = time.monotonic() + 60
        while not answered <= pulled.keys() and time.monotonic() < end:
            found = subscriber.pull(subscription=subscription, max_messages=100, timeout=30).received_messages
            for each in found:
                call = json.loads(each.message.data)
                pulled[call["messageId"]] = each.message.ordering_key
            subscriber.acknowledge(subscription=subscription, ack_ids=[each.ack_id for each in found])
        [letter] = subscriber.pull(subscription=refused, max_messages=9, timeout=30).received_messages
        assert json.loads(letter.message.data)["cause"] == "no_event"
        assert answered <= pulled.keys()
        assert set(pulled.values()) == ({"ann"} if ordering else {""})
