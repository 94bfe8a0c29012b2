"""What pyproject.toml cannot say: which commit a package is built from, and that two builds of it are the same bytes.

Everything else stands there. Dataflow's --setup_file wants a setup.py, too.
"""

import os
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
#: Beside the package's own version: what `todoke --version` says.
COMMIT = Path("todoke", "commit.txt")
#: The first day of a zip file's calendar: the time of files whose commit nobody knows.
EARLIEST = "315532800"


def git(*words: str) -> str:
    """What git says of this folder; empty if it is not the top of a checkout."""
    if not (HERE / ".git").exists():
        return ""
    try:
        return subprocess.check_output(("git", "-C", str(HERE), *words), text=True, stderr=subprocess.DEVNULL).strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def write_commit(folder: str) -> None:
    """Say in a tree that is built which commit it is; an archive that was built before says so already."""
    commit = os.environ.get("TODOKE_COMMIT") or git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    place = Path(folder) / COMMIT
    if commit and place.parent.is_dir():
        place.unlink(missing_ok=True)  # it may be a hard link to another tree's
        place.write_text(f"{commit}\n", encoding="utf-8")


class BuildPy(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            write_commit(self.build_lib)


class Sdist(sdist):
    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        write_commit(base_dir)


# Wheels have the time of the commit in place of the time of each file: https://reproducible-builds.org/specs/source-date-epoch
os.umask(0o022)  # a wheel has the rights of its files, too
os.environ["SOURCE_DATE_EPOCH"] = os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or EARLIEST
setup(cmdclass={"build_py": BuildPy, "sdist": Sdist})
