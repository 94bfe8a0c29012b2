"""When Cloud Scheduler does something: five fields of cron. Nothing here imports Beam."""

import re

from transforms.errors import WrongUse
from transforms.events.plain import quoted

__all__ = ["check_schedule"]

# Minute, hour, day of the month, month, day of the week: the least and the most, and names that stand for numbers.
_FIELDS = ((0, 59, ""), (0, 23, ""), (1, 31, ""), (1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"))
_WEEK = (0, 7, "sun mon tue wed thu fri sat")
_PART = re.compile(r"(\*|(?P<first>\w+)(-(?P<last>\w+))?)(/(?P<step>[0-9]+))?")


def check_schedule(text: str) -> None:
    """Find a schedule that Cloud Scheduler would refuse.

    Raises:
      WrongUse: it is none.
    """
    fields = text.split()
    kinds = (*_FIELDS, _WEEK)
    if len(fields) != len(kinds) or not all(map(_is_field, fields, kinds)):
        raise WrongUse(f"--schedule: expected five fields of cron, such as '7 * * * *'; found {quoted(text)}")


def _is_field(text: str, kind: tuple[int, int, str]) -> bool:
    return all(_is_part(part, *kind) for part in text.split(","))


def _is_part(text: str, least: int, most: int, names: str) -> bool:
    found = _PART.fullmatch(text)
    if found is None or found["step"] in ("0", "00"):
        return False
    numbers = {name: str(number) for number, name in enumerate(names.split(), least)}
    ends = [numbers.get(end.lower(), end) for end in (found["first"], found["last"]) if end is not None]
    if not all(end.isascii() and end.isdecimal() and least <= int(end) <= most for end in ends):
        return False
    return len(ends) < 2 or int(ends[0]) <= int(ends[1])
