"""A Flink cluster on this machine: one JobManager, TaskManagers, Beam's job server, and a pool of Python workers.

    python -m tools.flink [--task-managers N] [COMMAND ...]

It runs the command (default: your shell) where the cluster can be reached, and ends with it. `make flink` gets the
jars first.

Some of the cluster's ports listen on all interfaces whatever is said. So each cluster is alone in a network namespace,
where nothing comes from outside; ports are those that Flink and Beam have by custom, since nobody else can have them.
What submits a job must be in there, too.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools import guarded

__all__ = ["FLINK", "Cluster", "FlinkMissing", "NoNamespace", "cluster", "main"]

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "templates" / "flink"
#: Where the job server listens in the namespace: the value of `--flink`.
FLINK = "localhost:8099"
#: Where Flink's REST API listens there, and the pool of workers.
_REST, _POOL = "localhost:8081", 50000

#: How long anything may take to start, and a look at the cluster or a step of one, in seconds: Java on a busy machine.
START_SECONDS, ASK_SECONDS, LOOK_SECONDS = 200.0, 60.0, 0.2

#: What Flink's own scripts open of Java 17.
_OPENED = (
    *(f"--add-exports=java.{each}=ALL-UNNAMED" for each in ("base/sun.net.util", "rmi/sun.rmi.registry")),
    *(
        f"--add-opens=java.base/{each}=ALL-UNNAMED"
        for each in (
            *("java.lang", "java.lang.reflect", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.text"),
            *("java.time", "java.util", "java.util.concurrent", "java.util.concurrent.atomic"),
            "java.util.concurrent.locks",
        )
    ),
)
#: Jars that no job needs. Beam's job server sends its class path along with each job, in vain: the cluster has it.
_OF_THE_CLUSTER = ("flink-rpc-akka-loader", "flink-shaded-zookeeper", "grpc-xds", "grpc-netty-shaded", "conscrypt")
#: Brings the loopback interface up (netdevice(7)), says so, and waits until its input ends.
_HOLDER = """
import fcntl, socket, struct, sys
with socket.socket() as any_socket:
    asked = struct.pack("16sh14x", b"lo", 0)
    (flags,) = struct.unpack("16xh14x", fcntl.ioctl(any_socket, 0x8913, asked))
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))
print("up", flush=True)
sys.stdin.read()
"""
_ASK = """
import sys, urllib.request
asked = urllib.request.Request(sys.argv[2], method=sys.argv[1])
sys.stdout.buffer.write(urllib.request.urlopen(asked, timeout=30).read())
"""


class FlinkMissing(Exception):
    """There can be no cluster on this machine; the text says what is missing."""


class NoNamespace(FlinkMissing):
    """Nobody may have a network namespace of its own here."""


class Cluster:
    """A running cluster; see `cluster`. Its logs are `*.log` in `folder`."""

    def __init__(self, folder: Path, jars: Path, inside: Sequence[str], slots: int) -> None:
        self.folder = folder
        self._inside = tuple(inside)
        self._jars = jars
        self._slots = slots
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._conf = folder / "conf"
        self._conf.mkdir()
        said = (TEMPLATE / "config.yaml").read_text("utf-8")
        said += f"parallelism.default: {slots}\nstate.checkpoints.dir: file://{folder}/checkpoints\n"
        said += f"io.tmp.dirs: {folder}/tmp\nblob.storage.directory: {folder}/tmp\n"
        (folder / "tmp").mkdir()
        (self._conf / "config.yaml").write_text(said, "utf-8")

    def command(self, words: Sequence[str]) -> list[str]:
        """A command as it runs beside the cluster."""
        return [*self._inside, *words]

    def rest(self, path: str, method: str = "GET") -> Any:
        """What Flink's REST API answers at a path, such as `/jobs/overview`.

        Raises:
          RuntimeError: nothing, or an error.
        """
        asked = self.command([sys.executable, "-c", _ASK, method, f"http://{_REST}{urllib.parse.quote(path, '/?=&')}"])
        done = subprocess.run(asked, capture_output=True, check=False, timeout=ASK_SECONDS)
        if done.returncode:
            raise RuntimeError(f"Flink does not answer {path}: {done.stderr.decode(errors='replace')[-300:]}")
        return json.loads(done.stdout)

    def running_job(self) -> str:
        """Wait for the one job that runs, all its tasks too; returns its id."""
        return str(self._until("a job runs", self._running))

    def cancel(self, job: str) -> None:
        """End a job that lives, and wait until it has ended."""
        self.rest(f"/jobs/{job}?mode=cancel", "PATCH")
        self._until(f"{job} has ended", lambda: self.rest(f"/jobs/{job}")["state"] == "CANCELED")

    def checkpoints(self, job: str) -> int:
        """How many checkpoints of a job are complete."""
        return int(self.rest(f"/jobs/{job}/checkpoints")["counts"]["completed"])

    def restarts(self, job: str) -> int:
        """How often a job has been restored from a checkpoint, by Flink's own count."""
        return int(self.rest(f"/jobs/{job}/checkpoints")["counts"]["restored"])

    def await_checkpoints(self, job: str, more: int = 1) -> None:
        """Wait until so many more checkpoints are complete."""
        wanted = self.checkpoints(job) + more
        self._until(f"{wanted} checkpoints are complete", lambda: self.checkpoints(job) >= wanted)

    def task_managers(self) -> list[str]:
        """The names of those that were started and not killed."""
        return [name for name in self._processes if name.startswith("task-manager-")]

    def start_task_manager(self) -> str:
        """Start one more, and wait until it has registered; returns its name."""
        name = f"task-manager-{len(list(self.folder.glob('task-manager-*.log'))) + 1}"
        before = self._registered()  # with those that were killed and are not missed yet
        self._start_task_manager(name)
        self._until(f"{name} has registered", lambda: self._registered() - before)
        return name

    def kill(self, name: str) -> None:
        """SIGKILL one of the cluster's programs, with all that it has started."""
        guarded.end(self._processes.pop(name))

    def workers(self) -> list[int]:
        """The ids of the Python processes in which the steps of jobs run now."""
        pool = self._processes["worker-pool"].pid
        return sorted(pid for pid, session, words in _processes() if session == pool and "SdkHarness(" in words)

    def kill_worker(self, pid: int) -> None:
        """SIGKILL one of `workers`."""
        os.kill(pid, signal.SIGKILL)

    def log(self, name: str) -> str:
        """The end of what a program has said."""
        return (self.folder / f"{name}.log").read_text("utf-8", errors="replace")[-5_000:]

    def _go(self, task_managers: int) -> None:
        """Start everything, and wait until it answers."""
        # The pool starts the `python` that it finds first on PATH.
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
        self._start("worker-pool", [sys.executable, "-m", "tools.flink_workers", str(_POOL)], environment)
        entry = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
        self._start("job-manager", self._java(self._all, entry, *self._configured(), "--executionMode", "cluster"))
        self._until("the JobManager answers", lambda: self.rest("/overview"))
        server = "org.apache.beam.runners.flink.FlinkJobServerDriver"
        host, _, port = FLINK.partition(":")
        places = [f"--job-host={host}", f"--job-port={port}", f"--artifacts-dir={self.folder}/artifacts"]
        places += [f"--flink-master={_REST}", f"--flink-conf-dir={self._conf}", "--artifact-port=0"]
        few = [str(jar) for jar in self._jars.glob("*.jar") if not jar.name.startswith(_OF_THE_CLUSTER)]
        self._start("job-server", self._java(":".join(few), server, *places, "--expansion-port=0"))
        for number in range(task_managers):
            self._start_task_manager(f"task-manager-{number + 1}")
        self._until("all TaskManagers have registered", lambda: len(self._registered()) == task_managers)
        self._until("the pool of workers listens", lambda: "listens at" in self.log("worker-pool"))
        self._until("the job server listens", lambda: "JobService started on" in self.log("job-server"))

    def _stop(self) -> None:
        for process in self._processes.values():
            guarded.end(process)

    def _start_task_manager(self, name: str) -> None:
        runner = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        self._start(name, self._java(self._all, runner, *self._configured()))

    def _configured(self) -> list[str]:
        return ["--configDir", str(self._conf)]

    @property
    def _all(self) -> str:
        return f"{self._jars}/*"

    def _java(self, class_path: str, main: str, *words: str) -> list[str]:
        said = ("-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS")
        return ["java", "-Xmx512m", "-XX:+UseSerialGC", *said, *_OPENED, "-cp", class_path, main, *words]

    def _start(self, name: str, words: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        with (self.folder / f"{name}.log").open("wb") as output:
            self._processes[name] = guarded.start(self.command(words), output, environment)

    def _registered(self) -> set[str]:
        return {each["id"] for each in self.rest("/taskmanagers")["taskmanagers"]}

    def _running(self) -> str:
        jobs = [each["jid"] for each in self.rest("/jobs/overview")["jobs"] if each["state"] == "RUNNING"]
        for job in jobs:
            if all(each["status"] in ("RUNNING", "FINISHED") for each in self.rest(f"/jobs/{job}")["vertices"]):
                return str(job)
        return ""

    def _until(self, what: str, found: Callable[[], Any]) -> Any:
        """Wait until something is so.

        Raises:
          RuntimeError: a program of the cluster has ended, or it takes too long.
        """
        give_up, last = time.monotonic() + START_SECONDS, ""
        while True:
            try:
                if answer := found():
                    return answer
            except RuntimeError as error:
                last = str(error)
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name} has ended:\n{self.log(name)}")
            if time.monotonic() > give_up:
                raise RuntimeError(f"it is not so after {START_SECONDS:.0f} s that {what}. {last}")
            time.sleep(LOOK_SECONDS)


@contextmanager
def cluster(task_managers: int = 2, *, spare: int = 0) -> Iterator[Cluster]:
    """A cluster in a network namespace of its own, which ends with the block, or with this process.

    Args:
      task_managers: how many, with a slot each; a job runs on all of them where it does not say another parallelism.
      spare: so many of them are left free, to take over.

    Raises:
      FlinkMissing: the class path, Java or the namespace is not to be had.
      RuntimeError: it did not start.
    """
    jars = _jars()
    with TemporaryDirectory(prefix="todoke-flink-") as name, _namespace() as inside:
        made = Cluster(Path(name), jars, inside, task_managers - spare)
        try:
            made._go(task_managers)
            yield made
        finally:
            made._stop()


def _jars() -> Path:
    versions = re.findall(r"<(?:flink|beam).version>([\d.]+)<", (TEMPLATE / "pom.xml").read_text("utf-8"))
    folder = ROOT / ".tools" / "flink-{}-beam-{}".format(*versions)
    if not any(folder.glob("*.jar")):
        raise FlinkMissing("no class path of Flink: `make flink-jars`, with Java 17 and Maven")
    if shutil.which("java") is None:
        raise FlinkMissing("no Java, which Flink needs: 17, or 11")
    return folder


@contextmanager
def _namespace() -> Iterator[list[str]]:
    """A network namespace with nothing but loopback; gives what stands before a command that is to run in it.

    Root needs no namespace of users for it; others do, and there they are root of nothing else.
    """
    ways = [(["--net"], ["--net"])] if os.geteuid() == 0 else []
    ways.append((["--map-root-user", "--net"], ["--user", "--preserve-credentials", "--net"]))
    refused = ""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        ways, refused = [], "no unshare or nsenter (util-linux)"
    for make, enter in ways:
        with subprocess.Popen(
            ["unshare", *make, sys.executable, "-c", _HOLDER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as holder:
            assert holder.stdout is not None
            if holder.stdout.readline() == "up\n":
                yield ["nsenter", f"--target={holder.pid}", *enter, "--"]
                return
            _, refused = holder.communicate()
    raise NoNamespace(f"no network namespace of its own for a cluster of Flink: {refused.strip()}")


def _processes() -> Iterator[tuple[int, int, str]]:
    """The id, session and command of each process."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                yield int(folder.name), os.getsid(int(folder.name)), words
            except OSError:  # it has ended
                continue


def main() -> int:
    """Start a cluster, run the command beside it, and end it; returns the command's exit code."""
    flags = argparse.ArgumentParser(prog="python -m tools.flink")
    flags.add_argument("--task-managers", type=int, default=2, metavar="N")
    flags.add_argument("command", nargs=argparse.REMAINDER)
    given = flags.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing that was started outlives this
    try:
        with cluster(given.task_managers) as made:
            words = given.command or [os.environ.get("SHELL", "/bin/sh")]
            print(f"Flink runs: --flink {FLINK}; its pages are at http://{_REST}, its logs in {made.folder}")
            print(f"$ {shlex.join(words)}", flush=True)
            return subprocess.run(made.command(words), check=False).returncode
    except FlinkMissing as missing:
        print(missing, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
