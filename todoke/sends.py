"""`todoke sends`: sends and refusals of all users: whom a reason struck."""

from itertools import islice
from typing import Any

from beam_pipelines.values import read_time
from todoke.clock import check_zone, clock
from todoke.store import open_asked_reader
from todoke.terminal import json_text
from transforms.errors import WrongUse
from transforms.events.plain import plain
from transforms.storage.pages import MOST, every
from transforms.storage.reader import EARLIEST
from transforms.views.sends import sends as sends_of

__all__ = ["sends"]


def sends(url: str, asked: dict[str, Any], *, limit: int | None, zone: str, json: bool) -> None:
    """Print sends and refusals, one a line, by state and campaign, newest decision first.

    Args:
      url: of the store.
      asked: what of them: `campaign`, `states`, `reason`, `since` (ISO 8601 text, or None).
      limit: so many at most; None for all.
      zone: of the times.
      json: one JSON object a line.

    Raises:
      WrongUse: the URL, a state, the time or the zone is none.
      StoreError: the store cannot be read.
    """
    check_zone(zone, of="those who were sent to")
    since = EARLIEST if asked["since"] is None else read_time("--since", asked["since"])
    asked = asked | {"since": since}
    with open_asked_reader(url) as reader:
        try:
            sends_of(reader, 1, **asked)
        except ValueError as error:
            raise WrongUse(f"--state: {error}") from error
        for found in islice(every(lambda cursor: sends_of(reader, MOST, cursor, **asked)), limit):
            shown = found | {name: clock(zone).moved(found[name]) for name in ("time", "at")}
            print(json_text(shown) if json else _as_line(shown))


def _as_line(found: dict[str, Any]) -> str:
    step = f" / {found['step']}" if found["step"] else ""
    parts = (found["time"], found["state"], found["channel"] or "-", f"{found['campaign']}{step}", found["user"])
    return plain("  ".join(filter(None, (*parts, found["detail"]))))
