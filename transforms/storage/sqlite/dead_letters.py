"""The table of dead letters in SQLite."""

from collections.abc import Iterable, Sequence

import msgspec

from transforms.storage.dead_letters import first_beyond
from transforms.storage.rows import DeadLetterRow
from transforms.storage.sqlite.database import Database, values

__all__ = ["SqliteDeadLetters"]


class _Weight(msgspec.Struct, frozen=True, gc=False):
    time: int
    id: str
    weight: int


class SqliteDeadLetters(Database):
    """See `DeadLetters`."""

    def write_dead_letters(self, rows: Sequence[DeadLetterRow]) -> None:
        """Keep letters; see `DeadLetters.write_dead_letters`."""
        names = (*DeadLetterRow.__struct_encode_fields__, "weight")
        sql = f"INSERT INTO dead_letters ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
        sql += "ON CONFLICT (id) DO UPDATE SET replayed = 0 WHERE replayed != 0 AND excluded.arrived > replayed"
        with self._transaction() as connection:
            connection.executemany(sql, [(*values(row), row.weight) for row in rows])

    def dead_letters_of(self, user: str) -> list[DeadLetterRow]:
        """The letters that name a user."""
        return self._select(DeadLetterRow, "dead_letters WHERE user = ?", (user,))

    def _delete_letters(self, users: Iterable[str]) -> None:
        """Delete the letters that name one of these."""
        with self._transaction() as connection:
            connection.executemany("DELETE FROM dead_letters WHERE user = ?", [(user,) for user in users])

    def mark_replayed(self, rows: Sequence[DeadLetterRow], at: int) -> None:
        """Note that letters were published again."""
        sql = "UPDATE dead_letters SET replayed = ? WHERE id = ?"
        with self._transaction() as connection:
            connection.executemany(sql, [(at, row.id) for row in rows])

    def prune_dead_letters(self, since: int, most_rows: int, most_bytes: int) -> int:
        """Delete old letters; see `DeadLetters.prune_dead_letters`."""
        found = self._newest(_Weight, "dead_letters", "time", ("id",), None)
        first = first_beyond((((row.time, row.id), row.weight) for row in found), since, most_rows, most_bytes)
        if first is None:
            return 0
        time, id_ = first
        with self._transaction() as connection:
            same = connection.execute("DELETE FROM dead_letters WHERE time = ? AND id >= ?", (time, id_)).rowcount
            return same + connection.execute("DELETE FROM dead_letters WHERE time < ?", (time,)).rowcount
