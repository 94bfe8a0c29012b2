"""Parts of one system: each is a process, is started again when it fails, and the system ends where one stays down.

`parts.json` in the folder says how they are. Times are seconds since the epoch there, as people and other processes
read it.
"""

import logging
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

import msgspec

from services.status.parts import PartState, write_parts
from todoke.guarded import Guarded
from todoke.live import Patience
from transforms.errors import NotStarted, RunFailed
from transforms.logs import fields

__all__ = ["ServedPart", "keep", "stop_signals"]

_log = logging.getLogger(__name__)

#: Between two looks at the parts.
_LOOK_SECONDS = 0.05
#: Between two tries to say how they are where that cannot be written.
_AGAIN_SECONDS = 1.0
#: How long all parts together may take to end before they are killed: what they hold in hand is not lost by it.
STOP_SECONDS = 4.0


class ServedPart:
    """One process of the system, and its successors.

    Args:
      name: as people know it.
      command: which starts it.
      restarts: failures in a row that are forgiven.
    """

    def __init__(self, name: str, command: Sequence[str], restarts: int) -> None:
        self.name = name
        self._command = command
        self._restarts = restarts
        self._patience = Patience(restarts)
        self._running: Guarded | None = None
        self._started = self._again_at = 0.0
        self.state = PartState(name)

    def look(self) -> None:
        """Start it if it is time, and note if it has ended.

        Raises:
          RunFailed: it failed too often.
          SystemExit: it cannot be started, and has said why.
        """
        if self._running is None:
            if time.monotonic() >= self._again_at:
                self._start()
            return
        code = self._running.poll()
        if code is not None:
            self._note_end(code)

    def terminate(self) -> None:
        """Tell it to end."""
        if self._running is not None:
            self._running.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for its end for so long at most."""
        if self._running is not None:
            with suppress(subprocess.TimeoutExpired):
                self._running.wait(max(0.0, seconds))

    def kill(self) -> None:
        """End it with all that it has started."""
        if self._running is not None:
            self._running.kill()
            self._running = None

    def _start(self) -> None:
        self._running, self._started = Guarded(self._command), time.monotonic()
        self.state = msgspec.structs.replace(self.state, running=True, since=time.time(), process=self._running.pid)

    def _note_end(self, code: int) -> None:
        self.kill()
        ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}" if code else "ended"
        restarts = self.state.restarts + 1
        self.state = PartState(self.name, since=time.time(), restarts=restarts, last=ended)
        if code == NotStarted.exit_code:
            raise SystemExit(code)
        pause = self._patience.after(time.monotonic() - self._started)
        if pause is None:
            raise RunFailed(f"{self.name} {ended}, {self._patience.failures} times in a row; the cause is above")
        self._again_at = time.monotonic() + pause
        _log.warning(
            "%s %s; restart %d of %d in %.0f s",
            self.name,
            ended,
            self._patience.failures,
            self._restarts,
            pause,
            extra=fields(part=self.name, restart=self._patience.failures, pause_s=pause),
        )


def keep(parts: Sequence[ServedPart], told: Path, stopped: threading.Event) -> None:
    """Keep parts running until the event is set; all of them have ended then, however that comes.

    Args:
      parts: started in this order.
      told: the file that says how they are.
      stopped: set it to end; set by a signal that comes a second time, nobody is waited for.

    Raises:
      RunFailed: one failed too often.
      SystemExit: one cannot be started, and has said why.
    """
    teller = _Teller(told)
    with ExitStack() as ending:
        for part in parts:
            ending.callback(part.kill)
        while not stopped.is_set():
            for part in parts:
                part.look()
            teller.tell([part.state for part in parts])
            stopped.wait(_LOOK_SECONDS)
        stopped.clear()
        _end(parts, stopped)


class _Teller:
    """Writes how parts are. Where it cannot, on a full disk for one, nothing ends by that: it tries again."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._shown: list[PartState] = []
        self._again_at = 0.0
        self._is_away = False

    def tell(self, states: list[PartState]) -> None:
        """Write them, if they are other ones than stand there."""
        if states == self._shown or time.monotonic() < self._again_at:
            return
        try:
            write_parts(self._place, states)
        except OSError as error:
            if not self._is_away:
                _log.warning("%s cannot be written: %s", self._place, error.strerror)
            self._is_away, self._again_at = True, time.monotonic() + _AGAIN_SECONDS
            return
        self._is_away, self._shown = False, states


def _end(parts: Sequence[ServedPart], again: threading.Event) -> None:
    """Tell all to end, and wait; not after a second signal."""
    until = time.monotonic() + STOP_SECONDS
    for part in parts:
        part.terminate()
    while time.monotonic() < until and not again.is_set():
        before = time.monotonic()
        for part in parts:
            part.wait(_LOOK_SECONDS)
        if time.monotonic() - before < _LOOK_SECONDS:  # none of them was waited for: all have ended
            return


@contextmanager
def stop_signals(stopped: threading.Event) -> Iterator[None]:
    """Have SIGINT and SIGTERM set an event."""

    def note(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {kind: signal.signal(kind, note) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
