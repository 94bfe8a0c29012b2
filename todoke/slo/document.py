"""A short document of headings, sentences, lists and tables: as Markdown, and as one HTML file without scripts."""

import re
from collections.abc import Iterator, Sequence
from html import escape

import msgspec

from transforms.events.plain import plain_lines

__all__ = [
    "TO_FILL_IN",
    "Heading",
    "ListOf",
    "PageParts",
    "Sentence",
    "TableOf",
    "as_html",
    "as_markdown",
    "open_tasks",
]

#: The task that stands where people write theirs.
TO_FILL_IN = "what, who, until when"

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 25%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 2rem auto; padding: 0 1rem;
  overflow-wrap: break-word; }
h1 { line-height: 1.2; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top; }
@media screen and (max-width: 44rem) {
  body { margin: 1rem auto; }
  h1 { font-size: 1.5rem; }
  thead { display: none; }
  table, tbody, tr, td { display: block; }
  tr { border: 1px solid var(--line); border-radius: .4rem; padding: .3rem .7rem; margin: .6rem 0; }
  td { display: grid; grid-template-columns: 9rem 1fr; gap: .6rem; border: 0; padding: .1rem 0;
    overflow-wrap: anywhere; }
  td:empty { display: none; }
  td::before { content: attr(data-head); opacity: .7; }
}
@media print {
  body { margin: 0; max-width: none; font-size: 10pt; }
  tr, li { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""


#: What is mark-up wherever it stands: of `_` what does not stand in a word, as it does in ids.
_MARKUP = re.compile(r"[\\`*\[\]~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
#: What is mark-up at the beginning of a line: headings, quotes and lists.
_BEGINS = re.compile(r"^([0-9]{0,9})((?:#{1,6}|[-+.)])(?= |$)|>)")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])|&lt;")


class Heading(msgspec.Struct, frozen=True):
    """A heading of level 1 to 3."""

    level: int
    text: str


class Sentence(msgspec.Struct, frozen=True):
    """A paragraph."""

    text: str


class ListOf(msgspec.Struct, frozen=True):
    """A list; of `tasks` each can be ticked off."""

    items: Sequence[str]
    tasks: bool = False


class TableOf(msgspec.Struct, frozen=True):
    """A table with its heads."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


PageParts = Sequence[Heading | Sentence | ListOf | TableOf]


def as_markdown(document: PageParts) -> str:
    """The document as Markdown, in which no text of others is mark-up."""
    return "\n\n".join("\n".join(_lines(part)) for part in document) + "\n"


def _lines(part: Heading | Sentence | ListOf | TableOf) -> Iterator[str]:
    match part:
        case Heading(level, text):
            yield f"{'#' * level} {_plain(text)}"
        case Sentence(text):
            yield _plain(text)
        case ListOf(items, tasks):
            yield from (f"- {'[ ] ' if tasks else ''}{_plain(item)}" for item in items)
        case TableOf(heads, rows):
            for row in (heads, ["---"] * len(heads), *rows):
                yield f"| {' | '.join(_plain(cell).replace('|', chr(92) + '|') for cell in row)} |"


def _plain(text: str) -> str:
    plain = _MARKUP.sub(r"\\\g<0>", " ".join(plain_lines(text).split()))
    return _BEGINS.sub(r"\1\\\2", plain).replace("<", "&lt;")


def as_html(title: str, document: PageParts) -> str:
    """The document as one HTML file that fetches nothing, for light and dark, telephones and paper."""
    body = "\n".join(line for part in document for line in _tags(part))
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{_safe(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _tags(part: Heading | Sentence | ListOf | TableOf) -> Iterator[str]:
    match part:
        case Heading(level, text):
            yield f"<h{level}>{_safe(text)}</h{level}>"
        case Sentence(text):
            yield f"<p>{_safe(text)}</p>"
        case ListOf(items, tasks):
            mark = "☐ " if tasks else ""
            yield f"<ul>{''.join(f'<li>{mark}{_safe(item)}</li>' for item in items)}</ul>"
        case TableOf(heads, rows):
            yield f"<table><thead><tr>{''.join(f'<th>{_safe(head)}</th>' for head in heads)}</tr></thead><tbody>"
            for row in rows:  # on a telephone each cell stands beside its head
                pairs = zip(map(_safe, heads), map(_safe, row), strict=True)
                cells = (f'<td data-head="{head}">{cell}</td>' for head, cell in pairs)
                yield f"<tr>{''.join(cells)}</tr>"
            yield "</tbody></table>"


def _safe(text: str) -> str:
    return escape(" ".join(plain_lines(text).split()))


def open_tasks(markdown: str) -> list[str]:
    """The tasks of a document in Markdown that nobody has ticked off, as plain text; without `TO_FILL_IN`."""
    lines = (line.strip() for line in markdown.splitlines())
    tasks = (line[5:].strip() for line in lines if line.startswith(("- [ ]", "* [ ]")))
    return [_ESCAPED.sub(lambda found: found[1] or "<", task) for task in tasks if task and task != TO_FILL_IN]
