"""Text from others, made safe to show: on a terminal, in a log, in the ledger."""

import codecs
import logging
import re
import traceback
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from io import TextIOWrapper
from json import dumps
from typing import Any, TextIO

__all__ = ["counted", "escape_unwritable", "escaped", "plain", "plain_lines", "plain_records", "quoted", "without_user"]

#: Everything but printable ASCII and the space.
_SUSPECT = re.compile(r"[^ -~]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7e]")
#: Controls, formats (some change the direction of text), half surrogates, line separators.
_COMMANDS = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_ESCAPES = "todoke.escapes"
#: Formats that scripts and emoji need: zero-width joiner and non-joiner.
_JOINERS = "\u200c\u200d"


def plain(text: str) -> str:
    """One line without commands: characters that a terminal may obey, or that hide or turn others, become `�`."""
    return _SUSPECT.sub(_replaced, text)


def counted(count: int, one: str, many: str = "") -> str:
    """A number with what there is of it, such as `1 segment` or `2,000 segments`; `many` where no `s` makes it."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def quoted(value: object, most: int = 80) -> str:
    """A value for use in a sentence: as JSON, such as `"x"`, `true` or `null`; a long one is cut.

    Args:
      value: data; what JSON has no form for is written as text.
      most: how many characters of a text, or of the JSON of anything else.
    """
    if isinstance(value, str):
        value = value if len(value) <= most else f"{value[:most]}…"
        return escaped(dumps(value, ensure_ascii=False))
    text = escaped(dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= most else f"{text[:most]}…"


def escaped(text: str) -> str:
    """JSON with what is not plain by escapes: who reads it finds what was there."""
    return text if text.isascii() and "\x7f" not in text else _BEYOND_ASCII.sub(_escaped, text)


def escape_unwritable(output: TextIO) -> None:
    """Write what an output's encoding has no letter for by JSON's escapes, in place of failing; JSON stays JSON."""
    codecs.register_error(_ESCAPES, _written_by_escapes)
    if isinstance(output, TextIOWrapper):
        output.reconfigure(errors=_ESCAPES)


def without_user(url: str) -> str:
    """A URL without user and password, wherever they are in a mistyped one."""
    return url if "@" not in url else f"…@{url.rpartition('@')[2]}"


def plain_lines(text: str) -> str:
    """The same, line by line."""
    return "\n".join(plain(line) for line in text.split("\n"))


def plain_records(make: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    """Makes log records as `make` does, but their texts and tracebacks hold no commands."""

    def made(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        with suppress(TypeError, ValueError):  # logging itself reports wrong arguments
            record.msg, record.args = plain_lines(record.getMessage()), ()
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = plain_lines("".join(traceback.format_exception(*record.exc_info)).rstrip())
        return record

    return made


@lru_cache(4096)
def _is_plain(letter: str) -> bool:
    """Whether a character can be shown as it is."""
    return unicodedata.category(letter) not in _COMMANDS or letter in _JOINERS


def _replaced(match: re.Match[str]) -> str:
    return match[0] if _is_plain(match[0]) else "�"


def _escaped(match: re.Match[str]) -> str:
    return match[0] if _is_plain(match[0]) else _units(match[0])


def _written_by_escapes(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(map(_units, error.object[error.start : error.end])), error.end


def _units(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))
