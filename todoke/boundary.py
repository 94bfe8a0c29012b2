"""Where a command begins and ends: the flags of all commands, and how an error becomes a line and an exit code."""

import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

from transforms.errors import NotStarted, TodokeError
from transforms.events.plain import plain_lines, plain_records
from transforms.logs import asked_format, fields, write_log

__all__ = ["Manner"]

_log = logging.getLogger(__name__)
#: What Google's clients raise when this account may not do something, or a thing does not exist. Only what a command
#: has imported can be raised, and importing it costs a second.
_REFUSED = (
    ("google.api_core.exceptions", "Forbidden"),
    ("google.api_core.exceptions", "NotFound"),
    ("google.auth.exceptions", "GoogleAuthError"),
)


class Manner:
    """How a command speaks: `--debug` shows where errors come from, `--log-format json` makes each line an object.

    Args:
      words: of the command line.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.debug = "--debug" in words
        self.form = asked_format(words)
        self._job = _job(words)

    @contextmanager
    def logs(self) -> Iterator[None]:
        """Log in this manner; no text from others reaches a terminal as a command."""
        records = logging.getLogRecordFactory()
        logging.setLogRecordFactory(plain_records(records))
        try:
            with write_log(self.form, job=self._job, debug=self.debug):
                yield
        finally:
            logging.setLogRecordFactory(records)

    def tell(self, error: Exception) -> int:
        """Report what ended the command; returns its exit code."""
        code = _exit_code(error)
        if self.form == "json":
            about = fields(error=type(error).__name__, exit_code=code)
            _log.error("%s", _said(error), extra=about, exc_info=error if self.debug else None)
            return code
        print(plain_lines(_told(error)), file=sys.stderr)
        if self.debug:
            print(plain_lines("".join(traceback.format_exception(error))), file=sys.stderr)
        return code


def _job(words: Sequence[str]) -> str:
    """The name that Beam is given for the job, else the command's."""
    named = [value for flag, value in pairwise(words) if flag == "--job_name"]
    named += [word.partition("=")[2] for word in words if word.startswith("--job_name=")]
    return next(iter([*named, *(word for word in words if not word.startswith("-"))]), "todoke")


def _exit_code(error: Exception) -> int:
    code: int | None = getattr(error, "exit_code", None)  # the command line's own have one, too
    if code is not None:
        return code
    return NotStarted.exit_code if isinstance(error, _refused()) else TodokeError.exit_code


def _told(error: Exception) -> str:
    if isinstance(error, TodokeError):
        return error.told("todoke")
    text = _of_system(error) if isinstance(error, OSError) else " ".join(_said(error).split())
    if not isinstance(error, (OSError, *_refused())):  # these describe themselves what happened
        text = f"{type(error).__name__}: {text} (--debug shows where)"
    return f"todoke: {text or type(error).__name__}"


def _said(error: Exception) -> str:
    """Its text, without what Google's clients add that may be of a key file."""
    if not isinstance(error, _refused()):
        return str(error)
    from transforms.account import google_fault

    return google_fault(error)


def _of_system(error: OSError) -> str:
    """What the system said, and of which file."""
    said = error.strerror or str(error)
    return f"{error.filename}: {said}" if isinstance(error.filename, str) else said


def _refused() -> tuple[type[Exception], ...]:
    return tuple(getattr(sys.modules[module], name) for module, name in _REFUSED if module in sys.modules)
