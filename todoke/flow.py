"""`todoke flow`: entries, exits and size of a segment by minute, as a live job counts them."""

import sys

import msgspec

from todoke.clock import check_zone, clock
from todoke.names import is_known_segment
from todoke.store import open_asked_reader
from todoke.terminal import json_text
from transforms.events.plain import quoted
from transforms.metrics.flow import flow_of

__all__ = ["flow"]


def flow(segment: str, url: str, *, zone: str, json: bool) -> None:
    """Print a line for each window in which somebody entered or left.

    Raises:
      WrongUse: the URL or the zone is unknown, or the zone is each user's.
      StoreError: the store cannot be read.
    """
    check_zone(zone, of="those who come and go")
    with open_asked_reader(url) as reader:
        found = flow_of(reader, segment)
        known = bool(found) or is_known_segment(reader, segment)
    if known and not found and not json:
        print(
            f"todoke: nobody was counted as coming or going in {quoted(segment)}; only live jobs count", file=sys.stderr
        )
    for each in found:
        shown = {**msgspec.structs.asdict(each), "window": clock(zone).write(each.window)}
        print(json_text(shown) if json else "\t".join(map(str, shown.values())))
