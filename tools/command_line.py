"""Print docs/reference/command-line.md, made from the commands themselves: `make reference`."""

import re
from collections.abc import Iterator
from typing import Any

import typer
import typer.main

from todoke.cli import app

__all__ = ["page"]

_HEAD = """\
# Command line

These are all commands of `todoke`, with their options. `todoke --help` and `todoke COMMAND --help` show the same. The
page is made from the code (`make reference`), and a test compares them.

Every command ends with 0 if it did its work, 1 if it failed, and 2 if it was used wrongly or the definitions have
mistakes. `todoke run` and `todoke backfill` give flags that are not listed here to Beam (`--runner`, `--project`, …).
These options go with any command:
"""


def page() -> str:
    """The page in Markdown."""
    group: Any = typer.main.get_command(app)
    context = group.make_context("todoke", [], resilient_parsing=True)
    parts = [_HEAD, _table("", _shared(group, context)), ""]
    titles = list(dict.fromkeys(command.rich_help_panel for command in group.commands.values()))
    for title in titles:
        parts += [f"## {title}", ""]
        for name, command in group.commands.items():
            if command.rich_help_panel == title:
                parts += _command(name, command, context)
    return "\n".join(parts).rstrip() + "\n"


def _shared(group: Any, context: Any) -> list[tuple[str, str]]:
    records = [option.get_help_record(context) for option in group.get_params(context)]
    return [record for record in records if record and record[0].startswith("--")]


def _command(name: str, command: Any, parent: Any) -> Iterator[str]:
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    yield from (f"### todoke {name}", "")
    yield from (f"    todoke {' '.join([name, *command.needed(context), '[OPTIONS]'])}", "")
    for paragraph in (command.help or "").split("\n\n"):
        yield from (_plain(" ".join(paragraph.split())), "")
    for title, rows in command.rows(context).items():
        listed = [(words, meaning) for words, meaning in rows if "--help" not in words]
        if listed:
            yield from (_table(title, listed), "")
    if command.epilog:
        yield from ("For example:", "", *(f"    {line}" for line in command.epilog.splitlines()), "")


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    cells = ((words.replace("|", "` or `"), _plain(" ".join(meaning.split()))) for words, meaning in rows)
    head = f"| {title} | |" if title else "| | |"
    return "\n".join([head, "|---|---|", *(f"| `{words}` | {meaning} |" for words, meaning in cells)])


def _plain(text: str) -> str:
    """Text as it stands, whatever Markdown would make of its signs."""
    return re.sub(r"([*_<~|])", r"\\\1", text)


if __name__ == "__main__":
    print(page(), end="")
