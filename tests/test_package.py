"""What is built from the checkout is whole, and runs without it."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("beam_pipelines", "transforms", "todoke")
BESIDE = ("pyproject.toml", "setup.py", "README.md", "LICENSE")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program that must succeed, without this process's PYTHONPATH; returns its standard output."""
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build reads, so that it finds no leftovers and leaves none in the checkout."""
    folder = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in BESIDE:
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def expected(source: Path) -> set[str]:
    """Every file of the packages, code and data."""
    files = (path for package in PACKAGES for path in (source / package).rglob("*") if path.is_file())
    return {path.relative_to(source).as_posix() for path in files}


@pytest.fixture(scope="module")
def wheel(source: Path, expected: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ".", cwd=source)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file(wheel: Path, expected: set[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = set(archive.namelist())
    assert expected <= found
    extra = {name for name in found - expected if ".dist-info/" not in name}
    assert extra == set()
    assert any(name.endswith("licenses/LICENSE") for name in found)


def test_setup_py_makes_the_archive_that_dataflow_sends_to_its_workers(
    source: Path, expected: set[str], tmp_path: Path
) -> None:
    run(sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", tmp_path, cwd=source)
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    assert expected | set(BESIDE) <= found


def test_the_command_runs_where_there_is_no_checkout(wheel: Path, tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "venv", tmp_path / "elsewhere"
    elsewhere.mkdir()
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=elsewhere)
    # The dependencies are those of this environment, which need no second download. A .pth file adds them behind what
    # is installed here, and without their own .pth files: the checkout does not come with them.
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=elsewhere).strip()
    (Path(packages) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    names = ", ".join(PACKAGES)
    places = run(python, "-c", f"import {names}; print(*(m.__file__ for m in ({names})), sep='\\n')", cwd=elsewhere)
    assert all(Path(place).is_relative_to(home) for place in places.splitlines())
    shown = run(home / "bin" / "todoke", "demo", "--customers", "40", "--out", elsewhere / "demo", cwd=elsewhere)
    assert "customer-" in shown
    assert (elsewhere / "demo" / "report.html").exists()
