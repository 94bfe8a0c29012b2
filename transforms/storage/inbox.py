"""The table of inboxes."""

from collections.abc import Sequence
from typing import Protocol

from transforms.storage.rows import InboxMarks, InboxRow

__all__ = ["Inbox"]


class Inbox(Protocol):
    """What apps show in their inboxes."""

    def write_inbox(self, rows: Sequence[InboxRow]) -> None:
        """Write inbox messages whole; the same (user, at, send) is one row. Marks stay as they were."""

    def mark_inbox(self, rows: Sequence[InboxRow], marks: InboxMarks) -> None:
        """Set those marks of messages that are given and not set yet. A message that is gone stays gone."""

    def read_inbox(self, user: str) -> list[InboxRow]:
        """A user's inbox, newest first, expired messages too."""
