"""What is built from the checkout is whole, and runs without it."""

import os
import shutil
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from wheels import BESIDE, PACKAGES, build, copy_source, run

COMMIT = "todoke/commit.txt"


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


def test_a_second_build_of_the_same_files_is_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    """Elsewhere, later, with other times of files, and by somebody whose files are for nobody else."""
    again = copy_source(tmp_path / "source")
    for path in again.rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    nothing = {"SOURCE_DATE_EPOCH": "", "TODOKE_COMMIT": ""}  # as an image that is told neither
    mask = os.umask(0o077)
    try:
        built = build(again, tmp_path / "wheel", **nothing)
    finally:
        os.umask(mask)
    assert built.read_bytes() == wheel.read_bytes()


def test_a_package_of_a_copy_knows_no_commit(wheel: Path, installed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert COMMIT not in archive.namelist()
    assert run(installed / "todoke", "--version", cwd=tmp_path) == f"todoke {version('todoke')} (commit unknown)\n"


@pytest.mark.all_in_ci
def test_a_package_says_the_commit_that_it_is_built_from(tmp_path: Path) -> None:
    """A wheel of a checkout, one of its source archive, and one whose builder names the commit."""
    if shutil.which("git") is None:
        pytest.skip("no git")
    source = copy_source(tmp_path / "source")
    author = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    (source / ".gitignore").write_text("build/\n*.egg-info/\n")
    for words in (("init", "-q"), ("add", "."), (*author, "commit", "-qm", "first")):
        run("git", *words, cwd=source)
    head = run("git", "rev-parse", "HEAD", cwd=source).strip()
    wheel = build(source, tmp_path / "wheel")
    assert commit_of(wheel) == head

    # As an image builds it: of the files alone, told the rest.
    told = {"TODOKE_COMMIT": head, "SOURCE_DATE_EPOCH": run("git", "log", "-1", "--format=%ct", cwd=source).strip()}
    assert build(copy_source(tmp_path / "image"), tmp_path / "of image", **told).read_bytes() == wheel.read_bytes()

    run(sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", tmp_path, cwd=source)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert commit_of(build(unpacked, tmp_path / "of sdist")) == head

    (source / "todoke" / "version.py").write_text("changed = True\n")
    shutil.rmtree(source / "build")
    assert commit_of(build(source, tmp_path / "changed")) == f"{head}-dirty"
    assert commit_of(build(source, tmp_path / "named", TODOKE_COMMIT="abc")) == "abc"
    assert not (source / COMMIT).exists()


def commit_of(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(COMMIT).decode().strip()
