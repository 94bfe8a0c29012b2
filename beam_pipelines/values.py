"""What the values of flags mean. Nothing here imports Beam."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from transforms.errors import WrongUse
from transforms.events.plain import quoted
from transforms.segments.values import DAY, duration, written_time

__all__ = ["parsed", "read_time"]

_Said = TypeVar("_Said")
_Meant = TypeVar("_Meant")


def parsed(flag: str, parse: Callable[[_Said], _Meant], said: _Said) -> _Meant:
    """What a flag means.

    Raises:
      WrongUse: it means nothing; the text begins with the flag.
    """
    try:
        return parse(said)
    except ValueError as error:
        raise WrongUse(f"{flag}: {error}") from error


def read_time(flag: str, text: str, now: int | None = None) -> int:
    """The time that a flag names, microseconds UTC.

    Where `now` is given, `now`, `today` (when the day began, UTC) and `now-1h` or `today-2d` too: schedulers fill
    nothing in.

    Raises:
      WrongUse: it names none.
    """
    word = text.partition("-")[0]
    if now is not None and word in _FROM:
        return _FROM[word](now) - parsed(flag, _ago, text)
    moment = written_time(text)
    if not isinstance(moment, int):
        words = "" if now is None else ", or now, now-1h, today, today-1d"
        raise WrongUse(
            f"{flag}: expected a time with a zone, such as 2026-07-01T00:00:00Z{words}; found {quoted(text)}"
        )
    return moment


#: Words for times, by what they mean at a time.
_FROM: Mapping[str, Callable[[int], int]] = {"now": lambda now: now, "today": lambda now: now - now % DAY}


def _ago(text: str) -> int:
    _, sign, ago = text.partition("-")
    return duration(ago) if sign else 0
