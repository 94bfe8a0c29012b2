"""Prism, Beam's local runner: where it is on this machine, and of which version."""

import logging
import mmap
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from beam_pipelines.beam_flags import names_prism
from todoke.terminal import last_line

__all__ = ["Prism", "beam_version", "find_prism", "installed_prism", "prism_version", "with_prism"]

_log = logging.getLogger(__name__)

#: How long building Prism may take, and how long a program named `prism` may take to identify itself, in seconds.
BUILD_SECONDS, ASK_SECONDS = 600, 10

_MODULE = "github.com/apache/beam/sdks/v2/go/cmd/prism"
_CHECKOUT = Path(__file__).parent.parent
#: Go writes into each program what it is built of (https://pkg.go.dev/runtime/debug#BuildInfo).
_BUILT_OF = re.compile(rb"\nmod\tgithub\.com/apache/beam/sdks/v2\tv(\d[\w.+-]*)\t")


class Prism(NamedTuple):
    """Where Prism is, or None for Beam to download it, and how it was found."""

    path: str | None
    how: str


def find_prism(flag: str | None = None) -> Prism:
    """Prism as `--prism_location` names it, else on PATH, else in the checkout, else built with Go, else downloaded."""
    if flag is not None:
        return Prism(flag, "--prism_location")
    found = installed_prism()
    if found is not None:
        return found
    if shutil.which("go") is not None:
        cache = _cache()
        _log.info("building Prism %s with Go, once (a minute or two)", beam_version())
        problem = _build(cache)
        if problem is None:
            return Prism(str(cache / "prism"), "a build with Go")
        _log.warning("Prism could not be built: %s", problem)
    return Prism(None, "Beam's own download")


def with_prism(beam_flags: Sequence[str]) -> list[str]:
    """The flags, and where Prism is, if they name it as the runner and not its place: Beam would only download it."""
    if not names_prism(beam_flags) or any(flag.partition("=")[0] == "--prism_location" for flag in beam_flags):
        return list(beam_flags)
    prism = find_prism()
    if prism.path is None:
        _log.warning("there is no Prism here, so that Beam downloads it; else install Go, or name it: --prism_location")
        return list(beam_flags)
    return [*beam_flags, f"--prism_location={prism.path}"]


def installed_prism() -> Prism | None:
    """Prism that is here already, on PATH, in the checkout or from an earlier build; None if it is not.

    A program on PATH must identify itself as Beam's: others have that name too.
    """
    on_path = shutil.which("prism")
    if on_path is not None and _is_beams(on_path):
        return Prism(on_path, "PATH")
    in_checkout = _CHECKOUT / ".tools" / "bin" / "prism"
    if os.access(in_checkout, os.X_OK):
        return Prism(str(in_checkout), "the checkout")
    built = _cache() / "prism"
    if os.access(built, os.X_OK):
        return Prism(str(built), "an earlier build")
    return None


def prism_version(path: str) -> str | None:
    """The version of Beam that a Prism was built from; None where the program does not say."""
    try:
        with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as program:
            found = _BUILT_OF.search(program)
            return found[1].decode() if found else None
    except (OSError, ValueError):  # not readable, or empty
        return None


def beam_version() -> str:
    """The version of the installed Beam."""
    return version("apache-beam")


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "todoke" / f"prism-{beam_version()}"


def _is_beams(program: str) -> bool:
    try:
        done = subprocess.run([program, "-help"], capture_output=True, check=False, timeout=ASK_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b"job_port" in done.stdout + done.stderr


def _build(cache: Path) -> str | None:
    """Build Prism in the folder; returns what went wrong."""
    command = ["go", "install", f"{_MODULE}@v{beam_version()}"]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            command,
            env=os.environ | {"GOBIN": str(cache)},
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else last_line(done.stderr) or f"go ended with {done.returncode}"
