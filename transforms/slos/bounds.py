"""The bounds of the buckets of histograms, in microseconds. A service level's `below` is one of them."""

from transforms.segments.values import HOUR, MINUTE, SECOND

__all__ = ["BOUNDS"]

BOUNDS = (
    *(1_000 * each for each in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    *(SECOND * each for each in (1, 2, 5, 10, 15, 30, 60)),
    *(MINUTE * each for each in (2, 5, 10, 15, 30, 60)),
    *(HOUR * each for each in (2, 6, 12, 24)),
)
