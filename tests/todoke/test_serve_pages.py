"""What README and tutorial tell a newcomer to type does what they say, from `pip install` to a push in the outbox."""

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import until
from wheels import ROOT, copy_source, surroundings

from todoke.prism import installed_prism

README = (ROOT / "README.md").read_text("utf-8").partition("## Live in a minute")[2].partition("\n## ")[0]
TUTORIAL = (ROOT / "docs" / "tutorial" / "live.md").read_text("utf-8")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Newcomer:
    """Somebody with a clone, an empty virtual environment, and two terminals."""

    def __init__(self, folder: Path) -> None:
        self.clone, self.folder, self.home = folder / "clone", folder / "work", folder / "venv"
        self.clone.mkdir()
        self.folder.mkdir()
        copy_source(self.clone)
        venv.create(self.home, with_pip=False)
        # What the package needs is that of this environment: nothing is fetched, and nothing is installed there.
        packages = self.home / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
        (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        pip, python = self.home / "bin" / "pip", self.home / "bin" / "python"
        more = "--no-deps --no-index --no-build-isolation --quiet"
        pip.write_text(f'#!/bin/sh\nexec {sys.executable} -m pip --python {python} "$@" {more}\n')
        pip.chmod(stat.S_IRWXU)
        self.served: subprocess.Popen[bytes] | None = None
        self.out = self.folder / "out.txt"

    def type(self, command: str) -> str:
        """Run a command; returns what it prints."""
        cwd = self.clone if command.startswith("pip ") else self.folder
        if command.startswith("todoke serve"):  # on a free port, in a terminal of its own
            words = ["/bin/sh", "-c", f"exec {command.strip()} --listen 127.0.0.1:0"]
            with self.out.open("wb") as out:
                self.served = subprocess.Popen(words, cwd=cwd, env=self._environment(), stdout=out, stderr=out)
            until(lambda: "ready after" in self.said(), "ready")
            return ""
        words = ["/bin/sh", "-c", self._filled(command) if command.startswith("curl ") else command]
        return subprocess.run(
            words, cwd=cwd, env=self._environment(), capture_output=True, text=True, check=False
        ).stdout

    def said(self) -> str:
        return self.out.read_text()

    def _filled(self, command: str) -> str:
        """With the key and the port of this run; Ada's line is the one that is shown."""
        [key] = re.findall(r"write key +(\S+)", self.said())
        [port] = re.findall(r"send to +\S+:(\d+)", self.said())
        filled = command.replace("KEY", key).replace(":8600", f":{port}")
        assert '"ada"' not in filled or filled.strip() in self.said()
        return filled

    def _environment(self) -> dict[str, str]:
        path = f"{self.home / 'bin'}:{ROOT / '.tools' / 'bin'}:{os.environ['PATH']}"
        return surroundings() | {"PATH": path}

    def leave(self) -> None:
        if self.served is not None:
            self.served.terminate()
            assert self.served.wait(30) == 0


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    found = Newcomer(tmp_path)
    yield found
    found.leave()


@pytest.mark.skipif(installed_prism() is None or shutil.which("curl") is None, reason="no Prism, or no curl")
@pytest.mark.parametrize(
    "page", [pytest.param(README, id="README"), pytest.param(TUTORIAL, id="tutorial", marks=pytest.mark.all_in_ci)]
)
def test_a_newcomers_commands_lead_to_a_push_in_the_outbox(newcomer: Newcomer, page: str) -> None:
    five, rest = BLOCK.findall(page)[:5], BLOCK.findall(page)[5:]
    assert [command.split()[0] for command in five] == ["pip", "cat", "todoke", "curl", "cat"]
    for command in five[:-1]:
        assert newcomer.type(command) == ('{"success":true}' if command.startswith("curl") else "")
    assert (newcomer.home / "bin" / "todoke").exists()
    pushes = until(lambda: newcomer.type(five[-1]), "the push")
    assert '"title":"Thank you, Ada"' in pushes
    for command in rest:
        said = newcomer.type(command)
        if command.startswith("todoke user"):
            assert "segment buyers" in said
        if command.startswith("sed"):
            until(lambda: "release 2" in newcomer.said(), "release 2")
        if command.startswith("curl"):
            until(lambda: '"title":"Thanks, Ben"' in newcomer.type(five[-1]), "the push to Ben")
