"""The surroundings of a proof: emulators behind proxies, local servers, the command with its processes, a publisher."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.reliability.brokers import PROJECT, Broker, FileQueue, PubsubBroker
from bench.reliability.stream import Call
from transforms.channels.email.local_smtp import LocalSmtp
from transforms.channels.push.local_fcm import LocalFcm
from transforms.storage.open import open_store
from transforms.storage.store import Store

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from emulators import start_bigtable, start_pubsub
from flaky import Flaky

__all__ = ["DEFINITIONS", "SLOW_SECONDS", "Job", "Rig", "emulated", "publishing", "rig"]

DEFINITIONS = Path(__file__).parent / "definitions.yaml"
#: How long the publisher waits for the broker, in seconds.
PUBLISH_SECONDS = 60.0
STOP_SECONDS = 90.0
#: How long the push server delays its answer for tokens that `stream` names slow, in seconds.
SLOW_SECONDS = 0.2


class Job:
    """`todoke run` as a user starts it, with all processes below it."""

    def __init__(self, flags: dict[str, Any], environment: dict[str, str], log: Path) -> None:
        given = [str(part) for flag in flags.items() for part in flag]
        self._command = [sys.executable, "-m", "todoke", "run", *given]
        self._environment = environment
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the supervisor, which starts the rest."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )

    def kill(self) -> int:
        """SIGKILL to every process of the tree at once; returns how many there were."""
        assert self._process is not None
        tree = _tree(self._process.pid)
        for pid in tree:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait(30)
        return len(tree)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(STOP_SECONDS)

    def check(self) -> None:
        """Raises RuntimeError if the job has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"the job ended with {self._process.returncode}:\n{self.tail()}")

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]


def _tree(root: int) -> list[int]:
    """A process and all below it, the root first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    tree = [root]
    for pid in tree:
        tree += children.get(pid, [])
    return tree


class Rig:
    """One proof's surroundings.

    Args:
      folder: of the log and the outbox.
      broker: what the job reads; stopped in the end.
      url: of the store.
      environment: of the job, beside the broker's.
      tables: the proxy before the store, if there is one.
      definitions: what the job runs.
    """

    def __init__(
        self,
        folder: Path,
        broker: Broker,
        url: str,
        *,
        environment: dict[str, str] | None = None,
        tables: Flaky | None = None,
        definitions: Path = DEFINITIONS,
    ) -> None:
        self.folder = folder
        self.broker = broker
        self.tables = tables
        self.definitions = definitions
        self.fcm, self.smtp = LocalFcm.start(slow=SLOW_SECONDS), LocalSmtp.start()
        self.url = url
        self.store: Store = open_store(url)
        self.job = Job(
            self.flags(broker.events, url), os.environ | broker.environment | (environment or {}), folder / "log.txt"
        )

    def flags(self, events: str, store: str) -> dict[str, Any]:
        """The flags of `todoke run`, with the local servers."""
        return {
            "--definitions": self.definitions,
            "--events": events,
            "--store": store,
            "--push": f"fcm:demo-project@{self.fcm.url}",
            "--email": self.smtp.url,
            "--outbox": self.folder / "outbox",
        }

    def close(self) -> None:
        """Stop everything."""
        self.job.stop()
        self.store.close()
        self.smtp.stop()
        self.fcm.stop()
        self.broker.stop()
        if self.tables is not None:
            self.tables.stop()


def emulated(folder: Path, pubsub: str, bigtable: str, *, refusable: bool = False) -> Rig:
    """A rig with both emulators; with `refusable`, the job reaches the store through `tables`."""
    tables = Flaky(bigtable) if refusable else None
    host = bigtable if tables is None else tables.host
    url = f"bigtable:{PROJECT}/{folder.name.replace('_', '-').lower()}"
    broker = PubsubBroker(pubsub, folder.name)
    return Rig(folder, broker, url, environment={"BIGTABLE_EMULATOR_HOST": host}, tables=tables)


@contextmanager
def rig(*, refusable: bool = False, queue: bool = False) -> Iterator[Rig]:
    """Start emulators and servers on free ports, see `emulated`; or with `queue` use a queue and SQLite."""
    folder = Path(tempfile.mkdtemp(prefix="proof-"))
    with ExitStack() as stack:
        if queue:
            made = Rig(folder, FileQueue(folder / "events.db"), f"sqlite:{folder / 'users.db'}")
        else:
            pubsub, bigtable = start_pubsub(), start_bigtable()
            stack.callback(pubsub.stop)
            stack.callback(bigtable.stop)
            os.environ |= {"PUBSUB_EMULATOR_HOST": pubsub.host, "BIGTABLE_EMULATOR_HOST": bigtable.host}
            made = emulated(folder, pubsub.host, bigtable.host, refusable=refusable)
        stack.callback(made.close)
        yield made


@contextmanager
def publishing(
    broker: Broker, calls: list[Call], begin: int, done: Callable[[int], None]
) -> Iterator[threading.Thread]:
    """Publish each call at its moment in a thread of its own; `done` is told how many the broker has.

    Args:
      begin: the time from which moments count, in microseconds UTC.
    """
    over = threading.Event()

    def publish() -> None:
        send, answers = broker.publishing(), []
        for place, call in enumerate(calls):
            if over.wait(max(0.0, begin / 1e6 + call.at - time.time())):
                break
            answer = send(call.payload)
            answer.add_done_callback(lambda _, place=place: done(place + 1))
            answers.append(answer)
        for answer in answers:
            answer.result(PUBLISH_SECONDS)

    thread = threading.Thread(target=publish, name="publisher", daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        over.set()
        thread.join(PUBLISH_SECONDS)
