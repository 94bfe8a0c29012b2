"""`todoke sends`: sends and refusals of all users: whom a reason struck."""

from itertools import chain, islice
from typing import Any

from beam_pipelines.values import read_time
from todoke.clock import check_zone, clock
from todoke.names import check_word, say_unknown
from todoke.store import open_asked_reader
from todoke.terminal import json_text
from transforms.events.plain import plain, quoted
from transforms.storage.pages import MOST, every
from transforms.storage.reader import EARLIEST, Reader
from transforms.storage.sends import STATES
from transforms.views.reasons import REASONS
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
    for state in asked["states"]:
        check_word("--state", "state", state, STATES)
    since = EARLIEST if asked["since"] is None else read_time("--since", asked["since"])
    asked = asked | {"since": since}
    with open_asked_reader(url) as reader:
        listed = every(lambda cursor: sends_of(reader, MOST, cursor, **asked))
        first = next(listed, None)
        if first is None:
            _check_names(reader, asked["campaign"], asked["reason"])
            return
        for found in islice(chain([first], listed), limit):
            shown = found | {name: clock(zone).moved(found[name]) for name in ("time", "at")}
            print(json_text(shown) if json else _as_line(shown))


def _check_names(reader: Reader, campaign: str | None, reason: str | None) -> None:
    """Where nothing was found: whether there is anything of that name. A package's channel may have its own reasons,
    so that one that is not known is no mistake."""
    if reason is not None and reason not in REASONS and not _has_reason(reader, reason):
        what = f"the store has neither sends nor refusals for a reason {quoted(reason)}"
        say_unknown(what, reason, REASONS, "reasons are")
    if campaign is not None and campaign not in (known := reader.campaigns_of_sends()):
        say_unknown(f"the store has neither sends nor refusals of a campaign {quoted(campaign)}", campaign, known)


def _has_reason(reader: Reader, reason: str) -> bool:
    """Whether anything has a reason; reads sends until one has."""
    return any(True for _ in every(lambda cursor: sends_of(reader, 1, cursor, reason=reason)))


def _as_line(found: dict[str, Any]) -> str:
    step = f" / {found['step']}" if found["step"] else ""
    parts = (found["time"], found["state"], found["channel"] or "-", f"{found['campaign']}{step}", found["user"])
    return plain("  ".join(filter(None, (*parts, found["detail"]))))
