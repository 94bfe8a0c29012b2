"""Try everything on Google Cloud, at the cost of whoever asks: `make cloud-smoke PROJECT=…`.

It makes a site of its own beside what is in the project, launches the job, sends calls, updates the job halfway,
compares what became of them with a run on this machine, reads them from BigQuery, drains the job, and removes all that
it made. With --dry-run it
prints each step and does nothing. Nobody has run it yet: docs/cloud.md says what it would prove.
"""

import argparse
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud.pubsub_v1 import PublisherClient
from google.cloud.pubsub_v1.types import PublisherOptions

from tools.smoke_bigquery import Warehouse
from tools.smoke_calls import DEFINITIONS, calls, counted, differences, fold_here, write_calls
from transforms.account import google_fault
from transforms.errors import TodokeError
from transforms.events.bigquery import EMULATORS

__all__ = ["Failed", "Smoke", "Step", "go", "main", "run_command", "steps", "stopped_by_signals"]

ROOT = Path(__file__).parent.parent
INFRA = ROOT / "templates" / "infra"
#: How long to wait until the job has accounted for all calls, and between two looks, in seconds.
PATIENCE, LOOK = 1_200.0, 15.0
#: How long to wait before all is made a second time, in seconds.
SETTLING = 90.0


class Failed(Exception):
    """A step that did not do what it should; the text says what."""


#: How a step fails: by a command, by what Google says, or by the store.
_FAILURES = (
    *(Failed, TodokeError, GoogleAPIError, GoogleAuthError),
    *(OSError, FutureTimeout, subprocess.CalledProcessError),
)


class Step(NamedTuple):
    """Something to do: what it is for, how it looks in a shell, and how it is done."""

    title: str
    shown: tuple[str, ...]
    do: Callable[[], None]


class Smoke:
    """One smoke test: its names, its files under `folder`, and what it does.

    Args:
      project, region: where.
      run: of this test alone; all names begin with it.
      folder: for a copy of Terraform's module and its state, the calls, and the store of this machine.
      image: by digest; empty to build and push one.
      count: calls.
    """

    def __init__(self, project: str, region: str, run: str, folder: Path, *, image: str, count: int) -> None:
        self.project, self.region, self.run = project, region, run
        self.folder, self.image, self.count = folder, image, count
        self.store = f"bigtable:{project}/{run}"
        self.pointer = f"gs://{project}-{run}-site/definitions/live.json"
        self.topic = f"projects/{project}/topics/{run}-events"
        self.repository = f"{region}-docker.pkg.dev/{project}/{run}/todoke"
        self.module = folder / "infra"
        self.warehouse = Warehouse(project, region, run, folder)
        self._calls: list[tuple[str, bytes]] = []
        self._here = ""

    def copy_module(self) -> None:
        """Copy the module, so that neither values nor a state of somebody's site are taken for this test's."""
        self.module.mkdir(parents=True)
        for path in INFRA.glob("*.tf"):
            shutil.copy(path, self.module)
        shutil.copytree(INFRA / "generated", self.module / "generated")

    def unchanged(self) -> list[str]:
        """A command that fails where a plan would change something."""
        words = self.terraform("plan", image=self.image or "IMAGE@sha256:…")
        return [*(word for word in words if word != "-auto-approve"), "-detailed-exitcode"]

    def terraform(self, *words: str, **variables: str) -> list[str]:
        """A command of Terraform on this test's own copy of the module."""
        said = {"project": self.project, "region": self.region, "name": self.run, "deletion_protection": "false"}
        said |= {"commands": "{}", "bigtable": "{max_nodes=1,backup_days=null}"} | variables
        flags = [f"-var={name}={value}" for name, value in said.items()]
        return ["terraform", f"-chdir={self.module}", *words, "-auto-approve", "-input=false", *flags]

    def make(self) -> None:
        """Make all but the job. Google may need a minute until it knows an API that was switched on, or an account."""
        try:
            run_command(self.terraform("apply"))
        except Failed as error:
            print(f"   {error}; once more in {SETTLING:.0f} s", flush=True)
            time.sleep(SETTLING)
            run_command(self.terraform("apply"))

    def build(self) -> None:
        """Build the image and push it, and remember its digest."""
        try:
            tool = _output([str(ROOT / "templates" / "builder.sh")])
        except Failed as error:
            raise Failed("neither docker nor buildah is here: name an image with --image") from error
        tag = f"{self.repository}:{self.run}"
        run_command(["gcloud", "auth", "configure-docker", f"{self.region}-docker.pkg.dev", "--quiet"])
        run_command(["make", "image", f"ARGS=--tag {tag}"])
        run_command([tool, "push", tag])
        describe = ["gcloud", "artifacts", "docker", "images", "describe", tag, "--project", self.project]
        digest = _output([*describe, "--format=value(image_summary.digest)"])
        if not digest.startswith("sha256:"):
            raise Failed(f"the registry says no digest of {tag}: {digest!r}")
        self.image = f"{self.repository}@{digest}"

    def send(self, start: int, end: int) -> None:
        """Publish some of the calls, each in the order of its user."""
        if not self._calls:
            self._calls = list(calls(self.count, self.run, datetime.now(UTC)))
            write_calls(self.folder / "calls.jsonl", self._calls)
        publisher = PublisherClient(publisher_options=PublisherOptions(enable_message_ordering=True))
        answers = [publisher.publish(self.topic, said, ordering_key=user) for user, said in self._calls[start:end]]
        for answer in answers:
            answer.result(60)
        publisher.stop()

    def wait(self, count: int) -> None:
        """Wait until the job has accounted for so many messages."""
        give_up = time.monotonic() + PATIENCE
        while (found := counted(self.store)) < count:
            if time.monotonic() > give_up:
                raise Failed(f"after {PATIENCE:.0f} s the job has accounted for {found} of {count} calls")
            time.sleep(LOOK)

    def compare(self) -> None:
        """Run over the same calls here, and hold the two stores against each other."""
        self._here = self._here or fold_here(self.folder, self.folder / "calls.jsonl")
        if found := differences(self._here, self.store):
            raise Failed("the job made something else of the calls than this machine:\n  " + "\n  ".join(found))

    def load(self) -> None:
        """Bring the calls into a table of BigQuery."""
        self.warehouse.write_rows()
        for words in self.warehouse.commands():
            run_command(words)

    def compare_tables(self) -> None:
        """Read the table and a query of it, and hold the members against those by the file."""
        if found := self.warehouse.differences():
            raise Failed("BigQuery gave something else than was loaded:\n  " + "\n  ".join(found))

    def remove(self) -> None:
        """Remove everything: Terraform's too if the table's removal fails."""
        try:
            if (self.folder / "rows.jsonl").exists():
                run_command(self.warehouse.removal())
        finally:
            run_command(self.terraform("destroy", image=self.image))

    def left(self) -> str:
        """What there may be where nothing was removed, and how to remove it."""
        return (
            f"the job {self.run}-realtime, and all whose name begins with {self.run} in project {self.project}. "
            f"Remove it: {shlex.join(self.terraform('destroy'))}; {shlex.join(self.warehouse.removal())}"
        )

    def is_updated(self) -> None:
        """See that one job of the name runs, and that it took over from another."""
        command = ["gcloud", "dataflow", "jobs", "list", "--project", self.project, "--region", self.region]
        found = _output([*command, f"--filter=name={self.run}-realtime", "--format=value(state)"]).split()
        if sorted(found) != ["Running", "Updated"]:
            raise Failed(f"expected a job that was updated and one that runs; found {found}")

    def is_drained(self) -> None:
        """See that the last job was drained, and not cancelled."""
        command = ["gcloud", "dataflow", "jobs", "list", "--project", self.project, "--region", self.region]
        found = _output([*command, f"--filter=name={self.run}-realtime", "--format=value(state)"]).split()
        if sorted(found) != ["Drained", "Updated"]:
            raise Failed(f"expected a job that was drained; found {found}")


def steps(smoke: Smoke) -> list[Step]:
    """All of the test, in its order; the last one is done whatever happened before."""
    half = smoke.count // 2

    def command(title: str, words: Callable[[], list[str]]) -> Step:
        return Step(title, (shlex.join(words()),), lambda: run_command(words()))

    def apply(**variables: str) -> Callable[[], list[str]]:
        return lambda: smoke.terraform("apply", image=smoke.image or "IMAGE@sha256:…", **variables)

    place = f"pubsub:projects/{smoke.project}"
    doctor = ["doctor", "--store", smoke.store, "--definitions", smoke.pointer]
    doctor += ["--events", f"{place}/subscriptions/{smoke.run}-events"]
    doctor += ["--control", f"{place}/subscriptions/{smoke.run}-control"]
    doctor += ["--control-topic", f"{place}/topics/{smoke.run}-control"]
    doctor += ["--dead-letters", f"{place}/topics/{smoke.run}-dead-letters"]
    shown = f"make image ARGS='--tag {smoke.repository}:{smoke.run}'"
    pushed = f"docker push {smoke.repository}:{smoke.run}"
    image = [] if smoke.image else [Step("Build the image and push it", (shown, pushed), smoke.build)]
    destroyed = smoke.terraform("destroy", image=smoke.image)
    return [
        Step("Copy the module", (f"cp -r templates/infra {smoke.module}",), smoke.copy_module),
        command("Fetch the providers", lambda: ["terraform", f"-chdir={smoke.module}", "init", "-input=false"]),
        Step("Make all but the job", (shlex.join(smoke.terraform("apply")),), smoke.make),
        *image,
        command("Publish the definitions", lambda: _todoke("publish", str(DEFINITIONS), "--to", smoke.pointer)),
        command("See that all is there", lambda: _todoke(*doctor)),
        command("Launch the job, and wait until it runs", apply()),
        command("See that another apply would change nothing", smoke.unchanged),
        Step(f"Send {half} calls", (f"publish to {smoke.topic}",), lambda: smoke.send(0, half)),
        Step("Wait until they are accounted for", (_shown_metrics(smoke),), lambda: smoke.wait(half)),
        command("Update the job", apply(labels='{round="second"}')),
        Step("See that it was updated", (_shown_jobs(smoke),), smoke.is_updated),
        Step(f"Send {smoke.count - half} calls", (f"publish to {smoke.topic}",), lambda: smoke.send(half, smoke.count)),
        Step("Wait until they are accounted for", (_shown_metrics(smoke),), lambda: smoke.wait(smoke.count)),
        Step("Compare with a run over the same calls here", ("todoke run --events calls.jsonl …",), smoke.compare),
        Step("Load the calls into BigQuery", tuple(map(shlex.join, smoke.warehouse.commands())), smoke.load),
        Step("Read the table, and a query of it", ("todoke backfill --events bigquery:… …",), smoke.compare_tables),
        command("Drain the job", apply(job="{run=false}")),
        Step("See that it was drained", (_shown_jobs(smoke),), smoke.is_drained),
        Step("Compare once more: nothing came or went with the drain", ("as above",), smoke.compare),
        Step("Remove everything", tuple(map(shlex.join, (smoke.warehouse.removal(), destroyed))), smoke.remove),
    ]


def _shown_metrics(smoke: Smoke) -> str:
    return f"todoke metrics --store {smoke.store} --name accounts"


def _shown_jobs(smoke: Smoke) -> str:
    return f"gcloud dataflow jobs list --project {smoke.project} --region {smoke.region}"


def _todoke(*words: str) -> list[str]:
    return [sys.executable, "-m", "todoke", *words]


def run_command(words: Sequence[str]) -> None:
    """Run a program to its end, also where this process is told to end.

    Raises:
      Failed: it is not there, or failed.
    """
    try:
        running = subprocess.Popen(words, cwd=ROOT)
    except FileNotFoundError as error:
        raise Failed(f"{words[0]} is not on this machine") from error
    try:
        code = running.wait()
    except Stopped:
        running.send_signal(signal.SIGINT)  # once: a second one ends Terraform before it wrote down what it made
        running.wait()
        raise
    except KeyboardInterrupt:  # which Terraform got too
        running.wait()
        raise
    if code:
        raise Failed(f"{words[0]} ended with {code}")


def _output(words: Sequence[str]) -> str:
    try:
        done = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError as error:
        raise Failed(f"{words[0]} is not on this machine") from error
    except subprocess.CalledProcessError as error:
        raise Failed(f"{words[0]} ended with {error.returncode}") from error
    return done.stdout.strip()


class Stopped(KeyboardInterrupt):
    """This process alone was told to end, and not what it runs."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise `Stopped`, once: make passes on what its child got already."""
    seen: list[int] = []

    def stop(number: int, _: object) -> None:
        seen.append(number)
        if len(seen) == 1:
            raise Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def go(found: Sequence[Step], left: str) -> str:
    """Do the steps, and the last one in any case; returns what failed, empty for nothing.

    What nobody foresaw, and an interruption, are raised when the last step was done. `left` says what costs money where
    the last step fails, and how to remove it.
    """
    *first, last = found
    problem = ""
    cleaned = False
    try:
        for place, step in enumerate(first, 1):
            begun = time.monotonic()
            print(f"\n{place}. {step.title}", flush=True)
            try:
                step.do()
            except _FAILURES as error:
                problem = f"step {place} ({step.title}) failed: {google_fault(error)}"
                print(problem, flush=True)
                break
            print(f"   done in {time.monotonic() - begun:.0f} s", flush=True)
    finally:
        print(f"\n{len(found)}. {last.title}", flush=True)
        try:
            last.do()
            cleaned = True
        except _FAILURES as error:
            problem = f"{problem}; " * bool(problem) + f"step {len(found)} ({last.title}) failed: {google_fault(error)}"
        finally:
            if not cleaned:
                print(f"What it made may still be there, and cost: {left}", file=sys.stderr, flush=True)
    return problem


def main(argv: Sequence[str] | None = None) -> int:
    """Run the test, or print it."""
    flags = argparse.ArgumentParser(description="Try everything on Google Cloud, and clean up.", allow_abbrev=False)
    flags.add_argument("--project", required=True, help="where; what it costs is yours")
    flags.add_argument("--region", default="europe-west1")
    flags.add_argument("--image", default="", help="by digest; default: build and push one")
    flags.add_argument("--calls", type=int, default=1_000)
    flags.add_argument("--dry-run", action="store_true", help="print each step, and do nothing")
    asked = flags.parse_args(argv)
    if not asked.project:
        flags.error("name a project: make cloud-smoke PROJECT=my-project")
    run = f"smoke-{secrets.token_hex(3)}"
    folder = ROOT / "out" / "smoke" / run
    smoke = Smoke(asked.project, asked.region, run, folder, image=asked.image, count=asked.calls)
    found = steps(smoke)
    if asked.dry_run:
        for place, step in enumerate(found, 1):
            print(f"{place}. {step.title}", *(f"     {line}" for line in step.shown), sep="\n")
        return 0
    folder.mkdir(parents=True)
    for emulator in ("BIGTABLE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", *EMULATORS):
        os.environ.pop(emulator, None)  # this is about the services themselves
    os.environ["GOOGLE_CLOUD_PROJECT"] = asked.project  # which pays for what BigQuery reads
    try:
        with stopped_by_signals():
            problem = go(found, smoke.left())
    except KeyboardInterrupt:
        problem = "interrupted"
    print(problem or f"\nall {len(found)} steps did what they should", flush=True)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
