"""Services as processes of their own, as a person starts them."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from transforms.events.queue.read import QueueReader

KEY = "shop-key-0123456789"
#: How long a service is up that is killed, in seconds.
UP_SECONDS = 0.7
ROOT = Path(__file__).parents[3]


class Served:
    """A service that answers at `port`; `process` is the one that was started."""

    def __init__(self, process: "subprocess.Popen[str]", line: str) -> None:
        self.process = process
        self.line = line
        self.port = int(line.split()[1].rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def started(folder: Path, *flags: str, listen: str = "127.0.0.1:0", **environment: str) -> Served:
    """The service over a queue and a store of the folder, once it answers; end its process."""
    command = [sys.executable, "-m", "services.collect", "--listen", listen, *flags]
    if "--sink" not in flags:
        command += ["--sink", f"queue:{folder / 'events.db'}"]
    if "--dead-letters" not in flags and "--store" not in flags:
        command += ["--store", f"sqlite:{folder / 'store.db'}"]
    told = {"TODOKE_WRITE_KEYS": f"shop={KEY}", "PYTHONPATH": str(ROOT), **environment}
    process = subprocess.Popen(
        command, env={**os.environ, **told}, stdout=subprocess.PIPE, text=True, cwd=folder, start_new_session=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("collect: http"), process.wait()
    return Served(process, line)


def kill_all(served: Served) -> None:
    """SIGKILL to all of its processes at once, as the system does when memory ends."""
    with suppress(ProcessLookupError):  # it has ended
        os.killpg(served.process.pid, signal.SIGKILL)
    served.process.wait()
    assert served.process.stdout is not None
    served.process.stdout.close()


@contextmanager
def collect_process(folder: Path, *flags: str, listen: str = "127.0.0.1:0", **environment: str) -> Iterator[Served]:
    """The same, for as long as the context lasts."""
    served = started(folder, *flags, listen=listen, **environment)
    try:
        yield served
    finally:
        kill_all(served)


@contextmanager
def restarted(folder: Path, *flags: str, kills: int = 4, **environment: str) -> Iterator[str]:
    """The URL of a service that is killed some times, soon after it answered; at the end it stays up."""
    served = started(folder, *flags, **environment)
    listen, ending = f"127.0.0.1:{served.port}", threading.Event()

    def restart() -> None:
        nonlocal served
        for _ in range(kills):
            if ending.wait(UP_SECONDS):
                return
            kill_all(served)
            served = started(folder, *flags, listen=listen, **environment)

    thread = threading.Thread(target=restart)
    thread.start()
    try:
        yield served.url
    finally:
        ending.set()
        thread.join()
        kill_all(served)


def messages_by_id(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What is in the queue, by `messageId`: what was sent again is there again."""
    found: dict[str, list[dict[str, Any]]] = {}
    with closing(QueueReader(folder / "events.db")) as reader:
        for page in reader.pages():
            for each in page:
                call = json.loads(each.payload)
                found.setdefault(call["messageId"], []).append(call)
    return found


def as_sent(call: dict[str, Any]) -> dict[str, Any]:
    """A published call without what the service adds to it, or merges down from around it."""
    context = {name: said for name, said in call["context"].items() if name != "source"}
    return {name: said for name, said in call.items() if name not in ("receivedAt", "sentAt")} | {"context": context}
