"""A user's inbox, as an app shows it."""

from functools import partial
from typing import Any

import msgspec

from transforms.events.times import write_time
from transforms.storage.pages import Page
from transforms.storage.reader import Reader
from transforms.storage.rows import InboxRow, UserRow
from transforms.views.merged import merged
from transforms.views.users import known_user, profile

__all__ = ["inbox", "owner_of"]


def inbox(
    reader: Reader, user: str, limit: int, cursor: str | None = None, *, now: int | None = None
) -> Page[dict[str, Any]]:
    """A user's messages, newest first, those of users who were merged into this one too.

    With `now` (microseconds UTC) without those that have expired; a page may have fewer than `limit` then.

    Raises:
      UnknownUser: the store knows no such user.
      ValueError: the limit or the cursor cannot be.
      StoreError: the store cannot be read.
    """
    owner = owner_of(reader, user)
    names = [owner.user, *profile(owner).get("merged", ())]
    sources: dict[str, Any] = {name: ("inbox", partial(reader.page_inbox, name), _shown_at) for name in names}
    page: Page[InboxRow] = merged("inbox_of_user", sources, limit, cursor)
    shown = [row for row in page.rows if now is None or not row.expires or row.expires > now]
    return Page([_said(row) for row in shown], page.next)


def owner_of(reader: Reader, user: str) -> UserRow:
    """The row of the user, or of whoever it was merged into.

    Raises:
      UnknownUser: the store knows no such user.
      StoreError: the store cannot be read.
    """
    seen: set[str] = set()
    name = user
    while True:
        row = known_user(reader, name)
        owner = profile(row).get("owner", name)
        if owner == name or name in seen:
            return row
        seen.add(name)
        name = owner


def _shown_at(row: InboxRow) -> tuple[int, str]:
    return row.at, row.send


def _said(row: InboxRow) -> dict[str, Any]:
    said = {
        "send": row.send,
        "at": write_time(row.at),
        "campaign": row.campaign,
        "step": row.step,
        "title": row.title,
        "body": row.body,
        "image": row.image or None,
        "deep_link": row.deep_link or None,
        "data": msgspec.json.decode(row.data),
        "expires": write_time(row.expires) if row.expires else None,
    }
    return {name: value for name, value in said.items() if value is not None}
