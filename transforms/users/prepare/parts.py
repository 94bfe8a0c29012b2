"""One part of the users: their rows, in whatever order they were spilled, as the two files that evaluation reads."""

from pathlib import Path

import polars as pl

from transforms.segments.columns.layout import Needs, Partition
from transforms.users.prepare.facts import last_written
from transforms.users.prepare.spill import FACT, put_aside

__all__ = ["write_part"]

#: Small enough that whoever reads one name of a partition passes over the others.
_ROW_GROUP = 65_536


def write_part(
    part: int, own: pl.LazyFrame, settled: pl.LazyFrame, needs: Needs, folder: Path
) -> tuple[Partition | None, int]:
    """Write the files of one part, None where it has no users; returns also how many messages of `own` apply.

    Args:
      part: its number.
      own: the rows of its users but those who were merged or deleted.
      settled: the rows of these, as the state machine left them (`whose.replay`), which has counted them.
      needs: what conditions ask.
      folder: where to write.

    Raises:
      NoRoom: they cannot be written.
    """
    once = [_once(rows.collect()) for rows in (own, settled)]
    rows = pl.concat(once, how="diagonal").sort("key")
    if rows.is_empty():
        return None, 0
    rows = rows.with_columns(user=pl.col("key").rle_id())
    users = rows.group_by("user", maintain_order=True).agg(pl.col("key").first().alias("id"))
    users = users.join(last_written(rows, needs), on="user", how="left", maintain_order="left")
    partition = Partition(f"{part:03}-users.parquet", f"{part:03}-events.parquet")
    put_aside(users, folder / partition.users)
    # Half of what is written are hashes, which no compression makes smaller; this one costs readers the least.
    put_aside(_events(rows), folder / partition.events, row_group_size=_ROW_GROUP, compression="lz4")
    return partition, once[0].height


def _once(rows: pl.DataFrame) -> pl.DataFrame:
    """Of the copies of a user's message the first to arrive."""
    return rows.sort("key", "arrival", "id").unique(["key", "id"], keep="first", maintain_order=True)


def _events(rows: pl.DataFrame) -> pl.DataFrame:
    """The events that conditions name, in the order that evaluation wants, without empty columns."""
    named = rows.filter(pl.col("name").is_not_null())
    base = ("name", "user", "time", "hash", "type")
    columns = [name for name in named.columns if "#" in name and not name.startswith(FACT)]
    asked = [name for name in columns if named[name].null_count() < named.height]
    return named.select(*base, *asked).sort("name", "user", "time", "hash")
