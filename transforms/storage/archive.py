"""The archive of events."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from transforms.storage.rows import EventKey, EventRow

__all__ = ["Archive"]


class Archive(Protocol):
    """The archive of record: each event, under the user to whom it was applied."""

    def write_events(self, rows: Sequence[EventRow]) -> None:
        """Add events to the archive; the same (user, time, id) is one row."""

    def existing_events(self, keys: Sequence[EventKey]) -> dict[EventKey, int]:
        """Those of `keys` that the archive holds, with the version of each row."""

    def read_events(self, user: str, limit: int | None = None) -> list[EventRow]:
        """A user's events, newest first."""

    def scan_events(self, user: str) -> Iterator[EventRow]:
        """A user's events, newest first, however many there are."""

    def scan_archive(self, first: str, last: str) -> Iterator[EventRow]:
        """The events of all users from one to another, in the order of `scan_users`, of each the newest first.

        Memory of SQLite follows the number of these users.
        """

    def delete_unapplied(self) -> None:
        """Delete the events that no row of a user knows of: their writer died before it wrote the user.

        They come again, and until then they must not count as applied. Nobody else may work on the store.
        """
