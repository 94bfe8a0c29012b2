"""The table of dead letters: messages that were refused, kept for a while, so that they can be looked at and mended."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from transforms.storage.rows import DeadLetterRow

__all__ = ["DeadLetters", "LetterKey", "first_beyond"]

#: What names a letter: its time and its id. Newest first, then by id, is their order.
LetterKey = tuple[int, str]


class DeadLetters(Protocol):
    """Dead letters, newest first. Deleting a user takes those that name the user."""

    def write_dead_letters(self, rows: Sequence[DeadLetterRow]) -> None:
        """Keep letters; one that is kept already stays as it is, and so does what is known of its replay."""

    def mark_replayed(self, rows: Sequence[DeadLetterRow], at: int) -> None:
        """Note that letters were published again at a time; those that are gone stay so."""

    def prune_dead_letters(self, since: int, most_rows: int, most_bytes: int) -> int:
        """Delete the letters before `since`, and the oldest beyond so many or so many bytes; returns how many.

        A letter's bytes are its `weight`. Reads the keys of all, and is for now and then.
        """


def first_beyond(
    weights: Iterable[tuple[LetterKey, int]], since: int, most_rows: int, most_bytes: int
) -> LetterKey | None:
    """The first letter that is not to be kept, with all after it, of keys and weights newest first."""
    rows = total = 0
    for (time, id_), weight in weights:
        rows, total = rows + 1, total + weight
        if time < since or rows > most_rows or total > most_bytes:
            return time, id_
    return None
