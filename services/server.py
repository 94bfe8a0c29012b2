"""One way to serve an ASGI application: granian, with one or more workers.

A worker is a process that makes the application by itself, so `load` opens what it needs there: nothing that is open is
carried over a fork. The application's lifespan closes it. Workers end with the process that started them, however that
ends.
"""

import errno
import ipaddress
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from typing import Any, NamedTuple

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer
from starlette.types import ASGIApp

from transforms.errors import NotStarted, TodokeError, WrongUse
from transforms.events.plain import quoted

__all__ = ["CannotListen", "Listen", "check_listen", "parse_listen", "serve"]

#: What stands before a body, in bytes; a pixel's data is in the path.
HEAD_BYTES = 96 * 1024
#: How long a head may take to come, and how long a connection may be idle, in milliseconds.
HEAD_MILLISECONDS = 30_000
#: Connections of a worker; what comes beyond waits in the kernel, which holds so many more.
CONNECTIONS, BACKLOG = 4_096, 4_096
#: How long a worker may take to answer what it has taken after it was told to end, in seconds: Cloud Run gives ten.
END_SECONDS = 8
#: How long is waited for an address that one which is just ending has, in seconds.
DYING_SECONDS = 3.0
#: How often it is looked whether a worker answers or an address is free, and whether who started it lives, in seconds.
_LOOK_SECONDS, _PARENT_SECONDS = 0.05, 0.5
#: What granian warns of goes where this process logs; its other lines are for who debugs it.
_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"propagate": True}},
}

_log = logging.getLogger(__name__)


class CannotListen(NotStarted):
    """An address that cannot be listened at; the text says why."""


class Listen(NamedTuple):
    """Where to listen. Port 0 is one that is free."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine can come."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def parse_listen(text: str) -> Listen:
    """Read `HOST:PORT`, `[::1]:PORT` or `PORT` alone, which is of loopback.

    Raises:
      WrongUse: it is none of these.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else "127.0.0.1"
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise WrongUse(f"expected HOST:PORT, such as 127.0.0.1:8600; found {quoted(text)}")
    return Listen(host, int(port))


def check_listen(listen: Listen) -> Listen:
    """Find what keeps anybody from listening, before anything is started; returns it with a port that is free.

    Raises:
      CannotListen: the address is taken, or none of this machine.
    """
    with closing(_held(listen)) as holding:
        return Listen(listen.host, holding.getsockname()[1])


def serve(
    load: Callable[[], ASGIApp], listen: Listen, *, workers: int = 1, up: Callable[[Listen], None] = lambda _: None
) -> None:
    """Serve until SIGTERM or SIGINT; then answer what was taken, and end in seconds.

    Args:
      load: makes the application in each worker; a function of a module, or a `partial` of one. What it logs goes where
        this process logs.
      listen: where.
      workers: how many processes.
      up: is told once where it answers, when it does.

    Raises:
      CannotListen: the address is taken, or none of this machine.
    """
    with closing(_held(listen)) as holding:
        found = Listen(listen.host, holding.getsockname()[1])
        server = _Server(
            "",
            address=found.host,
            port=found.port,
            interface=Interfaces.ASGI,
            workers=workers,
            loop=Loops.asyncio,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=CONNECTIONS,
            http1_settings=HTTP1Settings(header_read_timeout=HEAD_MILLISECONDS, max_buffer_size=HEAD_BYTES),
            log_level=LogLevels.warning,
            log_dictconfig=_LOGGING,
            workers_kill_timeout=END_SECONDS,
            respawn_failed_workers=True,
        )
        ended = threading.Event()
        looks = threading.Thread(target=_tell_when_up, args=(found, up, ended), daemon=True)
        server.on_startup(looks.start)
        try:
            server.serve(target_loader=partial(_loaded, load, os.getpid()), wrap_loader=False)
        finally:
            ended.set()


class _Server(MPServer):
    """Granian's, but that it knows which workers have ended, and says so if one has not.

    Granian waits for a worker in two threads. The system tells only one of them that it has ended; the other takes it
    for one that hangs, and kills what is gone. So workers are waited for here, before granian does.
    """

    def _stop_workers(self) -> None:
        for each in self._left(0.0):
            each.terminate()
        for each in self._left(END_SECONDS):
            _log.warning("a worker did not end in %d seconds and is killed; what it answered is kept", END_SECONDS)
            each.kill()
        self._left(1.0)
        super()._stop_workers()  # type: ignore[no-untyped-call]

    def _left(self, seconds: float) -> list[Any]:
        """The workers that have not ended after so many seconds."""
        until = time.monotonic() + seconds
        workers: list[Any] = self.wrks
        while (left := [each for each in workers if each.is_alive()]) and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
        return left


def _loaded(load: Callable[[], ASGIApp], parent: int) -> ASGIApp:
    """In a worker: the application, and a thread that ends the worker if who started it is killed."""
    threading.Thread(target=_end_with, args=(parent,), name="parent", daemon=True).start()
    try:
        return load()
    except TodokeError as error:  # what was there when the service started, such as a file of keys
        _log.error("%s", error)
        raise SystemExit(error.exit_code) from None


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_SECONDS)
    _log.warning("who started this worker is gone")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(END_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def _held(listen: Listen) -> socket.socket:
    """A socket that holds the address for the workers. They share it by SO_REUSEPORT, which would also let a second
    service take half of what comes; so first it is tried without.
    """
    until = time.monotonic() + DYING_SECONDS
    while True:
        try:
            with _bound(listen.host, listen.port, shared=False) as alone:
                host, port, *_ = alone.getsockname()
            return _bound(host, port, shared=True)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= until:
                raise CannotListen(f"cannot listen at {listen.host}:{listen.port}: {error.strerror}") from error
        time.sleep(_LOOK_SECONDS)


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


def _tell_when_up(listen: Listen, up: Callable[[Listen], None], ended: threading.Event) -> None:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)
    while not ended.is_set():
        with suppress(OSError), socket.create_connection((host, listen.port), timeout=1):
            up(listen)
            return
        ended.wait(_LOOK_SECONDS)
