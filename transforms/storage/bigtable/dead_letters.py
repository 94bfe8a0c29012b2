"""The table of dead letters in Bigtable: letters by time, and beside them which are kept, and whose they are.

A letter is one row with its record, its weight and, once it was, when it was published again. What says which are kept,
and whose they are, is written before the letter, and whose they are is deleted after it: no letter is left that
deleting its user would not find.
"""

from collections.abc import Iterable, Mapping, Sequence
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
        """Keep letters; what is known of their replay stays."""
        rows = self._missing(rows)
        named = [keys.letter_of(row.user, row.time, row.id) for row in rows if row.user]
        self._tables.mutate(_TABLE, [set_cell(key, ROW, b"", 0) for key in named])
        entries = []
        for row in rows:
            key = keys.letter_key(row.time, row.id)
            entry = set_cell(key, ROW, msgspec.msgpack.encode(row), 0)
            entry.mutations.extend(set_cell(key, _WEIGHT, msgspec.msgpack.encode(_weight(row)), 0).mutations)
            entries.append(entry)
        self._tables.mutate(_TABLE, entries)

    def _missing(self, rows: Sequence[DeadLetterRow]) -> list[DeadLetterRow]:
        """The letters that are not kept, each once, at the places that are noted for them.

        A process that died after it had noted a place, and before it wrote the letter, left the place alone.
        """
        wanted = {keys.letter_id(row.id): row for row in reversed(rows)}
        noted = {
            key: msgspec.msgpack.decode(cell_of(found, ROW), type=int)
            for key, found in self._tables.read(_TABLE, list(wanted)).items()
        }
        new = [(key, row) for key, row in wanted.items() if key not in noted]
        self._tables.mutate(_TABLE, [set_cell(key, ROW, msgspec.msgpack.encode(row.time), 0) for key, row in new])
        placed = [msgspec.structs.replace(row, time=noted.get(key, row.time)) for key, row in wanted.items()]
        there = self._tables.read(_TABLE, [keys.letter_key(time, wanted[key].id) for key, time in noted.items()])
        self._reopen(placed, {key: letter(found).replayed for key, found in there.items()})
        return [row for row in placed if keys.letter_key(row.time, row.id) not in there]

    def _reopen(self, rows: Iterable[DeadLetterRow], replayed: Mapping[bytes, int]) -> None:
        """Count letters as never replayed whose messages arrived again after that."""
        again = [key for row in rows if 0 < replayed.get(key := keys.letter_key(row.time, row.id), 0) < row.arrived]
        self._tables.mutate(_TABLE, [set_cell(key, _REPLAYED, msgspec.msgpack.encode(0), 0) for key in again])

    def dead_letters_of(self, user: str) -> list[DeadLetterRow]:
        """The letters that name a user."""
        prefix = keys.letters_of(user)
        named = [found.row_key.removeprefix(prefix) for found in self._scan(_TABLE, prefix, row_filter=KEYS_ONLY)]
        return [letter(row) for row in self._tables.read(_TABLE, named).values()]

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
            self._delete(_TABLE, [keys.letter_id(row.id) for row in rows])
            self._delete(_TABLE, [row.row_key for row in some])
            self._delete(_TABLE, [keys.letter_of(row.user, row.time, row.id) for row in rows if row.user])
            deleted += len(some)
        return deleted

    def _delete_letters(self, user: str) -> None:
        """Delete the letters that name a user, then the entries that say so."""
        prefix = keys.letters_of(user)
        named = [found.row_key for found in self._scan(_TABLE, prefix, row_filter=KEYS_ONLY)]
        letters = self._tables.read(_TABLE, [key.removeprefix(prefix) for key in named])
        self._delete(_TABLE, [keys.letter_id(record(DeadLetterRow, found).id) for found in letters.values()])
        self._delete(_TABLE, list(letters))
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
