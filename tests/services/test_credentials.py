"""Without credentials of Google a service ends at once, with one line that shows nothing of a key file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOPIC = "pubsub:projects/project-1/topics/events"
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
COLLECT, ENGAGE = ("collect", f"--sink={TOPIC}"), ("engage", "--definitions=shop.yaml", f"--sink={TOPIC}")


@pytest.mark.parametrize("content", ["[]", f'{{"type": "service_account", "private_key": "{SECRET}"}}', None])
@pytest.mark.parametrize(
    ("words", "flag"),
    [
        ((*COLLECT, "--store=sqlite:store.db"), "--sink: no credentials for Pub/Sub"),
        (("collect", "--sink=queue:events.db", "--store=bigtable:project-1/i"), "--store: no credentials for Bigtable"),
        ((*ENGAGE, "--store=sqlite:store.db"), "--sink: no credentials for Pub/Sub"),
        ((*ENGAGE, "--store=bigtable:project-1/i"), "--store: no credentials for Bigtable"),
    ],
)
def test_it_is_one_line(tmp_path: Path, words: tuple[str, ...], flag: str, content: str | None) -> None:
    (tmp_path / "shop.yaml").write_text("{}", "utf-8")
    if content is not None:
        (tmp_path / "key.json").write_text(content, "utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_EMULATOR_HOST")}
    told = {
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json"),
        "PYTHONPATH": str(ROOT),
        "TODOKE_WRITE_KEYS": "shop=shop-key-0123456789",
        "TODOKE_SIGNING_KEYS": f"a={SECRET}",
    }
    command = [sys.executable, "-m", f"services.{words[0]}", "--listen=127.0.0.1:0", *words[1:]]
    done = subprocess.run(command, cwd=tmp_path, env=kept | told, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert flag in line
    assert SECRET not in line
