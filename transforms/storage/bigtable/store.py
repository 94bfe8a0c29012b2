"""A store in Bigtable: its parts together; in the emulator where BIGTABLE_EMULATOR_HOST is set.

**Cells.** A row is one cell, `r:row`, with the whole record in MessagePack, so that no reader sees half of one. The
cell's timestamp decides which of two writes stands:

* Users, identities and members: the version, in milliseconds. Reads take the newest cell, so an older write that is
  retried late changes nothing; of equal versions the last write stands. Versions before 1970 count as 0.
* Events: the arrival, for rules of garbage collection by age. Each write deletes the cell that is there, in the same
  mutation, so that the last one stands.
* All else: always 0. Bigtable overwrites a cell of the same timestamp, so the write that it applies last stands,
  whatever any clock says. This is how the ledger works. A claim is written only where there is no cell
  (CheckAndMutateRow, atomic in a row), so it never covers a record. A record is sent only after the claim's answer,
  lands on the same cell and replaces it, also when its `at` lies far in the past and also when the row was released
  and is claimed and recorded again. Server-assigned timestamps would not do: two in one millisecond, or from a clock
  that was set back, would let the claim stand.

**A claim whose answer was lost** is tried again and then finds a row: its own. Each call therefore leaves a random
token in `r:claim`, and a row that stands with this call's token is this call's claim. The same goes for a claim that is
resolved (CheckAndMutateRow on the very bytes that were read).

**Lists of sends** (`ledger_by_state`) have a row for each state but `claimed` that a send has come to. It is written
before the ledger, stays until the user is deleted, and is held against the ledger when it is read. What was recorded
before there were lists is in none.

**Deletes** remove the cells that are there, and leave nothing that would stop later writes: a write that was in flight
when its user was deleted brings that row back. So the users row of a deleted user is not deleted, but overwritten with
a tombstone of a greater version. State machines drop what is older than it, and deleting again removes what came back.

**Control** is a queue for live runs on one machine, for tests and small stores: keys in the order of publishing lie on
one server, and reads pass over what was deleted there and not yet collected. On Dataflow it is a topic.

The application profile must route to one cluster: CheckAndMutateRow needs it, and a read must see the last write.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.archive import BigtableArchive
from transforms.storage.bigtable.control import BigtableControl
from transforms.storage.bigtable.database import NAMES
from transforms.storage.bigtable.dead_letters import BigtableDeadLetters
from transforms.storage.bigtable.holds import BigtableHolds
from transforms.storage.bigtable.identities import BigtableIdentities
from transforms.storage.bigtable.inbox import BigtableInbox
from transforms.storage.bigtable.lease import BigtableLease
from transforms.storage.bigtable.ledger import BigtableLedger
from transforms.storage.bigtable.members import BigtableMembers
from transforms.storage.bigtable.metrics import BigtableMetrics
from transforms.storage.bigtable.recommendations import BigtableRecommendations
from transforms.storage.bigtable.runs import BigtableRuns
from transforms.storage.bigtable.tables import KEYS_ONLY, TIMEOUT, TRIES, Tables
from transforms.storage.bigtable.users import BigtableUsers
from transforms.storage.control import ControlRows

__all__ = ["BigtableStore"]

#: Claims in flight at a time: on the emulator 16 made 2.9k/s, one 1.9k/s, 64 2.1k/s.
_CLAIMS_AT_ONCE = 16


class BigtableStore(
    BigtableArchive,
    BigtableIdentities,
    BigtableMembers,
    BigtableLedger,
    BigtableInbox,
    BigtableMetrics,
    BigtableControl,
    BigtableDeadLetters,
    BigtableHolds,
    BigtableRecommendations,
    BigtableRuns,
    BigtableLease,
    BigtableUsers,
):
    """See `Store`. Safe for any number of threads, which share one connection.

    Args:
      project: of Google Cloud.
      instance: the Bigtable instance, which must exist.
      create: make missing tables (needs the right to); without it a missing table is an error.
      timeout: seconds after which an operation on a batch is given up, and at most how long it is tried.
      tries: how often it is tried at most.

    Raises:
      StoreError: no credentials, no answer, no such instance, or a missing table.
    """

    is_transactional: ClassVar[bool] = False

    def __init__(
        self, project: str, instance: str, *, create: bool, timeout: float = TIMEOUT, tries: int = TRIES
    ) -> None:
        super().__init__(Tables(project, instance, NAMES, create=create, timeout=timeout, tries=tries))
        self._claims = ThreadPoolExecutor(_CLAIMS_AT_ONCE, "claim")
        self._control = ControlRows()

    def transaction(self) -> AbstractContextManager[None]:
        """Do nothing: each row is written alone; see `Store.transaction`."""
        return nullcontext()

    def delete_user(
        self, user: str, segments: Iterable[str], identities: Iterable[tuple[str, str]], *, row: bool = False
    ) -> None:
        """Delete what is kept of a user; see `Store.delete_user`, and above for what may come back."""
        self._delete_all("events", keys.events_of(user))
        self._unlist(user)
        self._delete_all("ledger", keys.ledger_of(user))
        self._delete_all("inbox", keys.inbox_of(user))
        for id_ in self._with_linked_ids(user):  # before the identities that say so
            self._delete_letters(id_)
        self._delete_members(user, segments)
        self._delete_identities(user, identities)
        if row:
            self._delete("users", [keys.user_key(user)])

    def close(self) -> None:
        """Close the connection."""
        self._claims.shutdown()
        super().close()

    def _delete_all(self, table: str, prefix: bytes) -> None:
        self._delete(table, [found.row_key for found in self._scan(table, prefix, row_filter=KEYS_ONLY)])
