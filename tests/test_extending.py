"""docs/extending.md: a channel in a package of its own is installed, and then works like those that come along."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree
from textwrap import indent

import pytest
from channels.local_http import local_http
from wheels import ROOT, surroundings

EXAMPLE = ROOT / "examples" / "pager"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample package installed, as `pip install` does it."""
    home = tmp_path_factory.mktemp("pager")
    source = copytree(EXAMPLE, home / "source")
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", home / "site", source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return home / "site"


@pytest.fixture
def todoke(tmp_path: Path) -> Run:
    """Run the command with more on the path."""

    def run(*arguments: object, path: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        places = os.pathsep.join(map(str, filter(None, (path, ROOT))))
        environment = surroundings() | {"PYTHONPATH": places} | more
        command = [sys.executable, "-m", "todoke", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


def test_without_the_package_its_channel_is_a_mistake(todoke: Run) -> None:
    done = todoke("validate", EXAMPLE / "pager.yaml")
    assert done.returncode == 2
    assert re.search(r'pager\.yaml:3: error: messages\.order_stuck\.channel: .* found "pager"; these come', done.stderr)
    assert "install the package of another one, which has an entry point in `todoke.channels`" in done.stderr


def test_the_package_is_validated_described_and_run(todoke: Run, tmp_path: Path, site: Path) -> None:
    done = todoke("validate", EXAMPLE / "pager.yaml", path=site)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "wrong.yaml").write_text(
        (EXAMPLE / "pager.yaml").read_text().replace("urgent: true", "urgent: often"), encoding="utf-8"
    )
    done = todoke("validate", "wrong.yaml", path=site)
    assert "wrong.yaml:3: error: messages.order_stuck.urgent: expected true or false" in done.stderr
    schema = json.loads(todoke("schema", path=site).stdout)
    assert schema["$defs"]["pager_message"]["required"] == ["text"]

    flags = ("--definitions", EXAMPLE / "pager.yaml", "--events", EXAMPLE / "events.jsonl", "--store", "none")
    done = todoke("run", *flags, "--report", "r.json", path=site)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert (report["sends"], report["suppressed"]) == ({"pager": {"handed_off": 1}}, {"unreachable": 1})
    [line] = [json.loads(path.read_text()) for path in (tmp_path / "outbox").glob("pager-*.jsonl")]
    assert (line["pager"], line["text"], line["urgent"]) == ("1234567", "Order A-17 is stuck", True)


@pytest.mark.all_in_ci
def test_its_flag_asks_for_its_key_and_hands_pages_over(todoke: Run, tmp_path: Path, site: Path) -> None:
    said = (EXAMPLE / "events.jsonl").read_text(encoding="utf-8")
    for minute, ago in ((0, 20), (5, 15)):  # what goes to a provider must not be late
        said = said.replace(f"2026-03-01T09:0{minute}:00Z", (datetime.now(UTC) - timedelta(minutes=ago)).isoformat())
    (tmp_path / "e.jsonl").write_text(said, encoding="utf-8")
    with local_http() as gateway:
        flags = ("--definitions", EXAMPLE / "pager.yaml", "--events", "e.jsonl", "--store", "none")
        flags = (*flags, f"--pager={gateway.url}/pages")
        refused = todoke("run", *flags, path=site)
        assert (refused.returncode, "--pager: set TODOKE_PAGER_KEY" in refused.stderr) == (2, True), refused.stderr
        done = todoke("run", *flags, path=site, TODOKE_PAGER_KEY="key-7736")
        assert done.returncode == 0, done.stderr
    [page] = gateway.requests
    assert (page.path, page.headers["authorization"]) == ("/pages", "Bearer key-7736")
    assert page.json | {"id": ""} == {"id": "", "pager": "1234567", "text": "Order A-17 is stuck", "urgent": True}


@pytest.mark.parametrize("name", ["../../etc", "Pager", "pager-allow", "", "p\x1b"])
def test_a_name_that_is_none_is_refused(todoke: Run, tmp_path: Path, name: str) -> None:
    info = tmp_path / "evil-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[todoke.channels]\n{name} = evil:CHANNEL\n", encoding="utf-8")
    done = todoke("validate", EXAMPLE / "pager.yaml", path=tmp_path)
    assert (done.returncode != 0, "evil 1.0 has a channel" in done.stderr) == (True, True), done.stderr


def test_a_worker_without_the_package_says_what_it_lacks(site: Path) -> None:
    script = (
        "from transforms.identity.channels import check_installed, versions\n"
        "check_installed(versions() | {'pager': '0.1.0'})\n"
    )
    for path, expected in ((f"{site}{os.pathsep}{ROOT}", ""), (str(ROOT), "lacks it: install the same packages")):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=surroundings() | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0, expected in done.stderr) == (bool(expected), True), done.stderr


def test_the_page_shows_the_package_as_it_is() -> None:
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    code = "\n".join(path.read_text(encoding="utf-8") for path in (EXAMPLE / "todoke_pager").glob("*.py"))
    code += (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 3
    assert [block for block in blocks if not any(text.strip() in code for text in (block, indent(block, "    ")))] == []
