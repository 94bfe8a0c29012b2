"""What is on this machine: the packages, and the programs that live jobs and tests use."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from todoke.doctor.finding import Finding
from todoke.emulators import NO_BIGTABLE, NO_PUBSUB, find_bigtable, find_pubsub
from todoke.prism import beam_version, installed_prism, prism_version
from todoke.version import version_line
from transforms.events.channels import ChannelError
from transforms.identity.channels import channels, versions

__all__ = [
    "EMULATED",
    "look_at_channels",
    "look_at_emulators",
    "look_at_hosts",
    "look_at_packages",
    "look_at_prism",
    "look_at_programs",
    "look_at_python",
]

#: The variables that lead Google's clients to an emulator.
EMULATED = {"Bigtable": "BIGTABLE_EMULATOR_HOST", "Pub/Sub": "PUBSUB_EMULATOR_HOST"}
#: How long a program may take to say its version, and an emulator to answer, in seconds.
_ASK_SECONDS, _CONNECT_SECONDS = 10.0, 2.0
_INSTALL = "install it again with its dependencies: pip install -c requirements.lock todoke"


def look_at_python() -> Iterator[Finding]:
    """The interpreter, and which Todoke this is."""
    wanted = metadata("todoke")["Requires-Python"]
    here = ".".join(map(str, sys.version_info[:3]))
    if SpecifierSet(wanted).contains(here):
        yield Finding("python", "ok", f"{here} at {sys.executable}")
    else:
        yield Finding("python", "missing", here, f"Todoke needs Python {wanted}")
    yield Finding("todoke", "ok", version_line())


def look_at_packages() -> Iterator[Finding]:
    """The packages that this one needs, and Beam among them."""
    wrong = []
    for line in requires("todoke") or ():
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            here = version(wanted.name)
        except PackageNotFoundError:
            wrong.append(f"{wanted.name} is not installed")
            continue
        if not wanted.specifier.contains(here, prereleases=True):
            wrong.append(f"{wanted.name} is {here}, and {wanted.specifier} is wanted")
    if wrong:
        yield Finding("packages", "missing", "; ".join(wrong), _INSTALL)
    else:
        yield Finding("packages", "ok", f"all that are needed; Beam {beam_version()}")


def look_at_channels() -> Iterator[Finding]:
    """The installed channels."""
    try:
        found = ", ".join(f"{name} {versions()[name]}" for name in channels())
    except ChannelError as error:
        yield Finding("channels", "missing", str(error), "mend or remove the package that brings it")
        return
    if found:
        yield Finding("channels", "ok", found)
    else:
        yield Finding("channels", "missing", "none is installed", _INSTALL)


def look_at_prism(*, needed: bool) -> Iterator[Finding]:
    """Beam's local runner for live streams, which must be of Beam's version."""
    beam = beam_version()
    found = installed_prism()
    if found is None or found.path is None:
        go = shutil.which("go") is not None
        how = "`todoke run` builds it with Go, once" if go else "Beam would download it from GitHub at the first run"
        todo = "`make prism` in a checkout builds it now" if go else "install Go, or name it with --prism_location"
        yield Finding("prism", "missing" if needed and not go else "note", f"not here yet: {how}", todo)
        return
    built_of = prism_version(found.path)
    place = f"{found.path} ({found.how})"
    if built_of is None:
        yield Finding("prism", "note", f"{place} does not say its version", f"it must be of Beam {beam}")
    elif built_of == beam:
        yield Finding("prism", "ok", f"{built_of} at {place}")
    else:
        todo = f"build the one of Beam {beam}: `make prism`, or go install …/cmd/prism@v{beam}"
        yield Finding("prism", "missing" if needed else "note", f"{place} is {built_of}, and Beam {beam}", todo)


def look_at_programs() -> Iterator[Finding]:
    """Java and Go, which only builds and emulators use."""
    yield _program("java", ["-version"], "only the emulator of Pub/Sub uses it: install Java 17")
    yield _program("go", ["version"], "only builds of Prism and of Bigtable's emulator use it")


def look_at_emulators() -> Iterator[Finding]:
    """The programs of the emulators, which tests use."""
    for name, found, advice in (
        ("bigtable emulator", find_bigtable(_ASK_SECONDS), NO_BIGTABLE),
        ("pubsub emulator", find_pubsub(_ASK_SECONDS), NO_PUBSUB),
    ):
        if found is None:
            none, _, todo = advice.partition(": ")
            yield Finding(name, "note", f"{none}; only tests and tries use one", todo)
        else:
            yield Finding(name, "ok", found)


def look_at_hosts() -> Iterator[Finding]:
    """Whether an emulator answers where the environment leads to one: all of a job's calls would go there."""
    for service, variable in EMULATED.items():
        if variable not in os.environ:
            continue
        host, _, port = os.environ[variable].rpartition(":")
        try:
            with socket.create_connection((host or "localhost", int(port)), _CONNECT_SECONDS):
                yield Finding(variable, "ok", f"{service} is the emulator at {os.environ[variable]}")
        except (OSError, ValueError) as error:
            said = f"nothing answers at {os.environ[variable]}: {error}"
            yield Finding(variable, "missing", said, f"start the emulator, or unset it to use {service} itself")


def _program(name: str, words: list[str], todo: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name, "note", "not on PATH", todo)
    try:
        done = subprocess.run([path, *words], capture_output=True, text=True, check=False, timeout=_ASK_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name, "note", f"{path} does not run: {error}", todo)
    said = (done.stdout + done.stderr).strip().splitlines()
    return Finding(name, "ok", f"{said[0] if said else 'no version'} at {path}")
