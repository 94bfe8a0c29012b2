"""Where Beam's local runner comes from: flag, PATH, checkout, a build with Go, Beam's download."""

from pathlib import Path

import apache_beam as beam
import pytest

from todoke import prism
from todoke.prism import find_prism, with_prism
from transforms.logs import write_log


class Machine:
    """Programs on a PATH and in places of their own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.cache, self.checkout = folder / "bin", folder / "cache", folder / "checkout"
        self.path.mkdir()
        monkeypatch.setenv("PATH", str(self.path))
        monkeypatch.setenv("XDG_CACHE_HOME", str(self.cache))
        monkeypatch.setattr(prism, "_CHECKOUT", self.checkout)

    def program(self, path: Path, script: str) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    def go(self, script: str) -> None:
        self.program(self.path / "go", script)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


BEAMS = "echo '  -job_port int' >&2; exit 2"


def test_the_flag_comes_first(machine: Machine) -> None:
    machine.program(machine.path / "prism", BEAMS)
    assert find_prism("https://example.com/prism.zip") == ("https://example.com/prism.zip", "--prism_location")


def test_then_path(machine: Machine) -> None:
    found = machine.program(machine.path / "prism", BEAMS)
    machine.program(machine.checkout / ".tools" / "bin" / "prism", BEAMS)
    assert find_prism() == (found, "PATH")


@pytest.mark.parametrize("other", ["echo 'Prism, the mock server for OpenAPI'", "exit 1", "kill -9 $$"])
def test_another_program_of_that_name_is_passed_over(machine: Machine, other: str) -> None:
    machine.program(machine.path / "prism", other)
    found = machine.program(machine.checkout / ".tools" / "bin" / "prism", "")
    assert find_prism() == (found, "the checkout")


def test_then_a_build_with_go_which_is_kept(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    machine.go('echo "$@" >&2; printf "#!/bin/sh\\n" > "$GOBIN/prism"; /bin/chmod +x "$GOBIN/prism"')
    built = machine.cache / "todoke" / f"prism-{beam.__version__}" / "prism"
    with write_log("text", job="run"):
        assert find_prism() == (str(built), "a build with Go")
    machine.go("exit 1")
    assert find_prism() == (str(built), "an earlier build")
    assert capfd.readouterr().err.count("building Prism") == 1


def test_a_build_that_fails_says_why_and_leaves_it_to_beam(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    machine.go("echo 'go: no network' >&2; exit 1")
    with write_log("text", job="run"):
        assert find_prism() == (None, "Beam's own download")
    assert "Prism could not be built: go: no network" in capfd.readouterr().err


def test_without_anything_beam_downloads_it(machine: Machine) -> None:
    assert find_prism() == (None, "Beam's own download")


@pytest.mark.parametrize("named", [["--runner=PrismRunner"], ["--runner", "prism"], ["--streaming", "--runner=Prism"]])
def test_whoever_names_prism_gets_the_one_that_is_here(machine: Machine, named: list[str]) -> None:
    found = machine.program(machine.path / "prism", BEAMS)
    assert with_prism(named) == [*named, f"--prism_location={found}"]


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--runner=FnApiRunner"],
        ["--runner=PrismRunner", "--prism_location=other"],
        ["--runner=PrismRunner", "--prism_location", "other"],
    ],
)
def test_other_runners_and_a_prism_with_its_place_stay(machine: Machine, flags: list[str]) -> None:
    machine.program(machine.path / "prism", BEAMS)
    assert with_prism(flags) == flags


def test_a_prism_that_beam_must_download_is_told_with_what_to_do(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    with write_log("text", job="backfill"):
        assert with_prism(["--runner=PrismRunner"]) == ["--runner=PrismRunner"]
    assert "install Go, or name it: --prism_location" in capfd.readouterr().err
