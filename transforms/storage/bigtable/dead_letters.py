"""The table of dead letters in Bigtable: letters by time, and entries that say whose they are.

A letter is one row with its record, its weight and, if it was published again, the time of that. The entry that says
whose it is comes before it, when writing and when deleting: deleting a user finds all letters that name the user.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import islice

import msgspec
from google.cloud.bigtable.data import Mutation, Row, SetCell
from google.cloud.bigtable.data.row_filters import ColumnQualifierRegexFilter, RowFilterChain

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import ROW, Database, cell_of, record
from transforms.storage.bigtable.tables import FAMILY, KEYS_ONLY, NEWEST, set_cell
from transforms.storage.dead_letters import LetterKey, first_beyond
from transforms.storage.rows import DeadLetterRow

__all__ = ["BigtableDeadLetters", "letter"]

_WEIGHT, _REPLAYED = b"weight", b"replayed"
_WEIGHTS = RowFilterChain([ColumnQualifierRegexFilter(_WEIGHT), NEWEST])
#: How many letters are deleted together.
_AT_ONCE = 500
_TABLE = "dead_letters"


class BigtableDeadLetters(Database):
    """See `DeadLetters`."""

    _claims: ThreadPoolExecutor

    def write_dead_letters(self, rows: Sequence[DeadLetterRow]) -> None:
        """Keep letters; the time of their replay stays."""
        named = [keys.letter_of(row.user, row.time, row.id) for row in rows if row.user]
        self._tables.mutate(_TABLE, [set_cell(key, ROW, b"", 0) for key in dict.fromkeys(named)])
        entries = []
        for key, row in {keys.letter_key(row.time, row.id): row for row in rows}.items():
            entry = set_cell(key, ROW, msgspec.msgpack.encode(row), 0)
            entry.mutations.extend(set_cell(key, _WEIGHT, msgspec.msgpack.encode(_weight(row)), 0).mutations)
            entries.append(entry)
        self._tables.mutate(_TABLE, entries)

    def mark_replayed(self, rows: Sequence[DeadLetterRow], at: int) -> None:
        """Note that letters were published again."""
        cells: list[Mutation] = [SetCell(FAMILY, _REPLAYED, msgspec.msgpack.encode(at), 0)]
        marking = [
            self._claims.submit(self._tables.update, _TABLE, keys.letter_key(row.time, row.id), cells) for row in rows
        ]
        wait(marking)
        for each in marking:
            each.result()

    def prune_dead_letters(self, since: int, most_rows: int, most_bytes: int) -> int:
        """Delete old letters; see `DeadLetters.prune_dead_letters`."""
        weights = (_weight_of(row) for row in self._scan(_TABLE, keys.LETTERS, row_filter=_WEIGHTS))
        first = first_beyond(weights, since, most_rows, most_bytes)
        if first is None:
            return 0
        deleted = 0
        found = self._tables.scan(_TABLE, keys.letter_key(*first), keys.end_of(keys.LETTERS))
        while some := list(islice(found, _AT_ONCE)):
            rows = [record(DeadLetterRow, row) for row in some]
            self._delete(_TABLE, [keys.letter_of(row.user, row.time, row.id) for row in rows if row.user])
            self._delete(_TABLE, [row.row_key for row in some])
            deleted += len(some)
        return deleted

    def _delete_letters(self, user: str) -> None:
        """Delete the letters that name a user, then the entries that say so."""
        prefix = keys.letters_of(user)
        named = [found.row_key for found in self._scan(_TABLE, prefix, row_filter=KEYS_ONLY)]
        self._delete(_TABLE, [key.removeprefix(prefix) for key in named])
        self._delete(_TABLE, named)


def letter(row: Row) -> DeadLetterRow:
    """The letter in a row."""
    said = cell_of(row, _REPLAYED)
    found = record(DeadLetterRow, row)
    return msgspec.structs.replace(found, replayed=msgspec.msgpack.decode(said, type=int)) if said else found


#: The key of a letter and its weight.
_Weight = tuple[int, str, int]


def _weight(row: DeadLetterRow) -> _Weight:
    return row.time, row.id, row.weight


def _weight_of(row: Row) -> tuple[LetterKey, int]:
    time, id_, weight = msgspec.msgpack.decode(cell_of(row, _WEIGHT), type=_Weight)
    return (time, id_), weight
