"""What the tutorial shows is what a reader sees who types it."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = (DOCS / "tutorial" / "files.md").read_text(encoding="utf-8")
README = (DOCS.parent / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = {"yaml": "shop.yaml", "jsonl": "events.jsonl"}
#: What is another at each run, or as wide as the terminal.
TIME = re.compile(r"in \d+\.\d+ s")


def plain(text: str) -> list[str]:
    """The words; tables are drawn as wide as there is room, and texts in them cut with `…`."""
    text = TIME.sub("in 0.0 s", text)
    lines = (re.sub(r"\S*….*", "", line) for line in text.splitlines())
    return [word for line in lines for word in line.split()]


def steps(page: str) -> list[tuple[str, str]]:
    """Each command of the page, with what it shows."""
    blocks = [text for kind, text in BLOCK.findall(page) if kind == "console"]
    return [
        (command, shown)
        for text in blocks
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)
    ]


@pytest.mark.parametrize("page", [PAGE, README], ids=["tutorial", "README"])
def test_each_command_shows_what_the_page_says(todoke, page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for kind, text in BLOCK.findall(PAGE):
        if kind in FILES:
            (tmp_path / FILES[kind]).write_text(text, encoding="utf-8")
    for command, shown in steps(page):
        if command.startswith("sed "):
            definitions = (tmp_path / "shop.yaml").read_text(encoding="utf-8")
            wrong = definitions.replace("at_least: 2", "at_laest: 2").replace("enters: lapsing", "enters: lapsng")
            (tmp_path / "wrong.yaml").write_text(wrong, encoding="utf-8")
            continue
        done = todoke(*command.split()[1:])
        assert not shown or plain(done.stdout + done.stderr)[: len(plain(shown))] == plain(shown), command


def test_the_definitions_of_the_readme_are_those_of_the_tutorial():
    (definitions,) = (text for kind, text in BLOCK.findall(README) if kind == "yaml")
    assert definitions in PAGE
