"""Output of commands, made safe: no terminal obeys what users wrote.

Everything that may hold text from others is printed through this module; in JSON, escapes keep the same text.
"""

import re
import sys
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from transforms.events.plain import escaped, plain, plain_lines

__all__ = ["Screen", "cause_of", "json_text", "last_line", "plain_text", "print_error", "print_plain"]

#: Blanks at the end of a line, with the terminal codes that end their style.
_FILL = re.compile(r" +((?:\x1b\[[0-9;]*m)*)$", re.MULTILINE)


class Screen(Console):
    """Standard output for what `rich` lays out, without its trailing blanks."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Lay out and write.

        Raises:
          BrokenPipeError: nobody reads any more; the exit code is for the command line to choose.
        """
        with self.capture() as laid_out:
            super().print(*objects, **options)
        self.file.write(_FILL.sub(r"\1", laid_out.get()))


def print_plain(text: str) -> None:
    """Print text to standard output, with `�` for each character that is a command."""
    print(plain_lines(text))


def print_error(text: str) -> None:
    """Print text to standard error likewise, at once."""
    print(plain_lines(text), file=sys.stderr, flush=True)


def last_line(text: str) -> str:
    """The last line that is not blank: it has the cause if Beam put a worker's traceback into a message."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def cause_of(error: Exception) -> str:
    """What a pipeline failed of, in one line.

    Raises:
      KeyboardInterrupt: of nothing: the command was stopped while Beam was in a step, which put that into words.
    """
    said = last_line(str(error)) or type(error).__name__
    if said.startswith(KeyboardInterrupt.__name__):
        raise KeyboardInterrupt from error
    return said


def plain_text(text: str, style: str = "") -> Text:
    """One line for `rich`, literally: what users send is neither mark-up nor a command for a terminal."""
    return Text(plain(text), style)


def json_text(value: Any, *, indent: int = 0) -> str:
    """A value as JSON, with escapes for what is no plain text, so that nothing is lost."""
    encoded = msgspec.json.encode(value)
    return escaped((msgspec.json.format(encoded, indent=indent) if indent else encoded).decode())
