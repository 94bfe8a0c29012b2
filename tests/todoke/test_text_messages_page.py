"""The page that shows how to try text messages: what it says is done, and comes out as it says."""

import re
import subprocess
import sys
import time
from pathlib import Path

from commands import Todoke

from transforms.events.times import write_time

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "text-messages.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def test_what_the_page_shows_is_what_a_reader_sees(todoke: Todoke, tmp_path: Path) -> None:
    now = write_time(int(time.time()) * 1_000_000)
    (tmp_path / "sms.yaml").write_text(BLOCKS["yaml"], encoding="utf-8")
    (tmp_path / "events.jsonl").write_text(BLOCKS["jsonl"].replace("TODAY", now), encoding="utf-8")
    program = BLOCKS["python"].replace("8025", "0")  # a free port
    provider = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert provider.stdout is not None
        url = provider.stdout.readline().strip()
        run, sends = re.findall(r"^\$ todoke (.*)$", BLOCKS["console"], re.MULTILINE)
        done = todoke(*run.replace("twilio:AC1@http://127.0.0.1:8025", url).split())
        assert done.returncode == 0, done.stderr
        states = {line.split("  ")[4]: line.split("  ")[1] for line in todoke(*sends.split()).stdout.splitlines()}
        assert states == {"ada": "handed_off", "eve": "failed"}
        assert "consent all/sms: false" in todoke("user", "eve", "--store", "sqlite:sms.db").stdout
    finally:
        said, _ = provider.communicate("\n", timeout=30)
    assert said == "+819012345678 Shop Hello Ada\n"
