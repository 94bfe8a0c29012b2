"""Names that somebody asks for and that nothing has: said to be unknown, with what may be meant."""

import sys
from collections.abc import Collection
from difflib import get_close_matches

from transforms.errors import WrongUse
from transforms.events.plain import counted, quoted
from transforms.metrics.flow import is_counted, segments_counted
from transforms.storage.reader import Reader

__all__ = ["check_name", "check_segment", "check_word", "is_known_segment", "meant", "say_unknown"]

#: So many names are listed where none is like the one that was asked for.
_LISTED = 50


def meant(name: str, names: Collection[str]) -> str | None:
    """The name that is most like one that there is not, whatever the case; None if none is."""
    by_lower = {each.lower(): each for each in names}
    close = get_close_matches(name.lower(), by_lower, 1)
    return by_lower[close[0]] if close else None


def _hint(name: str, names: Collection[str], otherwise: str) -> str:
    """The end of a sentence that there is no such name: a similar one, else all of them after `otherwise`."""
    if close := meant(name, names):
        return f"; did you mean `{close}`?"
    listed = list(names)[:_LISTED]
    more = f" and {counted(len(names) - _LISTED, 'other')}" if len(names) > _LISTED else ""
    return f"; {otherwise} {', '.join(listed) or 'none'}{more}"


def check_name(kind: str, name: str, names: Collection[str]) -> None:
    """Check that the definitions have a name.

    Raises:
      WrongUse: they do not; the message names a similar one, else all.
    """
    if name not in names:
        raise WrongUse(f"the definitions have no {kind} `{name}`{_hint(name, sorted(names), 'they have')}")


def check_word(flag: str, kind: str, word: str | None, words: Collection[str]) -> None:
    """Check what a flag names, where all that there is of the kind is known.

    Raises:
      WrongUse: it is none of them.
    """
    if word is not None and word not in words:
        raise WrongUse(f"{flag}: there is no {kind} `{word}`{_hint(word, words, 'expected one of')}")


def is_known_segment(reader: Reader, segment: str) -> bool:
    """Whether a store knows a segment by its last run over files, or by what a live job counted there. Where it does
    not, a line on standard error says so: it may be one that nobody entered since it was published.
    """
    last = reader.read_run()
    known = last.segments if last is not None else ()
    if segment in known or is_counted(reader, segment):
        return True
    what = f"the store knows of nobody who came to or left a segment {quoted(segment)}"
    say_unknown(what, segment, {*known, *segments_counted(reader)})
    return False


def check_segment(reader: Reader, segment: str) -> None:
    """Check that a store knows a segment; see `is_known_segment`.

    Raises:
      WrongUse: there was a run over files, which knows all segments, and it knew none of that name; nor did a live job
        count anybody there.
    """
    last = reader.read_run()
    if last is None or segment in last.segments:
        is_known_segment(reader, segment)
    elif not is_counted(reader, segment):
        raise WrongUse(f"the last run knew no segment `{segment}`{_hint(segment, last.segments, 'it knew')}")


def say_unknown(what: str, name: str, names: Collection[str], otherwise: str = "it has") -> None:
    """Say on standard error that nothing has a name, of which others may still come."""
    print(f"todoke: {what}{_hint(name, sorted(names), otherwise)}", file=sys.stderr)
