"""Logs that people and programs read: a line of text, and by name what it is about (job, campaign, channel, reason).

Code that logs says the names with `extra=fields(…)`. A command writes its log to standard error, as text or as an
object of JSON a line; a worker of Beam hands text alone to its runner, and so writes the names behind it.
"""

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

__all__ = ["FORMATS", "JsonLines", "WithFields", "asked_format", "fields", "show_fields", "write_log"]

#: What `--log-format` takes.
FORMATS = ("text", "json")
#: The loggers of this package, and Python's own warnings.
_OURS = frozenset(("transforms", "services", "todoke", "beam_pipelines", "py"))
#: Loggers of which `--debug` alone shows anything. Beam (by `root`, too) logs a traceback for each step that fails, and
#: libraries for each call; what caused it is said in the end. Of all others, as a channel of another package, warnings
#: are shown.
_NOISE = frozenset(
    (
        *("root", "apache_beam", "PrismRunner", "SdkWorker", "aiohttp", "aiosmtplib", "asyncio", "cachecontrol"),
        *("charset_normalizer", "concurrent", "datastore", "dill", "fastavro", "firebase_admin", "google"),
        *("google_auth_httplib2", "grpc", "h2", "hdfs", "hpack", "httpcore", "httplib2", "httpx", "mail", "numexpr"),
        *("oauth2client", "opentelemetry", "pyarrow", "pymongo", "requests", "tenacity", "urllib3", "websockets"),
    )
)
#: Of ours that which tells how a run does.
_TELLS = "todoke"

_log = logging.getLogger(__name__)


def fields(**values: Any) -> dict[str, Any]:
    """What a record is about, for `extra=`: `campaign`, `channel`, `reason`, or a number that the text names."""
    return {"fields": values}


def _fields_of(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = getattr(record, "fields", {})
    return found


class JsonLines(logging.Formatter):
    """A record as one line, an object of JSON: `time`, `severity`, `message`, `logger`, `job`, the record's fields.

    Names are those that agents of Google's logging look for. Text of others cannot end the line or reach a terminal:
    what is not printable ASCII is escaped. `traceback` is there where the record has one.

    Args:
      job: what every line names as `job`.
    """

    def __init__(self, job: str) -> None:
        super().__init__()
        self._job = job

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "severity": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "job": self._job,
            **_fields_of(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["traceback"] = record.exc_text or "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return json.dumps(line, default=str)


class WithFields(logging.Formatter):
    """The text of a record, and behind it its fields as an object of JSON."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The first lines, to which a traceback is added."""
        found = _fields_of(record)
        text = super().formatMessage(record)
        return f"{text} {json.dumps(found, default=str)}" if found else text


class _Text(logging.Formatter):
    """Ours as a line of the command; what `--debug` shows of others with its level and logger."""

    def __init__(self, *, debug: bool) -> None:
        super().__init__("todoke: %(message)s")
        self._debug = debug
        self._others = logging.Formatter(logging.BASIC_FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        told = record.name.partition(".")[0] == _TELLS
        return super().format(record) if told or not self._debug else self._others.format(record)


def asked_format(words: Sequence[str]) -> str:
    """What the words of a command line ask for by `--log-format`; whether it is a format is for their parser to say."""
    return "json" if "--log-format=json" in words or ("--log-format", "json") in pairwise(words) else "text"


@contextmanager
def write_log(form: str, *, job: str, debug: bool = False) -> Iterator[None]:
    """Write what this process logs to standard error, for as long as the context lasts.

    Args:
      form: one of `FORMATS`. As JSON, warnings of Python and threads that die are records, too.
      job: see `JsonLines`.
      debug: show what Beam and other known libraries log, too, and not warnings of other packages alone.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(job) if form == "json" else _Text(debug=debug))
    if not debug:
        handler.addFilter(_is_shown)
    tells, hook = logging.getLogger(_TELLS), threading.excepthook
    before = tells.level
    tells.setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)
    if form == "json":
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it writes to standard error by itself
        logging.captureWarnings(True)
        threading.excepthook = _log_death
    try:
        yield
    finally:
        if form == "json":
            logging.captureWarnings(False)
            threading.excepthook = hook
        logging.getLogger().removeHandler(handler)
        tells.setLevel(before)


def show_fields() -> None:
    """In a worker: let handlers that have no format, as the one that hands records to the runner, show fields."""
    for handler in logging.getLogger().handlers:
        if handler.formatter is None:
            handler.setFormatter(WithFields())


def _is_shown(record: logging.LogRecord) -> bool:
    package = record.name.partition(".")[0].partition("@")[0]  # SdkWorker@ID: what Prism hands on of a worker
    return package in _OURS or (package not in _NOISE and record.levelno >= logging.WARNING)


def _log_death(died: threading.ExceptHookArgs) -> None:
    if died.exc_value is not None and not isinstance(died.exc_value, SystemExit):
        thread = died.thread.name if died.thread else "a thread"
        _log.error("%s died", thread, exc_info=died.exc_value)
