"""Bounded runs on a store: when one may start, and what it leaves for the next."""

from collections.abc import Mapping

from transforms.campaigns.load import Definitions
from transforms.errors import NotStarted
from transforms.events.times import write_time
from transforms.storage.rows import RunRow
from transforms.storage.runs import Runs
from transforms.storage.store import Store
from transforms.users.lease import JobLease
from transforms.users.rebuild import asked_of

__all__ = ["RunRefused", "begin_run", "finish_run"]


class RunRefused(NotStarted):
    """A bounded run that would give wrong answers on this store; the message says what to do."""


def begin_run(
    store: Store, definitions: Definitions, lease: JobLease, *, continued: bool, until: int | None = None
) -> int:
    """Check that a bounded run up to `until` (microseconds UTC, None: to be found) may use a store; note its begin.

    Takes the lease on the store. If the holder before died or failed, what it archived and did not apply is deleted:
    from now on users get the versions of those rows. Returns the time (microseconds UTC) up to which the users in it
    are settled, 0 for an empty one.

    Raises:
      LeaseHeld: a live job, or another run, works on the store.
      RunRefused: the store holds users and the run does not continue from them; or they are settled beyond `until`
        already.
    """
    lease.check()
    last = store.read_run()
    if store.has_users() and not continued:
        raise RunRefused("the store holds users already: add --continue to go on from them, or name a new store")
    as_of = last.as_of if last is not None else 0
    if until is not None and until < as_of:
        raise RunRefused(
            f"the store's users are settled up to {write_time(as_of)}, and no run can take them back to "
            f"{write_time(until)}: name a later --as-of, or a new store"
        )
    if lease.take() or (last is not None and not last.finished):
        store.delete_unapplied()
    judged = {} if last is None else last.judged or {last.definitions_hash: last.leaves}
    store.write_run(_row(definitions, as_of, judged, finished=False))
    return as_of


def finish_run(store: Runs, definitions: Definitions, as_of: int) -> None:
    """Note that a bounded run has settled every user up to `as_of` (microseconds UTC)."""
    store.write_run(_row(definitions, as_of, {}, finished=True))


def _row(definitions: Definitions, as_of: int, judged: Mapping[str, tuple[int, ...]], *, finished: bool) -> RunRow:
    """The row of a run. Until it has finished, users may still be judged by earlier definitions."""
    own = definitions.event_leaves, tuple(sorted(definitions.segments))
    known = {**judged, definitions.definitions_hash: asked_of(definitions)}
    return RunRow(as_of, definitions.definitions_hash, *own, finished, known)
