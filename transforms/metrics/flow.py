"""How segments fill and empty: entries, exits and size by window, from the counts of the metrics table."""

from collections.abc import Iterable, Iterator

import msgspec

from transforms.storage.rows import MetricRow

__all__ = ["Flow", "flows"]


class Flow(msgspec.Struct, frozen=True):
    """What happened to one segment in the window that starts at `window` (microseconds UTC), and its size at its end.

    Counts are of users with a user id, whatever the cause.
    """

    window: int
    entered: int
    left: int
    size: int


def flows(segment: str, rows: Iterable[MetricRow], before: int = 0) -> Iterator[Flow]:
    """The flow of a segment by window, oldest first.

    The size is the running sum of entries less exits, from the size `before` the first window on. It is never kept:
    a window that is written again with what came late corrects all sizes after it.
    """
    counts: dict[int, list[int]] = {}
    for row in rows:
        series, _, rest = row.series.partition("/")
        if series in ("entered", "left") and rest.rpartition("/")[0] == segment:
            counts.setdefault(row.window, [0, 0])[series == "left"] += row.count
    for window, (entered, left) in sorted(counts.items()):
        before += entered - left
        yield Flow(window, entered, left, before)
