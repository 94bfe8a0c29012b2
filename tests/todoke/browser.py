"""Pages in a real Chromium, as wide as a telephone."""

import json
import subprocess
from html import unescape
from pathlib import Path
from typing import NamedTuple

__all__ = ["Shown", "show_in_browser"]

#: A window is never as narrow as a telephone; a frame is.
_PROBE = """<!doctype html><iframe id="page" src="{page}" style="width: {width}px; height: 900px; border: 0"></iframe>
<pre id="said"></pre><script>
addEventListener("load", () => {{
  const page = document.getElementById("page").contentDocument, whole = page.documentElement;
  const cut = [...page.querySelectorAll("body *")].filter(
    (each) => each.getBoundingClientRect().right > whole.clientWidth + 1 && !each.closest(".scroll, svg"));
  const said = {{text: page.body.innerText, width: whole.clientWidth, scrolls: whole.scrollWidth, cut: cut.length}};
  document.getElementById("said").textContent = JSON.stringify(said);
}});
</script>"""


class Shown(NamedTuple):
    """A page as it is shown: its text, its width and how wide it would have to be (pixels), how many elements are cut
    off, and what the browser complains of.
    """

    text: str
    width: int
    scrolls: int
    cut: int
    complaints: list[str]


def show_in_browser(page: Path, folder: Path, width: int = 390) -> Shown:
    """Open a page of a file in Chromium."""
    probe = folder / "probe.html"
    probe.write_text(_PROBE.format(page=page.as_uri(), width=width), encoding="utf-8")
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}")
    looks_in = ("--allow-file-access-from-files", "--disable-web-security", "--enable-logging=stderr", "--dump-dom")
    command = ["chromium", *flags, *looks_in, "--window-size=1000,1000", probe.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    said = json.loads(unescape(done.stdout.partition('<pre id="said">')[2].partition("</pre>")[0]))
    return Shown(**said, complaints=[line for line in done.stderr.splitlines() if "CONSOLE" in line])
