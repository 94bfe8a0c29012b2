"""The flags of jobs on a Flink cluster, and the portable ones that they mean. Nothing here imports Beam."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from beam_pipelines.values import parsed
from transforms.errors import WrongUse
from transforms.events.plain import quoted
from transforms.segments.values import SECOND, duration

__all__ = ["CHECKPOINTS", "POOL", "add_flink_flags", "known_to_beam", "name_places", "on_flink"]

#: How often a live job takes a checkpoint where nothing is said.
CHECKPOINTS = "10s"
#: Where a pool of Python workers listens beside each TaskManager by custom: Beam's images with `--worker_pool`.
POOL = "localhost:50000"

#: For how long a worker waits for the next stage of a job over files, which would else begin with a new process.
_WORKERS_KEPT_MS = 20_000
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/@\[\]]+):[1-9]\d{0,4}")
#: Flags of Beam that say where a job runs, as --flink does.
_ELSEWHERE = ("--runner", "--job_endpoint", "--flink_master")
#: Flags that only the job server knows.
_PARALLELISM, _INTERVAL, _FINISH = "--parallelism", "--checkpointing_interval", "--finish_bundle_before_checkpointing"


def add_flink_flags(add: Callable[..., argparse.Action]) -> None:
    """Add them to a parser, or to a group of one, by its `add_argument`."""
    add("--flink", metavar="HOST:PORT", help="run on a Flink cluster: where Beam's job server for it listens")
    add("--parallelism", type=int, metavar="N", help="with --flink: tasks side by side (default: the cluster's own)")
    add("--checkpoints", metavar="DURATION", help=f"with --flink: how often a live job takes one ({CHECKPOINTS})")


def name_places(flags: argparse.Namespace) -> None:
    """With --flink, make paths absolute: workers begin in another folder."""
    if flags.flink is None:
        return
    for name in ("events", "store", "outbox", "dead_letters", "out"):
        if said := getattr(flags, name, None):
            setattr(flags, name, _absolute(said))


def _absolute(said: str) -> str:
    kind, colon, path = said.partition(":")
    if kind == "sqlite":
        return f"sqlite:{Path(path).absolute()}"
    named = (colon and "/" not in kind) or said in ("none", "store")  # no part of a path: `./at-09:00.jsonl` is one
    return said if named else str(Path(said).absolute())


def on_flink(flags: argparse.Namespace, beam_flags: list[str], *, live: bool) -> list[str]:
    """What goes to Beam: with --flink, what it means too.

    A job that takes checkpoints finishes its bundles before each. Else a bundle may be acknowledged that is not in the
    checkpoint, and a job may begin with nothing to read: docs/decisions/0060-flink.md.

    Raises:
      WrongUse: a value cannot be, or flags contradict each other.
    """
    if flags.flink is None:
        if given := [f"--{name}" for name in ("parallelism", "checkpoints") if getattr(flags, name) is not None]:
            raise WrongUse(f"{', '.join(given)}: only with --flink")
        return beam_flags
    if not _ADDRESS.fullmatch(flags.flink):
        raise WrongUse(f"--flink: expected HOST:PORT of Beam's job server; found {quoted(flags.flink)}")
    named = {word.partition("=")[0] for word in beam_flags}
    if contrary := [name for name in _ELSEWHERE if name in named]:
        raise WrongUse(f"--flink, {', '.join(contrary)}: both say where the job runs; name one")
    meant = ["--runner=PortableRunner", f"--job_endpoint={flags.flink}"]
    if "--environment_type" not in named:
        meant.append("--environment_type=EXTERNAL")
        if "--environment_config" not in named:
            meant.append(f"--environment_config={POOL}")
    if flags.parallelism is not None:
        if flags.parallelism < 1:
            raise WrongUse(f"--parallelism: expected 1 or more; found {flags.parallelism}")
        meant.append(f"{_PARALLELISM}={flags.parallelism}")
    if live:
        every = parsed("--checkpoints", duration, flags.checkpoints or CHECKPOINTS)
        if every < SECOND:
            raise WrongUse(f"--checkpoints: expected 1s or more; found {flags.checkpoints}")
        meant += [f"{_INTERVAL}={every // 1000}", _FINISH]
    elif flags.checkpoints is not None:
        raise WrongUse("--checkpoints: only for live jobs, and --events names files")
    elif "--environment_cache_millis" not in named:
        meant.append(f"--environment_cache_millis={_WORKERS_KEPT_MS}")
    return [*beam_flags, *meant]


def known_to_beam(beam_flags: Sequence[str]) -> list[str]:
    """What Beam's parser in Python knows of flags: the job server tells it of the others when the job is submitted."""
    return [word for word in beam_flags if word.partition("=")[0] not in (_PARALLELISM, _INTERVAL, _FINISH)]
