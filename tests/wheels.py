"""The package as others get it: built from a copy of the checkout, and installed where there is no checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

__all__ = ["BESIDE", "PACKAGES", "ROOT", "build", "copy_source", "install", "run", "surroundings"]

ROOT = Path(__file__).parent.parent
PACKAGES = ("beam_pipelines", "services", "transforms", "todoke")
BESIDE = ("pyproject.toml", "setup.py", "README.md", "LICENSE")


def surroundings() -> dict[str, str]:
    """This process's environment without what leads to the checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a program that must succeed, without this process's PYTHONPATH; returns its standard output."""
    environment = surroundings() | variables
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_source(folder: Path) -> Path:
    """A copy of what a build reads, so that it finds no leftovers and leaves none in the checkout."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in BESIDE:
        shutil.copy(ROOT / name, folder)
    return folder


def build(source: Path, folder: Path, **variables: str) -> Path:
    """The wheel of a source, in a folder; `variables` are of the environment."""
    command = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ".")
    run(*command, cwd=source, **variables)
    (built,) = folder.glob("*.whl")
    return built


def install(wheel: Path, home: Path) -> Path:
    """A virtual environment at `home` with the wheel in it; returns its folder of programs."""
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=home)
    # The dependencies are those of this environment, which need no second download. A .pth file adds them behind what
    # is installed here, and without their own .pth files: the checkout does not come with them.
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip()
    (Path(packages) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    names = ", ".join(PACKAGES)
    places = run(python, "-c", f"import {names}; print(*(m.__file__ for m in ({names})), sep='\\n')", cwd=home)
    assert all(Path(place).is_relative_to(home) for place in places.splitlines())
    return home / "bin"
