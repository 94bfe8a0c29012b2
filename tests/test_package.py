"""What is built from the checkout is whole, and runs without it."""

import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from wheels import BESIDE, PACKAGES, run


@pytest.fixture(scope="module")
def expected(source: Path) -> set[str]:
    """Every file of the packages, code and data."""
    files = (path for package in PACKAGES for path in (source / package).rglob("*") if path.is_file())
    return {path.relative_to(source).as_posix() for path in files}


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


def test_the_command_runs_where_there_is_no_checkout(installed: Path, tmp_path: Path) -> None:
    shown = run(installed / "todoke", "demo", "--customers", "40", "--out", tmp_path / "demo", cwd=tmp_path)
    assert "customer-" in shown
    assert (tmp_path / "demo" / "report.html").exists()
