"""Budgets from counts of whatever system: one question a line, as JSON, and one answer."""

import json
import re
from fractions import Fraction

import msgspec

from transforms.segments.values import SECOND
from transforms.slos.alerts import LeftOut, alerts_of, fires
from transforms.slos.budget import NOTHING, Events, burn_of, remaining_of, state_of
from transforms.slos.definitions import WINDOWS

__all__ = ["BudgetAnswer", "CalcAlert", "answer", "read_share"]


class _Question(msgspec.Struct, forbid_unknown_fields=True):
    """One line: `counts` are [bad, total] of trailing windows, by their seconds."""

    objective: msgspec.Raw
    window: str
    counts: dict[str, tuple[int, int]]
    at_least: int = 0


class CalcAlert(msgspec.Struct, frozen=True):
    """One alert: its kind, its long window in seconds, its factor, and whether it fires."""

    kind: str
    long: int
    factor: str
    fires: bool


class BudgetAnswer(msgspec.Struct, frozen=True):
    """What is left of the budget, the state, the burn in each window that was given (None without events), and alerts.

    Numbers are exact, as text: `1/2`.
    """

    remaining: str
    state: str
    burn: dict[str, str | None]
    alerts: list[CalcAlert]


_READER = msgspec.json.Decoder(_Question)
#: A decimal number, or a fraction of two.
_PERCENT = re.compile(r"[0-9]{1,40}([.][0-9]{1,40})?([eE]-?[0-9]{1,2})?|[0-9]{1,40}/[0-9]{1,40}")

#: A window in seconds, which is written in one way only.
_SECONDS = re.compile("[1-9][0-9]{0,19}")


def answer(line: str | bytes) -> tuple[BudgetAnswer, tuple[LeftOut, ...], list[int]]:
    """The answer to one line, the alerts that were left out, and the windows (seconds) whose counts were not given.

    What was not given counts as no events: so nothing fires by it; without the window itself the state is `no data`.

    Raises:
      ValueError: the line is no such question; the text says why.
    """
    try:
        asked = _READER.decode(line)
        json.loads(line, object_pairs_hook=_refuse_twice)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error
    objective = read_share(bytes(asked.objective).decode().strip('"'))
    if asked.window not in WINDOWS:
        raise ValueError(f"window: expected one of {', '.join(WINDOWS)}; found {asked.window!r}")
    if asked.at_least < 0:
        raise ValueError(f"at_least: expected a number from 0; found {asked.at_least}")
    counts = {_seconds(key): _events(key, *each) for key, each in asked.counts.items()}
    window = WINDOWS[asked.window]
    alerts, left_out = alerts_of(objective, window)
    needed = {window, *(each.long for each in alerts), *(each.short for each in alerts)}
    whole = counts.get(window // SECOND, NOTHING)

    def events(length: int) -> Events:
        return counts.get(length // SECOND, NOTHING)

    found = BudgetAnswer(
        str(remaining_of(whole, objective)),
        state_of(whole, objective),
        {str(seconds): _text(burn_of(each, objective)) for seconds, each in counts.items()},
        [
            CalcAlert(each.kind, each.long // SECOND, str(each.factor), fires(each, events, objective, asked.at_least))
            for each in alerts
        ],
    )
    return found, left_out, sorted(each // SECOND for each in needed if each // SECOND not in counts)


def read_share(percent: str) -> Fraction:
    """An objective in percent, a decimal number or a fraction, as a share in (0, 1).

    Raises:
      ValueError: it is none.
    """
    if not _PERCENT.fullmatch(percent) or re.search("/0+$", percent):
        raise ValueError(f"objective: expected percent, such as 99.9; found {percent[:40]}")
    share = Fraction(percent) / 100
    if not 0 < share < 1:
        raise ValueError(f"objective: expected percent in (0, 100), since 100 leaves no budget; found {percent[:40]}")
    return share


def _refuse_twice(pairs: list[tuple[str, object]]) -> None:
    """Whoever says a window twice would be answered by one of the two, and failures be overlooked."""
    seen = set[str]()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"{key[:40]!r} is there twice")
        seen.add(key)


def _seconds(key: str) -> int:
    if not _SECONDS.fullmatch(key):
        raise ValueError(f"counts: expected the seconds of a window, such as 3600; found {key[:40]!r}")
    return int(key)


def _events(key: str, bad: int, total: int) -> Events:
    try:
        return Events(bad, total)
    except ValueError as error:
        raise ValueError(f"counts of {key}: {error}") from error


def _text(burn: Fraction | None) -> str | None:
    return None if burn is None else str(burn)
