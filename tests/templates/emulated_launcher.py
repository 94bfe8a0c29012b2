"""An emulation of Dataflow's launcher, as a program of its own, so that it may have a network of its own: none.

    python emulated_launcher.py FOLDER PYTHON MAIN WORD…

As the real one, it gives every word as `--name=value`, and the program nothing else: the environment is empty but for
values of secrets, which must stay with the launcher, and so is the working directory. Beside loopback there is nothing
to reach where the caller has made a network namespace. FOLDER has the buckets; it gets result.json: the exit code, what
the program wrote, how long it took, and whether this program could reach anybody.
"""

import fcntl
import json
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))

from bucket import leads_to, serve_buckets
from dataflow_api import serve_dataflow

#: Linux: the flags of a network interface, and those of one that is up.
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
UP_AND_RUNNING = 0x41
#: An address of the documentation (RFC 5737), which nobody has: only whether there is a way to it is asked.
ELSEWHERE = ("192.0.2.1", 9)

#: The value of each secret that channels may find in their environment: no job may carry it.
CANARY = "canary-3f9a-of-a-secret"
PLANTED = {
    "TODOKE_SMTP_PASSWORD": CANARY,
    "TODOKE_UNSUBSCRIBE_SECRET": CANARY,
    "TODOKE_SECRET_CRM": CANARY,
    "TODOKE_SECRET_ERP": CANARY,
}


def bring_loopback_up() -> None:
    """In a network namespace of its own loopback is down at first."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh", b"lo", UP_AND_RUNNING)
        with suppress(PermissionError):
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, request)


def has_a_way_out() -> bool:
    """Whether packets for other machines could leave; a socket of datagrams sends none by connecting."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            any_socket.connect(ELSEWHERE)
        except OSError:
            return False
        return True


def main(folder: Path, python: str, program: str, words: list[str]) -> None:
    bring_loopback_up()
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    with serve_buckets(folder / "buckets") as url, serve_dataflow() as api:
        api.run("todoke-realtime")
        words = [word.replace("DATAFLOW", api.url.replace("127.0.0.1", "localhost")) for word in words]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(empty), **PLANTED, **leads_to(url)}
        begun = time.monotonic()
        done = subprocess.run(
            [python, program, *words],
            cwd=empty,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    result = {
        "code": done.returncode,
        "out": done.stdout,
        "err": done.stderr,
        "seconds": time.monotonic() - begun,
        "way_out": has_a_way_out(),
        "left": [path.name for path in empty.iterdir()],
    }
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
