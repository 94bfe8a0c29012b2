"""A process that ends with this one, however that ends, and with all that it has started."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

__all__ = ["Guarded"]

#: Kills its process group when its standard input ends, which the kernel sees to when its parent dies.
_GUARD = "read -r _; kill -9 0"


class Guarded:
    """A command in a process group of its own. Leave the context to end all of the group.

    Args:
      command: the program and its arguments.
    """

    def __init__(self, command: Sequence[str]) -> None:
        # The guard comes first, so that there is no moment at which the command could outlive this process.
        self._guard = subprocess.Popen(["/bin/sh", "-c", _GUARD], stdin=subprocess.PIPE, process_group=0)
        try:
            self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=self._guard.pid)
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """The process id of the command."""
        return self._child.pid

    def poll(self) -> int | None:
        """The exit code of the command, negative for a signal; None as long as it runs."""
        return self._child.poll()

    def wait(self, seconds: float | None = None) -> int:
        """Wait for its end.

        Raises:
          TimeoutExpired: it runs longer.
        """
        return self._child.wait(seconds)

    def terminate(self) -> None:
        """Tell the command to end (SIGTERM); what it started is its own to tell."""
        self._child.terminate()

    def kill(self) -> None:
        """End all of the group, and wait for that; a second time changes nothing."""
        # The guard is not waited for until here, so the number of its group is still its own.
        if self._guard.returncode is None:
            with suppress(ProcessLookupError, PermissionError):  # macOS allows no signal to a group of zombies
                os.killpg(self._guard.pid, signal.SIGKILL)
            self._guard.communicate()

    def __enter__(self) -> "Guarded":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.kill()
