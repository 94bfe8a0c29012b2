"""A disk that is really full: a file system of five megabytes, in a namespace of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

#: Fills the disk by threads, shows that all that was answered is there and nothing else, makes room, and goes on.
SCRIPT = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from transforms.events.queue.append import NotTaken, Queue
from transforms.events.queue.read import QueueReader

path = Path(sys.argv[1]) / "events.db"
ballast = path.with_name("ballast")
ballast.write_bytes(bytes(3_000_000))  # more than the log, which is written into the file when that is closed
answered, refused = {}, []

def fill(thread):
    for number in range(10_000):
        payloads = [b"%d.%d.%d " % (thread, number, part) * 300 for part in range(3)]
        try:
            answered.update(zip(queue.append(payloads), payloads))
        except NotTaken as error:
            refused.append(str(error))
            return

def everything():
    with closing(QueueReader(path)) as reader:
        return {message.id: message.payload for page in reader.pages() for message in page}

with Queue(path) as queue:
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(fill, range(3)))
    assert len(refused) == 3 and all("full" in said or "disk I/O" in said for said in refused), refused
    assert len(answered) > 100
    assert everything() == answered
    ballast.unlink()
    [id_] = queue.append([b"room again"])
    assert everything() == answered | {id_: b"room again"} and id_ == max(answered) + 1
with Queue(path) as queue:
    queue.append([b"and later"])
assert len(everything()) == len(answered) + 2
print("done")
"""


def test_a_full_disk_takes_nothing_half(tmp_path: Path) -> None:
    mounted = f'mount -t tmpfs -o size=5m none {tmp_path} || exit 77; exec {sys.executable} -c "$0" {tmp_path}'
    command = ["unshare", "--user", "--mount", "--map-root-user", "sh", "-c", mounted, SCRIPT]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)}, timeout=120
        )
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no namespaces here")
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
