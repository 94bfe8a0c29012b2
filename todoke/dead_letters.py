"""`todoke dead-letters`: the dead letters that a store keeps."""

from itertools import islice
from typing import Any

from beam_pipelines.values import read_time
from todoke.clock import check_zone, clock
from todoke.names import check_word
from todoke.store import open_asked_reader
from todoke.terminal import json_text
from transforms.events.plain import plain
from transforms.storage.pages import every
from transforms.storage.reader import EARLIEST
from transforms.views.dead_letters import dead_letters as letters_of
from transforms.views.reasons import CAUSES

__all__ = ["dead_letters"]

#: What of a letter is a time.
_TIMES = ("time", "arrived", "replayed")
#: Letters that are read at a time: each may have a megabyte.
_AT_ONCE = 100
#: Characters of a payload that a line shows.
_SHOWN = 100


def dead_letters(url: str, cause: str | None, since: str | None, *, limit: int | None, zone: str, json: bool) -> None:
    """Print dead letters, one a line, newest first.

    Raises:
      WrongUse: the URL, the cause, the time or the zone is none.
      StoreError: the store cannot be read.
    """
    check_zone(zone, of="those whom letters name")
    check_word("--cause", "cause", cause, CAUSES)
    at = EARLIEST if since is None else read_time("--since", since)
    most = _AT_ONCE if limit is None else min(limit, _AT_ONCE)
    with open_asked_reader(url) as reader:
        for found in islice(every(lambda cursor: letters_of(reader, most, cursor, cause=cause, since=at)), limit):
            times = {name: clock(zone).moved(found[name]) for name in _TIMES if name in found}
            print(json_text(found | times) if json else _as_line(found | times))


def _as_line(found: dict[str, Any]) -> str:
    """One letter for people: its detail may be a traceback, of which the last line says what happened."""
    payload = found["payload"]
    payload = payload if len(payload) <= _SHOWN else f"{payload[: _SHOWN - 1]}…"
    said = " ".join(found["detail"].split("\n")[-1:]).strip() or found["detail"]
    again = f"replayed {found['replayed']}" if "replayed" in found else ""
    parts = (found["time"], found["cause"], found.get("user", "-"), said, again, payload)
    return plain("  ".join(filter(None, parts)))
