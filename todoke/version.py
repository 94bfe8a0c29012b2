"""Which Todoke this is: the version of the package, and the commit that it was built from."""

import subprocess
from importlib.metadata import version
from pathlib import Path

__all__ = ["UNKNOWN", "commit", "version_line"]

#: What is said where nobody knows the commit: in a package that was built from a copy of the files.
UNKNOWN = "unknown"

_PACKAGE = Path(__file__).parent
#: How long git may take, in seconds.
_GIT_SECONDS = 5


def version_line() -> str:
    """The version and the commit, as `todoke --version` prints them."""
    return f"todoke {version('todoke')} (commit {commit()})"


def commit() -> str:
    """The commit, with `-dirty` where files had been changed since.

    A built package holds it (`setup.py` writes it); a checkout asks git.
    """
    try:
        return _PACKAGE.joinpath("commit.txt").read_text("utf-8").strip()
    except OSError:
        return _of_checkout(_PACKAGE.parent) or UNKNOWN


def _of_checkout(folder: Path) -> str:
    if not (folder / ".git").exists():  # a folder in somebody else's checkout
        return ""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
