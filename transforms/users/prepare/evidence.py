"""The evidence that a history leaves in leaves, by columns: what seeds are made of."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from transforms.segments.columns.layout import needs_of
from transforms.segments.columns.seeds import seeds
from transforms.segments.leaves import EventLeaf
from transforms.users.prepare.prepare import Preparation, prepare

__all__ = ["evidence_before"]


def evidence_before(
    messages: Iterable[bytes],
    leaves: Iterable[EventLeaf],
    before: int,
    folder: Path,
    announced: Callable[[str], bool] = lambda _: False,
) -> tuple[Preparation, Iterator[tuple[str, bytes]]]:
    """What was read, and by id the MessagePack of {leaf: evidence} of all users who were known then.

    Args:
      messages: JSON of calls.
      leaves: whose evidence is asked.
      before: messages that arrived at this time (microseconds UTC) or later do not count.
      folder: is filled with what was prepared; it must not be there yet.
      announced: see `decode_announced`.

    Raises:
      NotColumnar: a leaf has no columnar form.
    """
    conditions = [leaf.condition for leaf in leaves]
    done = prepare(messages, needs_of(conditions), folder, until=before - 1, announced=announced)
    return done, (each for part in seeds(conditions, done.prepared) for each in part.encoded())
