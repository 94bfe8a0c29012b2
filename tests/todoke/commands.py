"""`todoke` in this process, and as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from unittest.mock import patch

from typer.testing import CliRunner

from todoke.cli import app

__all__ = ["COMMAND", "Todoke", "run_process", "run_todoke"]

Todoke = Callable[..., subprocess.CompletedProcess[str]]

COMMAND = Path(sys.executable).parent / "todoke"


def run_todoke(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = list(map(str, arguments))
    with chdir(folder), patch.dict(os.environ):  # the password of a mail server goes there
        done = CliRunner().invoke(app, words, prog_name="todoke")
    if done.exc_info is not None and done.exit_code == 1 and not isinstance(done.exception, SystemExit):
        raise done.exc_info[1]  # the command line turns every error into a line
    return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


def run_process(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(COMMAND), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
