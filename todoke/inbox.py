"""`todoke inbox`: what an app shows one user."""

import time
from typing import Any

import msgspec

from todoke.store import open_asked
from todoke.terminal import json_text
from transforms.errors import WrongUse
from transforms.events.plain import plain, quoted
from transforms.events.times import write_time
from transforms.storage.rows import InboxRow
from transforms.storage.store import Store

__all__ = ["inbox"]


def inbox(user: str, url: str, *, expired: bool, json: bool) -> None:
    """Print a user's messages, newest first, those of users who were merged into this one too.

    Raises:
      WrongUse: the URL or the user is unknown.
      StoreError: the store cannot be read.
    """
    store = open_asked(url)
    now = time.time_ns() // 1000
    rows = [row for name in _names(user, store) for row in store.read_inbox(name)]
    shown = [row for row in rows if expired or not row.expires or row.expires > now]
    for row in sorted(shown, key=lambda row: (-row.at, row.send)):
        print(json_text(_said(row)) if json else _line(row))
    store.close()


def _names(user: str, store: Store) -> list[str]:
    """The user, or whoever it was merged into, and all who were merged into that one."""
    name = user
    while (found := store.read_users([name]).get(name)) is not None:
        profile: dict[str, Any] = msgspec.json.decode(found.profile)
        if profile.get("owner", name) == name:
            return [name, *profile.get("merged", ())]
        name = profile["owner"]
    raise WrongUse(f"there is no user {quoted(user)}")


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


def _line(row: InboxRow) -> str:
    until = f"  until {write_time(row.expires)}" if row.expires else ""
    text = " ".join(f"{row.title}  {row.body}".split())
    return plain(f"{write_time(row.at)}  {text}  ({row.campaign}){until}")
