"""`--webhook` and `--webhook-allow`, as a run over files has them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from channels.local_http import local_http
from typer.testing import CliRunner

from todoke.cli import app

DEFINITIONS = """\
campaigns:
  hook: {{owner: a, trigger: {{event: Seen}}, reenter: never, consent: news, steps: [{{send: {message}}}]}}
messages:
  {message}: {{channel: webhook, url: "{url}", body: {{user: "{{{{ user.id }}}}"}}}}
"""


def run(folder: Path, url: str, trait: str, *more: str) -> tuple[int, Any]:
    """The exit code, and what the report says of sends."""
    text = DEFINITIONS.format(message="fixed" if "{{" not in url else "said", url=url)
    (folder / "d.yaml").write_text(text, encoding="utf-8")
    time = (datetime.now(UTC) - timedelta(seconds=5)).isoformat()
    calls = [{"type": "identify", "traits": {"url": trait}}, {"type": "track", "event": "Seen"}]
    lines = [
        {"userId": "ada", "messageId": f"m{number}", "timestamp": time, **call} for number, call in enumerate(calls)
    ]
    (folder / "e.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    argv = ["--definitions=d.yaml", "--events=e.jsonl", "--store=none", "--report=r.json", *more]
    done = CliRunner().invoke(app, ["run", *argv])
    if done.exit_code:
        return done.exit_code, done.output
    return 0, json.loads((folder / "r.json").read_text("utf-8"))["sends"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("url", ["fixed", "{{ user.url }}"])
def test_a_server_on_this_machine_is_called_only_if_it_is_allowed(folder: Path, url: str) -> None:
    with local_http() as server:
        place = server.url.removeprefix("http://")
        url = server.url if url == "fixed" else url
        refused = {"webhook": {"failed": 1}}
        assert run(folder, url, server.url, "--webhook") == (0, refused)
        assert run(folder, url, server.url, "--webhook", "--webhook-allow=10.0.0.0/8") == (0, refused)
        assert server.requests == []
        allowed = ["--webhook", "--webhook-allow=other.example", f"--webhook-allow={place}"]
        assert run(folder, url, server.url, *allowed) == (0, {"webhook": {"handed_off": 1}})
        assert [request.json for request in server.requests] == [{"user": "ada"}]


def test_what_cannot_be_allowed_is_wrong_use(folder: Path) -> None:
    code, said = run(folder, "https://shop.example/", "", "--webhook", "--webhook-allow=http://x")
    assert (code, "--webhook-allow: expected HOST, HOST:PORT or a network" in said) == (2, True)
