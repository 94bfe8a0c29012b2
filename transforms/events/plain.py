"""Text of others as it may be shown: on a terminal, in a log, in the ledger."""

import re
import unicodedata
from functools import lru_cache

__all__ = ["plain", "plain_lines"]

#: All that printable ASCII, and a space, is not.
_SUSPECT = re.compile(r"[^ -~]")
#: Controls, formats (among them those that turn the direction of text), half surrogates, separators of lines.
_COMMANDS = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
#: Formats that scripts and emoji are written with: zero-width joiner and non-joiner.
_JOINERS = "\u200c\u200d"


def plain(text: str) -> str:
    """One line without commands: each character that a terminal may obey, or that hides or turns others, is `�`."""
    return _SUSPECT.sub(_shown, text)


def plain_lines(text: str) -> str:
    """The same, line by line."""
    return "\n".join(plain(line) for line in text.split("\n"))


def _shown(match: re.Match[str]) -> str:
    return _of(match[0])


@lru_cache(4096)
def _of(letter: str) -> str:
    return "�" if unicodedata.category(letter) in _COMMANDS and letter not in _JOINERS else letter
