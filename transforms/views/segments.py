"""A segment: who is in it, and how it filled and emptied."""

import msgspec

from transforms.metrics.flow import Flow, flow_of
from transforms.storage.pages import Page, check_limit, page_of, read_cursor
from transforms.storage.reader import EARLIEST, Reader
from transforms.users.user import ANONYMOUS

__all__ = ["Member", "flow", "members"]


class Member(msgspec.Struct, frozen=True):
    """Somebody in a segment, `since` when (ISO 8601, UTC)."""

    user: str
    since: str


class _Shown(msgspec.Struct):
    """What is read of a profile: since when, by segment."""

    segments: dict[str, str] = {}


def members(
    reader: Reader, segment: str, limit: int, cursor: str | None = None, *, anonymous: bool = False
) -> Page[Member]:
    """Who is in a segment: by user in SQLite, in no stated order in Bigtable; users with a user id, unless told.

    A page may have fewer than `limit`: the index may name somebody whose row says otherwise, and the row is right (see
    `transforms.users.members`).

    Raises:
      ValueError: the limit or the cursor cannot be.
      StoreError: the store cannot be read.
    """
    page = reader.page_members(segment, limit, cursor)
    listed = [row.user for row in page.rows if anonymous or not row.user.startswith(ANONYMOUS)]
    users = reader.read_users(listed)
    said = {user: msgspec.json.decode(row.profile, type=_Shown).segments for user, row in users.items()}
    found = [Member(user, said[user][segment]) for user in listed if segment in said.get(user, {})]
    return Page(found, page.next)


def flow(reader: Reader, segment: str, limit: int, cursor: str | None = None, *, since: int = EARLIEST) -> Page[Flow]:
    """How a segment filled and emptied, by window, oldest first: the windows that begin at or after `since`.

    Sizes are counted back from who is a member now, so that each page reads all of them, and all counts.

    Raises:
      ValueError: the limit or the cursor cannot be.
      StoreError: the store cannot be read.
    """
    after = since - 1 if cursor is None else read_cursor("flow", cursor, int)[0]
    check_limit(limit)
    found = (each for each in flow_of(reader, segment) if each.window > after)
    return page_of("flow", (((each.window,), each) for each in found), limit)
