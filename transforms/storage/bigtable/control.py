"""The control table in Bigtable."""

from collections.abc import Collection, Sequence
from itertools import islice

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import Database, records
from transforms.storage.bigtable.tables import KEYS_ONLY
from transforms.storage.control import ControlRows, least_id
from transforms.storage.rows import ControlRow

__all__ = ["BigtableControl"]


class BigtableControl(Database):
    """See `Control`."""

    _control: ControlRows

    def publish_control(self, payloads: Sequence[bytes], at: int) -> None:
        """Add messages to the control table; see `Store.publish_control`."""
        self._write("control", {keys.control_key(row.id): (0, row) for row in self._control.make(payloads, at)})

    def read_control(self, limit: int, skip: Collection[str] = (), since: int | None = None) -> list[ControlRow]:
        """The oldest messages, without those to skip."""
        start = b"" if since is None else keys.control_key(least_id(since))
        if not skip:
            return list(records(ControlRow, self._tables.scan("control", start, None, limit)))
        skipped = {keys.control_key(each) for each in skip}
        oldest = (found.row_key for found in self._tables.scan("control", start, None, limit + len(skipped), KEYS_ONLY))
        asked = islice((key for key in oldest if key not in skipped), limit)
        return sorted(records(ControlRow, self._tables.read("control", list(asked)).values()), key=lambda row: row.id)

    def delete_control(self, ids: Sequence[str]) -> None:
        """Delete messages of the control table."""
        self._delete("control", [keys.control_key(each) for each in ids])
