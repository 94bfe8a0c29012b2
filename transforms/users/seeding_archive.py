"""Seeds of the store's own archive. They need no export, and each is exact for the moment at which it was read.

A user's row is read first, and then the rows of events, of which those count that the user had applied by then. Events
that arrived before the activation and are applied later are not in the seed; the user knows of them, and ends the seed
as `again`.
"""

from collections.abc import Iterator

from transforms.campaigns.load import Definitions
from transforms.events.event import SET, TOKEN_LOST
from transforms.events.times import write_time
from transforms.segments.evidence import Evidence
from transforms.storage.rows import EventRow, UserRow
from transforms.users.archive import HistoryStore, rows_of
from transforms.users.control import encode_inputs_control
from transforms.users.faults import open_user
from transforms.users.rebuild import counted, versions_of
from transforms.users.seeding import Owed, Seeding, activated, owed_to
from transforms.users.seeds import seeds_of
from transforms.users.seen import Seen, hash_message
from transforms.users.user import Seed, User

__all__ = ["Unapplied", "archive_payloads"]

#: The version of a user whose row is gone, and whose events went with it.
_GONE = 2**62


def archive_payloads(store: HistoryStore, definitions: Definitions, wanted: set[int], done: Seeding) -> Iterator[bytes]:
    """Messages of the control topic with the seeds of these activations, for all who wait for one.

    Args:
      store: has the users and their archive.
      definitions: of the release that a live job has; with awaited activations.
      wanted: activations, microseconds UTC, that are over.
      done: counts.

    Raises:
      StoreError: the store cannot be read.
    """
    for row in store.scan_users():
        user = open_user(row.user, row.state)
        # One that cannot be read waits until it can.
        for owed in list(owed_to(user, definitions, wanted, done)) if isinstance(user, User) else ():
            if (seed := _seed(store, row, owed, definitions)) is None:
                continue
            (done.seeded if seed.leaves else done.empty)[owed.at] += 1
            yield encode_inputs_control(owed.user, [seed])


def _seed(store: HistoryStore, row: UserRow, owed: Owed, definitions: Definitions) -> Seed | None:
    """What the archive has of one id from before an activation; None while its row cannot be read."""
    name, release = f"archive {write_time(owed.at)}", definitions.release
    found = row if row.user == owed.name else store.read_users([owed.name]).get(owed.name)
    if found is None:
        return Seed(name, owed.name, owed.at, release, version=_GONE)
    user = open_user(found.user, found.state)
    if not isinstance(user, User):
        return None
    # What was merged after the activation has a seed of its own, which speaks for what had been merged into that.
    others = seeds_of(user, definitions).get(owed.at, {}).keys() - {user.id}
    for other in store.read_users(sorted(others)).values():
        if isinstance(opened := open_user(other.user, other.state), User):
            others |= set(opened.merged)
    versions = versions_of(store, user, found.version, without=others)
    leaves = {leaf.key: leaf for leaf in activated(definitions, owed.at)}
    unapplied = Unapplied(user, store, [*versions])
    rows = (each for each in rows_of(store, versions) if each.arrival < owed.at and not unapplied(each))
    states = counted(rows, user.id, leaves, definitions.index)
    evidence: dict[int, Evidence] = {key: state.evidence for key, state in states.items() if state.evidence}
    return Seed(name, owed.name, owed.at, release, evidence, version=found.version)


class Unapplied:
    """Finds rows of messages that a process wrote before it died, and that have not come again yet.

    Another message may have got the version since then, so that this says nothing; but its user does not know it,
    within the duplicate horizon. If it came after a seed that has it, sums would have it twice.
    """

    def __init__(self, user: User, store: HistoryStore, names: list[str]) -> None:
        merged = [name for name in names if name != user.id]
        opened = [open_user(row.user, row.state) for row in store.read_users(merged).values()] if merged else []
        users = [user, *(each for each in opened if isinstance(each, User))]
        self._seen = {each.id: (seen := Seen(each.seen), seen.since(each.clock)) for each in users}

    def __call__(self, row: EventRow) -> bool:
        """Whether a row is one of these."""
        if row.user not in self._seen or row.type in (SET, TOKEN_LOST):
            return False
        seen, since = self._seen[row.user]
        return row.arrival > since and hash_message(row.id) not in seen
