"""Memberships as a table for a warehouse: a row for each segment and user, in Parquet.

The columns are `segment`, `user` (`~` and the id of a visitor) and `since`, a time in UTC. Evaluation by columns says
who is a member, and not since when: `since` is null then. Rows are sorted by segment and user.
"""

from collections.abc import Iterable
from io import BytesIO
from typing import Any

import polars as pl

from transforms.segments.columns.memberships import USER

__all__ = ["SCHEMA", "encode_parquet", "listed"]

SCHEMA: dict[str, Any] = {"segment": pl.String, "user": pl.String, "since": pl.Datetime("us", "UTC")}


def listed(frames: Iterable[pl.DataFrame], segments: Iterable[str]) -> pl.DataFrame:
    """The members in frames of `segments.columns.memberships`."""
    names = sorted(segments)
    parts = [pl.DataFrame(schema=SCHEMA)]
    for frame in frames:
        parts += [
            frame.filter(pl.col(name)).select(
                pl.lit(name).alias("segment"),
                pl.col(USER).alias("user"),
                pl.lit(None, SCHEMA["since"]).alias("since"),
            )
            for name in names
        ]
    return pl.concat(parts).sort("segment", "user")


def encode_parquet(members: pl.DataFrame) -> bytes:
    """A table as the bytes of a file; equal tables have equal bytes."""
    held = BytesIO()
    members.write_parquet(held, compression="zstd")
    return held.getvalue()
