"""The Bigtable and Pub/Sub emulators as servers on free loopback ports, which end with this process however it ends."""

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

import grpc

from todoke.emulators import NO_BIGTABLE, NO_PUBSUB, find_bigtable, find_pubsub
from tools import guarded

__all__ = ["Emulator", "EmulatorMissing", "Instance", "Project", "start_bigtable", "start_pubsub"]

#: How long an emulator may take until it answers, in seconds: Java on a busy machine.
START_SECONDS = 60.0
#: A free port may be taken by somebody else before the emulator binds it.
PORTS_TRIED = 3


class Instance(NamedTuple):
    """A Bigtable instance that nobody else uses."""

    host: str
    project: str
    name: str

    @property
    def url(self) -> str:
        """The store in it."""
        return f"bigtable:{self.project}/{self.name}"


class Project(NamedTuple):
    """A project of Pub/Sub that nobody else uses."""

    host: str
    name: str


class EmulatorMissing(Exception):
    """The emulator is not on this machine; the text says what to install."""


class Emulator:
    """A running emulator. `host` is HOST:PORT, as clients want it in their environment."""

    def __init__(self, command: Sequence[str], host: str | None = None) -> None:
        """Start it, and wait until it answers at `host`, or where it says that it listens.

        Raises:
          RuntimeError: it ended, or did not answer in time.
        """
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the emulator runs
        self._process = guarded.start(command, self._output)
        deadline = time.monotonic() + START_SECONDS
        while True:
            self.host = host or self._announced()
            if self.host and _answers(self.host):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._said()
                self.stop()
                raise RuntimeError(f"{command[0]} did not start:\n{said}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Kill it, and wait until it is gone."""
        guarded.end(self._process)
        self._output.close()

    def _announced(self) -> str:
        found = re.search(r"running on (\S+:[1-9]\d*)", self._said())
        return found[1] if found else ""

    def _said(self) -> str:
        return os.pread(self._output.fileno(), 100_000, 0).decode(errors="replace")


def start_bigtable() -> Emulator:
    """Start the Bigtable emulator.

    Raises:
      EmulatorMissing: there is none.
    """
    program = find_bigtable()
    if program is None:
        raise EmulatorMissing(NO_BIGTABLE)
    return Emulator([program, "-host", "127.0.0.1", "-port", "0"])


def start_pubsub() -> Emulator:
    """Start the Pub/Sub emulator.

    Raises:
      EmulatorMissing: there is none, or no Java.
    """
    jar = find_pubsub()
    if jar is None or shutil.which("java") is None:
        raise EmulatorMissing(NO_PUBSUB)
    for left in reversed(range(PORTS_TRIED)):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        try:
            return Emulator(["java", "-jar", jar, "--host=127.0.0.1", f"--port={port}"], f"127.0.0.1:{port}")
        except RuntimeError:
            if not left:
                raise
    raise AssertionError


def _answers(host: str) -> bool:
    with grpc.insecure_channel(host) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=1)
        except grpc.FutureTimeoutError:
            return False
        return True
