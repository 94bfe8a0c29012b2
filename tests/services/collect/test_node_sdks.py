"""SDKs for Node and for browsers, in a real Node and a real Chromium: each call arrives, unchanged.

`make sdks` installs them; without npm, or Chromium, these tests are skipped.
"""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from services_served import KEY, ROOT, as_sent, collect_process, messages_by_id, restarted

HERE = Path(__file__).parent / "node"
SDKS = ROOT / ".tools" / "sdks" / "node_modules"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
#: What a call says. Not whose it is: of a call that it sends again, the SDK for browsers says who is known by then.
SAID = ("type", "event", "name", "category", "groupId", "previousId", "properties", "traits")
#: For how long a browser may take, in seconds.
PATIENCE = 120

pytestmark = pytest.mark.skipif(
    not SDKS.with_name(".installed").exists() or shutil.which("node") is None,
    reason="no SDKs for Node here: install Node, and `make sdks`",
)
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


def told_by_node(script: str, url: str, rounds: int) -> dict[str, dict[str, Any]]:
    """What a script says that its SDK sent, by id."""
    command = ["node", str(HERE / script), url, KEY, str(rounds)]
    done = subprocess.run(
        command,
        env={**os.environ, "NODE_PATH": str(SDKS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return by_id(done.stdout)


def by_id(lines: str) -> dict[str, dict[str, Any]]:
    calls = [json.loads(line) for line in lines.splitlines()]
    return {call["messageId"]: call for call in calls}


@pytest.mark.all_in_ci
def test_each_call_of_segments_sdk_for_node_arrives_unchanged_through_kills(tmp_path: Path) -> None:
    with restarted(tmp_path) as url:
        sent = told_by_node("segment.js", url, 40)
    found = messages_by_id(tmp_path)
    assert found.keys() == sent.keys()
    assert len(sent) == 40 * 7
    for id_, copies in found.items():
        for copy in copies:
            assert as_sent(copy) == sent[id_]


@pytest.mark.all_in_ci
def test_gzip_that_is_labelled_as_a_form_is_read(tmp_path: Path) -> None:
    """Which RudderStack's SDK for Node sends."""
    with collect_process(tmp_path) as served:
        sent = told_by_node("rudder.js", served.url, 4)
    found = messages_by_id(tmp_path)
    assert found.keys() == sent.keys()
    for id_, [copy] in found.items():
        assert copy | sent[id_] == copy
        assert copy["context"]["library"]["name"] == "analytics-node"


class Pages(SimpleHTTPRequestHandler):
    """The pages and the SDKs; keeps what is posted."""

    told: ClassVar[list[str]] = []

    def translate_path(self, path: str) -> str:
        path = path.partition("?")[0]
        if path.startswith("/sdks/"):
            return str(SDKS / path.removeprefix("/sdks/"))
        return str(HERE / path.removeprefix("/"))

    def do_POST(self) -> None:
        self.told.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def browsing(page: str, url: str, folder: Path, **asked: str) -> Iterator[list[str]]:
    """A page in Chromium, and what it tells."""
    told: list[str] = []
    handler = type("Handler", (Pages,), {"told": told})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        words = "&".join(
            f"{name}={said}" for name, said in {"host": url.removeprefix("http://"), "key": KEY, **asked}.items()
        )
        place = f"http://127.0.0.1:{server.server_address[1]}/{page}?{words}"
        assert CHROMIUM is not None
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        flags += [
            "--disable-background-networking",
            "--disable-component-update",
            f"--user-data-dir={folder / 'chromium'}",
        ]
        browser = subprocess.Popen(
            [CHROMIUM, *flags, "--remote-debugging-port=0", place], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield told
        finally:
            browser.kill()
            browser.wait()
            server.shutdown()


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until, "the browser sent too little"
        time.sleep(0.1)


@in_chromium
@pytest.mark.all_in_ci
@pytest.mark.parametrize("batch", ["", "1"])
def test_each_call_of_segments_sdk_for_browsers_arrives_unchanged_through_kills(tmp_path: Path, batch: str) -> None:
    with restarted(tmp_path) as url, browsing("segment.html", url, tmp_path, batch=batch) as told:
        wait_for(lambda: bool(told))
        sent = by_id(told[0])
        wait_for(lambda: messages_by_id(tmp_path).keys() >= sent.keys())
    found = messages_by_id(tmp_path)
    assert found.keys() == sent.keys()
    assert len(sent) == 20
    for id_, copies in found.items():
        for copy in copies:
            for name in SAID:
                assert copy.get(name) == sent[id_].get(name), (name, copy)
            assert copy["context"]["library"]["name"] == "analytics.js"


@in_chromium
@pytest.mark.all_in_ci
@pytest.mark.parametrize("beacon", ["", "1"])
def test_each_call_of_rudderstacks_sdk_for_browsers_arrives(tmp_path: Path, beacon: str) -> None:
    with collect_process(tmp_path) as served, browsing("rudder.html", served.url, tmp_path, beacon=beacon):
        wait_for(lambda: len(messages_by_id(tmp_path)) == 9)
    calls = [call for [call] in messages_by_id(tmp_path).values()]
    assert sorted(call["event"] for call in calls if call["type"] == "track") == [f"Seen {n}" for n in range(5)]
    assert all("userId" not in call for call in calls if call["type"] == "track")  # it says that the id is empty
    assert {"identify", "page", "group", "alias"} < {call["type"] for call in calls}
