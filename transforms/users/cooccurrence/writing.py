"""Recommendations of all users, from messages into a store, in one process that spills to disk."""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from transforms.storage.recommendations import Recommendations
from transforms.storage.rows import RecommendationRow
from transforms.users.cooccurrence.counting import Question, lists_of_pairs, lists_of_tops, summed_tops
from transforms.users.prepare.prepare import prepare
from transforms.users.prepare.spill import Spill

__all__ = ["recommend", "write_lists"]

#: Lists that are written together.
_AT_ONCE = 500


def recommend(
    messages: Iterable[bytes],
    question: Question,
    store: Recommendations,
    made: int,
    folder: Path,
    *,
    parts: int,
    announced: Callable[[str], bool] = lambda _: False,
) -> Counter[str]:
    """Count which products the same users have, and write the lists of the run `made`, which nobody follows yet.

    Returns counts by name: how messages ended (see `prepare`), and `lists`. Memory follows the size of a part of the
    users, or of pairs of products, of which there are `parts`; `folder` is an empty one. `announced`: see
    `decode_announced`.

    Raises:
      NoRoom: the folder is full.
      StoreError: lists cannot be written.
    """
    done = prepare(messages, question.needs, folder, until=question.as_of, parts=parts, announced=announced)
    sums = Counter(done.accounts)
    place = folder / "pairs"
    place.mkdir()
    spill, counted = Spill(place, parts), []
    for partition in done.prepared.partitions:
        tops, pairs = question.count(done.prepared, partition)
        counted.append(tops)
        for frame in pairs:
            spill.write("pairs", frame)
    tops = summed_tops(counted)
    sums["lists"] += write_lists(store, lists_of_tops(tops, question.asked, made))
    for part in range(parts):
        if spill.files("pairs", part):
            found = lists_of_pairs(spill.scan("pairs", part), tops, question.asked, made)
            sums["lists"] += write_lists(store, found)
    return sums


def write_lists(store: Recommendations, lists: Iterable[RecommendationRow]) -> int:
    """Write lists, some after others; how many there were."""
    rows, many = iter(lists), 0
    while some := list(islice(rows, _AT_ONCE)):
        store.write_recommendations(some)
        many += len(some)
    return many
