"""The image's files keep our rules, and its entry point tells a worker from a launcher. No image is built here."""

import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from wheels import BESIDE, PACKAGES, ROOT

FOLDER = ROOT / "templates"
DOCKERFILE = (FOLDER / "Dockerfile").read_text("utf-8")
#: Instructions, with their continued lines, without comments.
LINES = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
FROM = [line.split()[1] for line in LINES if line.startswith("FROM ")]
COPIED = [line.split()[1:] for line in LINES if line.startswith("COPY ")]


def beam() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    [pinned] = [each for each in project["dependencies"] if each.startswith("apache-beam")]
    return pinned.partition("==")[2]


def last_stage() -> list[str]:
    return LINES[max(number for number, line in enumerate(LINES) if line.startswith("FROM ")) :]


def test_bases_have_a_version_and_room_for_a_digest() -> None:
    for base in FROM:
        assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*\$\{[A-Z]+_DIGEST\}", base), base
    assert "latest" not in "".join(LINES)
    for name in re.findall(r"\$\{([A-Z]+_DIGEST)\}", "".join(FROM)):
        assert f"ARG {name}=" in LINES


def test_boot_is_of_the_version_of_beam() -> None:
    assert any(re.match(rf"apache/beam_python3\.11_sdk:{re.escape(beam())}\$", base) for base in FROM)
    assert any("/opt/apache/beam/boot" in words for words in COPIED)


def test_what_is_installed_is_locked_and_checked() -> None:
    [install] = [line for line in last_stage() if "pip install" in line]
    assert "--constraint /requirements.lock" in install
    assert "pip check" in install
    assert '"${wheel}[serve,otel]"' in install
    assert "FLEX_TEMPLATE_PYTHON_REQUIREMENTS_FILE" not in DOCKERFILE
    assert "FLEX_TEMPLATE_PYTHON_SETUP_FILE" not in DOCKERFILE


def test_no_source_stands_before_the_installed_package() -> None:
    stage = last_stage()
    assert [line for line in stage if line.startswith("WORKDIR")] == ["WORKDIR /"]
    for line in stage:
        if line.startswith("COPY"):
            assert not re.search(r"\s\.\s|\s(beam_pipelines|transforms|todoke)\b", line), line


def test_the_launcher_runs_the_program_that_is_copied() -> None:
    assert "ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/opt/todoke/main.py" in LINES
    assert ["templates/main.py", "/opt/todoke/main.py"] in COPIED
    assert 'ENTRYPOINT ["/opt/todoke/entrypoint.sh"]' in LINES


def test_the_context_is_what_the_wheel_is_built_of() -> None:
    lines = (FOLDER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert kept == {*PACKAGES, *BESIDE, "requirements.lock", "templates/main.py", "templates/entrypoint.sh"}
    assert all((ROOT / each).exists() for each in kept)
    assert "*" in lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Programs for `make image`, and none that builds."""
    for name in ("sh", "bash", "env", "sed", "git", "dirname"):
        program = shutil.which(name)
        if program:
            (tmp_path / name).symlink_to(program)
    return tmp_path


def make_image(folder: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    command = [shutil.which("make") or "make", "image", "ARGS=--tag mine"]
    environment = {"PATH": str(folder), "HOME": str(folder)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_without_a_builder_no_image_is_a_failure(folder: Path) -> None:
    done = make_image(folder, docker="exit 1")  # its daemon is away
    assert done.returncode != 0
    assert "Neither docker with its daemon nor buildah is here" in done.stderr


@pytest.mark.parametrize("programs", [("docker",), ("buildah",), ("docker", "buildah")])
def test_images_are_for_the_machines_of_workers(folder: Path, programs: tuple[str, ...]) -> None:
    done = make_image(folder, **dict.fromkeys(programs, 'printf "%s " "$0" "$@"'))
    assert done.returncode == 0, done.stderr
    assert f"{folder}/{programs[0]} build --platform=linux/amd64 --file templates/Dockerfile" in done.stdout
    assert "--tag mine" in done.stdout


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).parent / "hadolint"
    if not program.exists():
        if os.environ.get("CI"):
            pytest.fail("hadolint is not installed: `make setup`")
        pytest.skip("hadolint is not installed: `make setup`")
    done = subprocess.run([program, FOLDER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.fixture
def entry(tmp_path: Path) -> list[str | Path]:
    """The entry point, with programs in place of Beam's and Google's that say who they are."""
    for name in ("boot", "launcher"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nprintf "{name}"\nprintf " [%s]" "$@"\nexit 7\n')
        program.chmod(0o755)
    where = (f"TODOKE_BOOT={tmp_path / 'boot'}", f"TODOKE_LAUNCHER={tmp_path / 'launcher'}")
    return [shutil.which("env") or "env", *where, FOLDER / "entrypoint.sh"]


ENDPOINTS = ("logging", "artifact", "provision", "control", "status")


@pytest.mark.parametrize(
    "words",
    [
        ("--id=1-1", "--logging_endpoint=localhost:1", "--artifact_endpoint=localhost:2"),
        ("--id='1-1'",),
        ("--id", "1-1"),
        ("-id=1-1",),
        ("--semi_persist_dir=/var/opt", "--provision_endpoint=localhost:3"),
        *(((f"--{name}_endpoint", "localhost:1")) for name in ENDPOINTS),
    ],
)
def test_a_worker_is_told_where_its_services_are(entry: list[str | Path], words: tuple[str, ...]) -> None:
    done = subprocess.run([*entry, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, "boot" + "".join(f" [{word}]" for word in words))


@pytest.fixture
def serving(entry: list[str | Path], tmp_path: Path) -> list[str | Path]:
    """The entry point, where Python says how it was called."""
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\nprintf "[%s] " "$@"\n')
    program.chmod(0o755)
    return [*entry[:-1], f"PATH={tmp_path}:{os.environ['PATH']}", entry[-1]]


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (("serve", "collect", "--id=x", "--sink=queue:a b"), ()),
        (("serve", "--id=x", "--sink=queue:a b"), ("TODOKE_SERVICE=collect",)),
        (("serve", "collect", "--id=x", "--sink=queue:a b"), ("TODOKE_SERVICE=engage", "PORT=8080")),
    ],
)
def test_the_word_serve_is_for_a_service(
    serving: list[str | Path], words: tuple[str, ...], variables: tuple[str, ...]
) -> None:
    """Its own flags come last, and so count. None of them makes it a worker."""
    done = subprocess.run([*serving[:-1], *variables, serving[-1], *words], capture_output=True, text=True, check=False)
    port = "8080" if "PORT=8080" in variables else "8600"
    said = ["-m", "services.collect", "--listen", f"0.0.0.0:{port}", "--log-format=json", "--id=x", "--sink=queue:a b"]
    assert (done.returncode, done.stdout) == (0, "".join(f"[{word}] " for word in said))


@pytest.mark.parametrize(("words", "variables"), [(("serve",), ()), (("serve", "console"), ("TODOKE_SERVICE=x",))])
def test_a_service_that_is_none_is_refused(
    serving: list[str | Path], words: tuple[str, ...], variables: tuple[str, ...]
) -> None:
    done = subprocess.run([*serving[:-1], *variables, serving[-1], *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "name collect or engage" in done.stderr


def test_a_service_of_the_image_answers_and_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """As Cloud Run starts it: a port, keys in a file, SIGTERM to the first process."""
    (tmp_path / "keys.json").write_text('{"shop": {"keys": ["shop-key-0123456789"]}}', "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["--sink=queue:events.db", "--store=sqlite:store.db", "--keys=keys.json"]
    environment = os.environ | {
        "PORT": str(port),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    with subprocess.Popen(
        [FOLDER / "entrypoint.sh", "serve", "collect", *words], cwd=tmp_path, env=environment, stderr=subprocess.PIPE
    ) as running:
        try:
            for attempt in itertools.count():
                try:
                    live = urllib.request.urlopen(f"http://127.0.0.1:{port}/live", timeout=10)
                    break
                except urllib.error.URLError:
                    assert running.poll() is None
                    assert attempt < 600
                    time.sleep(0.1)
            with live:
                assert live.status == 200
            running.terminate()
            assert running.wait(30) == 0
        finally:
            running.kill()


@pytest.mark.parametrize("words", [(), ("--logtostderr",), ("--identity=x",), ("launch", "a b"), ("--endpoint",)])
def test_everything_else_is_for_the_launcher(entry: list[str | Path], words: tuple[str, ...]) -> None:
    done = subprocess.run([*entry, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert done.stdout.startswith("launcher")
    assert done.stdout == "launcher" + ("".join(f" [{word}]" for word in words) or " []")
