"""`todoke serve` as a process of its own, as somebody at a shell has it."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from commands import COMMAND

__all__ = ["SHOP", "Served", "serving", "until"]

SHOP = """\
segments:
  buyers: {owner: growth, members: {event: Order Completed}}
campaigns:
  thanks: {owner: growth, trigger: {enters: buyers}, consent: orders, steps: [{send: thank_you}]}
messages:
  thank_you: {channel: push, title: "Thank you, {{ user.first_name | default: 'friend' }}", body: On its way.}
"""
#: How long anything may take on a busy machine, in seconds.
PATIENCE = 90.0


def until(holds: Callable[[], Any], what: str = "it") -> Any:
    """Wait until something is true; returns it."""
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.05)
    return found


class Served:
    """A serve that runs in a folder."""

    def __init__(self, folder: Path, *flags: str, definitions: str = "shop.yaml", environment: Any = None) -> None:
        self.folder, self.data = folder, folder / "todoke-data"
        self.out, self.err = folder / "out.txt", folder / "err.txt"
        words = [str(COMMAND), "serve", definitions, "--listen", "127.0.0.1:0", *flags]
        with self.out.open("wb") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(
                words,
                cwd=folder,
                stdout=out,
                stderr=err,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )

    def said(self) -> str:
        return self.out.read_text()

    def told(self) -> str:
        return self.err.read_text()

    def ready(self) -> "Served":
        def is_ready() -> bool:
            assert self.process.poll() is None, self.told()
            return "ready after" in self.said()

        until(is_ready, "ready")
        return self

    @property
    def url(self) -> str:
        return re.findall(r"send to +(\S+)", self.said())[-1]

    @property
    def key(self) -> str:
        return re.findall(r"write key +(\S+)", self.said())[-1]

    @property
    def curl(self) -> str:
        """The line that it shows, to be pasted into a shell."""
        return re.findall(r"^curl .*?^$", self.said(), re.MULTILINE | re.DOTALL)[-1]

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", **more)

    def is_ready(self) -> bool:
        """Whether `/ready` says so."""
        try:
            return self.get("/ready").status_code == 200
        except httpx.TransportError:
            return False

    def send(self, *calls: dict[str, Any]) -> httpx.Response:
        return httpx.post(f"{self.url}/v1/batch", json={"batch": calls}, auth=(self.key, ""), timeout=30)

    def order(self, user: str, message: str = "") -> httpx.Response:
        """Somebody with a phone orders."""
        who = {"userId": user, "messageId": f"identify {user} {message}"}
        return self.send(
            {"type": "identify", **who, "context": {"device": {"token": f"phone of {user}", "type": "ios"}}},
            {"type": "track", **who, "messageId": f"order {user} {message}", "event": "Order Completed"},
        )

    def pushes(self) -> list[dict[str, Any]]:
        """What is in the outbox."""
        files = sorted((self.data / "outbox").glob("push*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines() if line.endswith("}")]

    def part(self, name: str) -> psutil.Process:
        """The process of a part."""
        parts = {each["name"]: each for each in json.loads((self.data / "parts.json").read_bytes())}
        return psutil.Process(parts[name]["process"])

    def interrupt(self) -> float:
        """Ctrl-C; returns how long it took to end, in seconds."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 0, self.told()
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL of the supervisor; its parts end with it."""
        parts = psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        self.process.kill()
        self.process.wait()
        psutil.wait_procs(parts, timeout=30)


@contextmanager
def serving(folder: Path, *flags: str, **more: Any) -> Iterator[Served]:
    """A serve that is ready, and gone afterwards."""
    served = Served(folder, *flags, **more)
    try:
        yield served.ready()
    finally:
        served.kill()
