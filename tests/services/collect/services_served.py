"""Services as processes of their own, as a person starts them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEY = "shop-key-0123456789"
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
    if "--dead-letters" not in flags:
        command += ["--store", f"sqlite:{folder / 'store.db'}"]
    told = {"TODOKE_WRITE_KEYS": f"shop={KEY}", "PYTHONPATH": str(ROOT), **environment}
    process = subprocess.Popen(command, env={**os.environ, **told}, stdout=subprocess.PIPE, text=True, cwd=folder)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("collect: http"), process.wait()
    return Served(process, line)


@contextmanager
def collect_process(folder: Path, *flags: str, listen: str = "127.0.0.1:0", **environment: str) -> Iterator[Served]:
    """The same, for as long as the context lasts."""
    served = started(folder, *flags, listen=listen, **environment)
    try:
        yield served
    finally:
        served.process.kill()
        served.process.wait()
        assert served.process.stdout is not None
        served.process.stdout.close()
