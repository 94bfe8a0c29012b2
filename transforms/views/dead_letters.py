"""Dead letters that the store keeps: what was refused, why, and whose it is."""

from typing import Any

from transforms.events.dead_letter import payload_json
from transforms.events.times import write_time
from transforms.storage.pages import Page
from transforms.storage.reader import EARLIEST, Reader
from transforms.storage.rows import DeadLetterRow

__all__ = ["dead_letters"]


def dead_letters(
    reader: Reader, limit: int, cursor: str | None = None, *, cause: str | None = None, since: int = EARLIEST
) -> Page[dict[str, Any]]:
    """Dead letters, newest first: for one cause, refused at or after `since` (microseconds UTC).

    A payload that is not UTF-8 is base64, as `encoding` says; `size` is of the whole where only its beginning is kept.

    Raises:
      ValueError: the limit or the cursor cannot be.
      StoreError: the store cannot be read.
    """
    page = reader.page_dead_letters(limit, cursor, cause=cause, since=since)
    return Page([_shown(row) for row in page.rows], page.next)


def _shown(row: DeadLetterRow) -> dict[str, Any]:
    shown: dict[str, Any] = {"time": write_time(row.time), "arrived": write_time(row.arrived)}
    shown |= {"cause": row.cause, "user": row.user or None}
    shown |= {"source": row.source, "detail": row.detail, **payload_json(row.payload)}
    shown |= {"size": row.size} if row.size != len(row.payload) else {}
    shown |= {"replayed": write_time(row.replayed)} if row.replayed else {}
    return {name: value for name, value in shown.items() if value is not None}
