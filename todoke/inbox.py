"""`todoke inbox`: what an app shows one user."""

import time
from typing import Any

from todoke.clock import check_zone, clock, zone_in
from todoke.store import open_asked_reader
from todoke.terminal import json_text
from transforms.errors import WrongUse
from transforms.events.plain import plain
from transforms.storage.pages import MOST, every
from transforms.views.inbox import inbox as inbox_of
from transforms.views.inbox import owner_of
from transforms.views.users import UnknownUser

__all__ = ["inbox"]

_TIMES = ("at", "expires", "read", "clicked", "dismissed")


def inbox(user: str, url: str, *, expired: bool, zone: str, json: bool) -> None:
    """Print a user's messages, newest first, those of users who were merged into this one too; times by `--zone`.

    Raises:
      WrongUse: the URL, the user or the zone is unknown.
      StoreError: the store cannot be read.
    """
    check_zone(zone)
    now = None if expired else time.time_ns() // 1000
    with open_asked_reader(url) as reader:
        try:
            by = clock(zone, zone_in(owner_of(reader, user)))
        except UnknownUser as error:
            raise WrongUse(str(error)) from error
        for found in every(lambda cursor: inbox_of(reader, user, MOST, cursor, now=now)):
            message = found | {name: by.moved(found[name]) for name in _TIMES if name in found}
            print(json_text(message) if json else _as_line(message))


def _as_line(message: dict[str, Any]) -> str:
    until = f"  until {message['expires']}" if "expires" in message else ""
    text = " ".join(f"{message['title']}  {message['body']}".split())
    return plain(f"{message['at']}  {text}  ({message['campaign']}){until}")
