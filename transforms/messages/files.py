"""Texts in files beside the definitions: which file a name means, and which names there are."""

import re
from collections.abc import Container, Iterator, Mapping
from pathlib import PurePosixPath

from transforms.segments.document import Node, Problems, read_documents

__all__ = ["SUFFIXES", "file_meant", "names_in", "partials_of", "rendered"]

#: The suffixes of definition files; no text has one of them.
SUFFIXES = (".yaml", ".yml")

_RENDERED = re.compile(r"\brender\s+(['\"])(.+?)\1")
_MAY_NAME = re.compile(r"\bfile\b|\brender\b")


def file_meant(name: str, naming: str, files: Container[str]) -> str | None:
    """The one of `files` that a name in the file `naming` means; None if there is none.

    It is beside the file that names it, or in a folder above; `footer` means `footer`,
    `footer.liquid`, or a `footer` of the same kind as the file that names it. No name leads outside the folder.
    """
    path, kind = PurePosixPath(name), PurePosixPath(naming).suffix
    if path.is_absolute() or ".." in path.parts:
        return None
    folder = PurePosixPath(naming).parent
    for above in (folder, *folder.parents):
        for suffix in ("", ".liquid", *({kind} - {"", *SUFFIXES})):
            if (file := f"{above / path}{suffix}") in files:
                return file
    return None


def rendered(source: str) -> Iterator[str]:
    """The names of the partials that a template renders."""
    for match in _RENDERED.finditer(source):
        yield match[2]


def names_in(file: str, text: str) -> Iterator[str]:
    """The names of files that a definition file may refer to in its messages and its preference page.

    Names of other things do no harm.
    """
    if not _MAY_NAME.search(text):
        return
    for document in read_documents({file: text}, Problems()):
        for section in ("messages", "policies"):
            if isinstance(document.value, dict) and section in document.value:
                yield from _names(document.value[section])


def _names(node: Node) -> Iterator[str]:
    if isinstance(node.value, str):
        yield from rendered(node.value)
    elif isinstance(node.value, list):
        for child in node.value:
            yield from _names(child)
    elif isinstance(node.value, dict):
        if node.value.keys() == {"file"} and isinstance(node.value["file"].value, str):
            yield node.value["file"].value
        for child in node.value.values():
            yield from _names(child)


def partials_of(source: str, naming: str, files: Mapping[str, str]) -> dict[str, str]:
    """The files of all partials that a template renders, directly or indirectly, by their names.

    Raises:
      ValueError: one name means two files.
    """
    found: dict[str, str] = {}
    waiting = [(source, naming)]
    while waiting:
        text, file = waiting.pop()
        for name in rendered(text):
            meant = file_meant(name, file, files)
            if meant is None or found.get(name) == meant:
                continue
            if name in found:
                raise ValueError(f"`{name}` means {found[name]} and {meant}: give one of them another name")
            found[name] = meant
            waiting.append((files[meant], meant))
    return found
