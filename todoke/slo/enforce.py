"""`todoke slo enforce`: what `on_exhausted` says is done, by a row that the live job's deliveries read."""

from contextlib import closing

from todoke.clock import UTC_CLOCK
from todoke.slo.show import asked_levels, asked_running, asked_time
from todoke.store import open_asked
from todoke.terminal import json_text, print_plain
from transforms.errors import WrongUse
from transforms.metrics.slos.holds import hold_of
from transforms.metrics.slos.status import minutes_of, status_of
from transforms.segments.values import DAY, MINUTE, duration

__all__ = ["enforce"]

#: A hold lasts so long at most: who stops scheduling this command holds nothing back for ever.
_LONGEST = 7 * DAY


def enforce(url: str, definitions: str, length: str, job: str | None, *, json: bool) -> None:
    """Look at all levels, and write what is held back from now on.

    Raises:
      WrongUse: the URL or the length cannot be.
      StoreError: the store cannot be read, or written.
    """
    lasts, running, at = _length(length), asked_running(job), asked_time(None)
    levels = asked_levels(definitions)
    with closing(open_asked(url)) as store:
        found = [status_of(level, minutes_of(store, level, at, running=running), at) for level in levels]
        row = hold_of(found, at, lasts, store.read_hold())
        store.write_hold(row)
    if json:
        print(json_text({"below": row.below, "levels": row.levels, "until": UTC_CLOCK.write(row.until)}))
    elif row.below:
        names = ", ".join(row.levels)
        print_plain(f"sends of a priority below {row.below} wait until {UTC_CLOCK.write(row.until)}: {names} exhausted")
    else:
        print_plain("nothing is held back")


def _length(text: str) -> int:
    try:
        length = duration(text)
    except ValueError as error:
        raise WrongUse(f"--for: {error}") from error
    if not MINUTE <= length <= _LONGEST:
        raise WrongUse("--for: expected 1m to 7d, such as 30m; schedule this command more often than that")
    return length
