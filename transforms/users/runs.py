"""Bounded runs on a store: when one may start, and what it leaves for the next."""

from transforms.campaigns.load import Definitions
from transforms.storage.rows import RunRow
from transforms.storage.store import Store

__all__ = ["RunRefused", "begin_run", "finish_run"]


class RunRefused(Exception):
    """A bounded run that would give wrong answers on this store; the message says what to do."""


def begin_run(store: Store, definitions: Definitions, *, continued: bool) -> int:
    """Check that a bounded run may use a store, and note that it has begun.

    Returns the time (microseconds UTC) up to which the users in the store are settled, 0 for an empty one.

    Raises:
      RunRefused: the store holds users and the run does not continue from them; or the definitions have conditions on
        events of which the store's users have no history.
    """
    last = store.read_run()
    if store.has_users() and not continued:
        raise RunRefused("the store holds users already: add --continue to go on from them, or name a new store")
    new = set(definitions.event_leaves) - set(last.leaves if last is not None else definitions.event_leaves)
    if last is not None and new:
        names = sorted(definitions.segments_of(new))
        raise RunRefused(
            f"segments or audiences {', '.join(names)} ask about events in a way that this store has no history for: "
            "run all events into a new store"
        )
    as_of = last.as_of if last is not None else 0
    store.write_run(_row(definitions, as_of, finished=False))
    return as_of


def finish_run(store: Store, definitions: Definitions, as_of: int) -> None:
    """Note that a bounded run has settled every user up to `as_of` (microseconds UTC)."""
    store.write_run(_row(definitions, as_of, finished=True))


def _row(definitions: Definitions, as_of: int, *, finished: bool) -> RunRow:
    return RunRow(as_of, definitions.revision, definitions.event_leaves, tuple(sorted(definitions.segments)), finished)
