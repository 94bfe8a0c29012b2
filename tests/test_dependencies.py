"""Dependencies: stated once, locked, and what only one command wants is no worker's."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = ("aiosmtpd", "plotly")
OTLP = "opentelemetry.exporter"


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(each).name) for each in requirements}


def test_the_lock_has_all_that_the_package_asks_for() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = [Requirement(line) for line in lines if line[:1].isalpha()]
    versions = {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in locked}
    asked = [*PROJECT["dependencies"], *(each for extra in PROJECT["optional-dependencies"].values() for each in extra)]
    for requirement in map(Requirement, asked):
        if requirement.name != "todoke":
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_what_one_command_wants_is_an_extra_and_no_dependency() -> None:
    extras = PROJECT["optional-dependencies"]
    assert names(PROJECT["dependencies"]).isdisjoint(EXTRAS)
    assert names(extras["report"]) == {"plotly"}
    assert {"granian", "starlette"} <= names(extras["serve"])
    assert names(PROJECT["dependencies"]).isdisjoint(names(extras["serve"]) | names(extras["otel"]))
    assert extras["demo"] == ["aiosmtpd>=1.4.6", "todoke[report]"]
    assert "todoke[demo]" in extras["dev"]


def test_workers_carry_no_extra() -> None:
    """All of the packages that jobs are made of, but for servers that stand in on one machine, without the extras."""
    modules = [path for package in ("beam_pipelines", "transforms") for path in (ROOT / package).rglob("*.py")]
    dotted = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in modules
        if not path.name.startswith("local_")
    ]
    script = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({(*EXTRAS, OTLP)!r}))\n"  # to import one of them is an error
        f"for name in {sorted(dotted)!r}:\n"
        "    importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", EXTRAS)
def test_a_missing_extra_is_a_line_that_says_how_to_install_it(missing: str, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        f"sys.modules[{missing!r}] = None\n"
        "sys.argv = ['todoke', 'demo']\n"
        "from todoke.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{script}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"todoke: {missing} is not installed: pip install 'todoke[demo]'\n"
    assert not list(tmp_path.iterdir())
