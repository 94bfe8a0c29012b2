"""`todoke members`: who is in a segment."""

import sys
from itertools import chain
from json import dumps

from todoke.clock import check_zone, clock
from todoke.names import check_segment
from todoke.store import open_asked_reader
from todoke.terminal import json_text
from transforms.events.plain import plain
from transforms.storage.open import parse_store
from transforms.storage.pages import MOST, every
from transforms.views.segments import members as members_of

__all__ = ["members"]


def members(segment: str, url: str, *, anonymous: bool, zone: str, json: bool) -> None:
    """Print the members as of the last run, in the order of their ids.

    SQLite has them in that order and they are printed as they are read; from Bigtable all are in memory at once.

    Raises:
      WrongUse: the URL, the segment or the zone is unknown, or the zone is each user's.
      StoreError: the store cannot be read.
    """
    check_zone(zone, of="members")
    with open_asked_reader(url) as reader:
        last = reader.read_run()
        listed = every(lambda cursor: members_of(reader, segment, MOST, cursor, anonymous=anonymous))
        first = next(listed, None)
        if first is None:
            check_segment(reader, segment)
        if last is not None and not last.finished:
            print("todoke: the last run has not finished; run it again with --continue", file=sys.stderr)
        found = chain([] if first is None else [first], listed)
        for member in found if parse_store(url)[0] == "sqlite" else sorted(found, key=lambda member: member.user):
            shown = {"user": member.user, "since": clock(zone).moved(member.since)}
            print(json_text(shown) if json else _as_line(member.user))


def _as_line(user: str) -> str:
    """An id as it is; but as a JSON string, with quotes, if it has several lines or commands for a terminal.

    So is an id that begins with a quote, so that no id is mistaken for another.
    """
    return dumps(user) if user.startswith('"') or plain(user) != user else user
