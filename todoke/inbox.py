"""`todoke inbox`: what an app shows one user."""

import time
from typing import Any

import msgspec

from todoke.clock import Clock, check_zone, clock, zone_in
from todoke.store import open_asked
from todoke.terminal import json_text
from transforms.errors import WrongUse
from transforms.events.plain import plain, quoted
from transforms.storage.rows import InboxRow, UserRow
from transforms.storage.store import Store

__all__ = ["inbox"]


def inbox(user: str, url: str, *, expired: bool, zone: str, json: bool) -> None:
    """Print a user's messages, newest first, those of users who were merged into this one too; times by `--zone`.

    Raises:
      WrongUse: the URL, the user or the zone is unknown.
      StoreError: the store cannot be read.
    """
    check_zone(zone)
    store = open_asked(url)
    now = time.time_ns() // 1000
    owner, merged = _owner(user, store)
    by = clock(zone, zone_in(owner))
    rows = [row for name in (owner.user, *merged) for row in store.read_inbox(name)]
    shown = [row for row in rows if expired or not row.expires or row.expires > now]
    for row in sorted(shown, key=lambda row: (-row.at, row.send)):
        print(json_text(_as_json(row, by)) if json else _as_line(row, by))
    store.close()


def _owner(user: str, store: Store) -> tuple[UserRow, list[str]]:
    """The user, or whoever it was merged into, and all who were merged into that one."""
    name = user
    while (found := store.read_users([name]).get(name)) is not None:
        profile: dict[str, Any] = msgspec.json.decode(found.profile)
        if profile.get("owner", name) == name:
            return found, list(profile.get("merged", ()))
        name = profile["owner"]
    raise WrongUse(f"there is no user {quoted(user)}")


def _as_json(row: InboxRow, by: Clock) -> dict[str, Any]:
    said = {
        "send": row.send,
        "at": by.write(row.at),
        "campaign": row.campaign,
        "step": row.step,
        "title": row.title,
        "body": row.body,
        "image": row.image or None,
        "deep_link": row.deep_link or None,
        "data": msgspec.json.decode(row.data),
        "expires": by.write(row.expires) if row.expires else None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _as_line(row: InboxRow, by: Clock) -> str:
    until = f"  until {by.write(row.expires)}" if row.expires else ""
    text = " ".join(f"{row.title}  {row.body}".split())
    return plain(f"{by.write(row.at)}  {text}  ({row.campaign}){until}")
