"""Programs in the background that end with whoever started them, however that ends."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

__all__ = ["end", "start"]

#: Runs a command, and kills it when standard input ends, which the kernel sees to when the parent dies. Ends with the
#: command too. `kill 0` is everything of the session that was started for it.
_GUARD = '("$@" </dev/null; kill -9 0) & read -r _; kill -9 0'


def start(
    command: Sequence[str], output: IO[bytes], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own."""
    return subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "sh", *command],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and all that it started in its session, and wait until it is gone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    if process.stdin is not None:
        process.stdin.close()
