"""The one interface of storage: the sum of a protocol a table. Two implementations pass the same tests."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import ClassVar, Protocol

from transforms.errors import NotStarted, TodokeError
from transforms.storage.archive import Archive
from transforms.storage.control import Control
from transforms.storage.dead_letters import DeadLetters
from transforms.storage.holds import Holds
from transforms.storage.identities import Identities
from transforms.storage.inbox import Inbox
from transforms.storage.lease import Lease
from transforms.storage.ledger import Ledger
from transforms.storage.members import Members
from transforms.storage.metrics import Metrics
from transforms.storage.recommendations import Recommendations
from transforms.storage.runs import Runs
from transforms.storage.users import Users

__all__ = ["NoStore", "OlderStore", "Store", "StoreError"]


class StoreError(TodokeError):
    """A read or write that failed after its bounded retries. Never swallowed: the bundle or the command fails."""


class NoStore(StoreError, NotStarted):
    """A store that cannot be opened: it is not there, or is something else, or may not be used. Nothing was done."""


class OlderStore(NoStore):
    """A store of an older version, which reading alone cannot bring up to date: opening it to write does."""


class Store(
    Users,
    Archive,
    Identities,
    Members,
    Ledger,
    Inbox,
    Metrics,
    DeadLetters,
    Control,
    Runs,
    Lease,
    Holds,
    Recommendations,
    Protocol,
):
    """All tables. Who needs some of them takes their protocols.

    Every write takes a batch, and all but `publish_control` and `add_metrics` are safe to repeat; every method raises
    `StoreError` when the backend goes on refusing after bounded retries. `is_transactional` says whether `transaction`
    makes its writes one.
    """

    is_transactional: ClassVar[bool]

    def transaction(self) -> AbstractContextManager[None]:
        """What this thread writes within it stands whole or not at all in SQLite, where nobody else writes meanwhile.

        In Bigtable each row stands by itself, in the order of the calls.
        """

    def delete_user(
        self, user: str, segments: Iterable[str], identities: Iterable[tuple[str, str]], *, row: bool = False
    ) -> None:
        """Delete the user's events, ledger, inbox, dead letters, members rows and identities; and that somebody else's
        token was theirs. In SQLite also the claims of mailboxes for their sends, which in Bigtable nobody finds without
        reading the ledger through (`delete_mailbox_claims`).

        The dead letters of ids whose owner the user is by these identities go, too.

        The users row goes only with `row`: the state machine overwrites a user's own with a tombstone.

        Args:
          user: the key.
          segments: those that there are now. Of others, which had rows before, Bigtable knows since an hour at most.
          identities: those that are known, as (kind, value). What an older version wrote to Bigtable is found by these
            alone.
          row: delete the users row, too.
        """

    def close(self) -> None:
        """Release connections and files."""
