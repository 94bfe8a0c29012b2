"""A user's inbox, as an app shows it."""

from functools import partial
from typing import Any

import msgspec

from transforms.events.times import write_time
from transforms.storage.pages import MOST, Page, check_limit, page_of, read_cursor
from transforms.storage.reader import Reader
from transforms.storage.rows import InboxRow, UserRow
from transforms.views.merged import merged
from transforms.views.person import is_tombstone
from transforms.views.users import UnknownUser, known_user, profile

__all__ = ["ShownInbox", "inbox", "inbox_rows", "owner_of", "shown_inbox"]

#: The name of the list of what an app shows, in its cursors.
_SHOWN = "shown_inbox"


class ShownInbox(msgspec.Struct, frozen=True):
    """A page of what an app shows, and how many messages of the whole list are `unread`."""

    messages: list[dict[str, Any]]
    unread: int
    next: str | None = None


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


def shown_inbox(
    reader: Reader, user: str, limit: int, cursor: str | None = None, *, now: int, placement: str = ""
) -> ShownInbox:
    """What an app shows of the messages of one placement: those that have neither expired nor been dismissed.

    Nobody knows a user of whom nothing happened yet: such an inbox is empty, and so is a deleted user's.

    Args:
      reader: of the store.
      user: the user id, perhaps one of before.
      limit: messages of a page.
      cursor: the `next` of the page before. It names no user.
      now: microseconds UTC.
      placement: empty for the list of messages, `*` for those of all placements and the list.

    Raises:
      ValueError: the limit or the cursor cannot be.
      StoreError: the store cannot be read.
    """
    check_limit(limit)
    after = None if cursor is None else read_cursor(_SHOWN, cursor, int, str)
    shown = [
        row
        for row in inbox_rows(reader, user)
        if placement in ("*", row.placement) and not row.dismissed and (not row.expires or row.expires > now)
    ]
    unread = sum(not row.opened and not row.clicked for row in shown)
    rest = shown if after is None else [row for row in shown if _place(row) > (-after[0], after[1])]
    page = page_of(_SHOWN, (((row.at, row.send), row) for row in rest), limit)
    return ShownInbox([_said(row) for row in page.rows], unread, page.next)


def inbox_rows(reader: Reader, user: str) -> list[InboxRow]:
    """The newest `MOST` messages of a user, newest first, those of users who were merged into this one too; none of a
    user of whom nothing is known, or who was deleted.

    Raises:
      StoreError: the store cannot be read.
    """
    try:
        owner = owner_of(reader, user)
    except UnknownUser:
        return []
    known = profile(owner)
    if is_tombstone(known):  # a courier may just have written one more
        return []
    # Whoever was merged just now may not have arrived there yet.
    names = dict.fromkeys([owner.user, *known.get("merged", ()), user])
    return sorted((row for name in names for row in reader.page_inbox(name, MOST).rows), key=_place)[:MOST]


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


def _place(row: InboxRow) -> tuple[int, str]:
    return -row.at, row.send


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
        "placement": row.placement or None,
        "trigger": msgspec.json.decode(row.trigger) if row.trigger else None,
        "locale": row.locale or None,
        "read": write_time(row.opened) if row.opened else None,
        "clicked": write_time(row.clicked) if row.clicked else None,
        "dismissed": write_time(row.dismissed) if row.dismissed else None,
    }
    return {name: value for name, value in said.items() if value is not None}
