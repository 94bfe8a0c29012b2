"""The table of dead letters: refused messages, kept for a while so that people can look at them and mend them."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from transforms.storage.rows import DeadLetterRow

__all__ = ["DeadLetters", "LetterKey", "first_beyond"]

#: The place of a letter: its time and its id. Newest first, then by id, is their order.
LetterKey = tuple[int, str]


class DeadLetters(Protocol):
    """Dead letters, newest first. Deleting a user takes those that name the user."""

    def write_dead_letters(self, rows: Sequence[DeadLetterRow]) -> None:
        """Keep letters; one that is kept already, by its id, stays as it is.

        One that was replayed, and whose message arrived again after that, counts as never replayed.
        """

    def dead_letters_of(self, user: str) -> list[DeadLetterRow]:
        """The letters that name a user, in any order."""

    def mark_replayed(self, rows: Sequence[DeadLetterRow], at: int) -> None:
        """Note that letters were published again at a time; letters that are gone stay gone."""

    def prune_dead_letters(self, since: int, most_rows: int, most_bytes: int) -> int:
        """Delete the letters before `since`, and the oldest beyond so many or so many bytes; returns how many.

        A letter's bytes are its `weight`. This reads the keys of all letters, so call it only now and then.
        """


def first_beyond(
    weights: Iterable[tuple[LetterKey, int]], since: int, most_rows: int, most_bytes: int
) -> LetterKey | None:
    """The first of these letters (keys and weights, newest first) that is not kept; nor is any after it."""
    rows = total = 0
    for (time, id_), weight in weights:
        rows, total = rows + 1, total + weight
        if time < since or rows > most_rows or total > most_bytes:
            return time, id_
    return None
