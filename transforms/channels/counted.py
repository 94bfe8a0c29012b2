"""A ledger that counts what it is told, in the transaction in which it is told: see `measures` for the metrics."""

import logging
from collections.abc import Callable, Iterable, Sequence

from transforms.campaigns.effects import Send
from transforms.channels.courier import RELEASED
from transforms.channels.outcome import Delivery
from transforms.segments.values import MINUTE
from transforms.storage.rows import (
    EventRow,
    HoldRow,
    LedgerRow,
    LedgerState,
    MetricRow,
    RecommendationRow,
    RecommendationRun,
    UserRow,
)
from transforms.storage.store import Store, StoreError
from transforms.users.tally import Tallies

__all__ = ["LAPSED", "CountedLedger", "count_delivery"]

#: How the detail of a row begins that a sweep resolved, and the reason in its receipt.
LAPSED = "claim lapsed"
#: Counts that wait for a store at most; beyond that the oldest are lost.
MOST_OWED = 10_000

_log = logging.getLogger(__name__)


class CountedLedger:
    """The ledger of a store. What ends in it, by a claim, a record or a sweep, is counted once: by the row that stands.

    An outcome counts in the minute in which it ended, by its row. One that is recorded over another takes its place in
    the counts too, as when a sweep gave up a courier that was only held up: the other is taken back in its own minute.
    That is looked for where a claim's lease is over, by the clock: nobody else ends it before.

    In Bigtable a row and its count are no transaction. A row that was written there before its batch was refused is not
    taken back: it was never counted. A process that dies in between loses the count; if somebody records over that row
    later, its minute is one short, and may be negative. A count that is refused there waits for the next one: the rows
    stand, and what they claim is to be called.

    Args:
      store: whose it is.
      clock: the wall clock in microseconds: repetitions count in its minute.
    """

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._sends: dict[str, Send] = {}
        self._leases: dict[str, int] = {}
        self._uncounted: dict[str, LedgerRow] = {}
        self._owed: list[MetricRow] = []

    def expect(self, sends: Iterable[Send]) -> None:
        """The sends of which it will be told, in place of those of before: rows say less of them than they know."""
        self._sends = {send.id: send for send in sends}
        self._leases, self._uncounted = {}, {}

    def claim(self, rows: Sequence[LedgerRow]) -> dict[str, LedgerRow | None]:
        """Claim sends; see `Ledger`. Who had it before is a repetition, unless the claim was released."""
        with self._store.transaction():
            standing = self._store.claim(rows)
            tallies = Tallies(MINUTE)
            for row in rows:
                before = standing[row.send]
                if before is None:
                    self._count(tallies, row)
                    self._count_latency(tallies, row)
                elif row.send in self._sends and not (
                    before.state == LedgerState.CLAIMED and before.detail.startswith(RELEASED)
                ):
                    tallies.count("repeated", row.campaign, row.channel)
            self._add(tallies)
        self._note_leases(row for row in rows if standing[row.send] is None)
        return standing

    def record(self, rows: Sequence[LedgerRow]) -> None:
        """Write outcomes; see `Ledger`."""
        with self._store.transaction():
            standing = self._standing(rows)
            uncounted = self._uncounted
            if not self._store.is_transactional:
                self._uncounted = uncounted | {row.send: row for row in rows}
            self._store.record(rows)
            tallies = Tallies(MINUTE)
            for row in rows:
                before = standing.get(row.send)
                if before is not None and before == uncounted.get(row.send):
                    before = None  # written by a try of before, which was refused for another row
                if before is not None:
                    self._count(tallies, before, by=-1)
                self._count(tallies, row)
                if before is None or before.state != LedgerState.HANDED_OFF:
                    self._count_latency(tallies, row)
                standing[row.send] = row  # the same send may come twice
            self._add(tallies)
        self._uncounted = {}

    def resolve(self, changes: Sequence[tuple[LedgerRow, LedgerRow]]) -> list[LedgerRow]:
        """Replace rows that have not changed; see `Ledger`. A row that ended before ends no second time."""
        claimed = {old.send for old, _ in changes if old.state == LedgerState.CLAIMED}
        with self._store.transaction():
            written = self._store.resolve(changes)
            tallies = Tallies(MINUTE)
            for row in written:
                if row.send in claimed:
                    self._count(tallies, row)
                    self._count_latency(tallies, row)
            self._add(tallies)
        self._note_leases(written)
        return written

    def read_users(self, users: Sequence[str]) -> dict[str, UserRow]:
        """Rows of users."""
        return self._store.read_users(users)

    def read_hold(self) -> HoldRow | None:
        """What is held back."""
        return self._store.read_hold()

    def read_events(self, user: str, limit: int | None = None) -> list[EventRow]:
        """A user's events."""
        return self._store.read_events(user, limit)

    def read_recommendation_run(self) -> RecommendationRun | None:
        """Which lists hold."""
        return self._store.read_recommendation_run()

    def read_recommendations(self, made: int, names: Sequence[str]) -> dict[str, RecommendationRow]:
        """Lists of a run."""
        return self._store.read_recommendations(made, names)

    def count_unclaimed(self, deliveries: Iterable[Delivery]) -> None:
        """Count those of deliveries that came to no row: of a deleted user nothing is kept, and of two equal sends in
        a batch one is.
        """
        tallies = Tallies(MINUTE)
        for delivery in deliveries:
            if delivery.reason == "deleted" or (delivery.state == "duplicate" and not delivery.detail):
                count_delivery(tallies, delivery, bounded=False)
        self._add(tallies)

    def _note_leases(self, claims: Iterable[LedgerRow]) -> None:
        self._leases |= {row.send: row.lease for row in claims if row.state == LedgerState.CLAIMED}

    def _standing(self, rows: Sequence[LedgerRow]) -> dict[str, LedgerRow | None]:
        """What stands where outcomes are about to be written, unless that is a claim in its lease: by claims, which
        change no row that is there. After its first outcome a claim is none."""
        now = self._clock()
        asked = [row for row in rows if self._leases.pop(row.send, 0) <= now]
        return self._store.claim(asked) if asked else {}

    def _add(self, tallies: Tallies) -> None:
        if not tallies:
            return
        rows = tallies.rows(self._clock())
        if self._store.is_transactional:
            self._store.add_metrics(rows)
            return
        self._owed = [*self._owed, *rows][-MOST_OWED:]
        try:
            self._store.add_metrics(self._owed)
        except StoreError as error:
            _log.warning("%s counts wait for the store: %s", len(self._owed), error)
        else:
            self._owed = []

    def _count(self, tallies: Tallies, row: LedgerRow, by: int = 1) -> None:
        """Count a row, or take back that it was counted (`by` -1), in the minute in which it ended."""
        if row.state == LedgerState.CLAIMED:
            return
        said = row.detail.partition(": ")[0].replace(" ", "_")
        if row.state in (LedgerState.HANDED_OFF, LedgerState.CONFIRMED):  # it is the provider's id
            said = ""
        send = self._sends.get(row.send)
        if row.state in (LedgerState.SUPPRESSED, LedgerState.EXPIRED):
            tallies.count("suppressed", row.campaign, row.channel, said or row.state, row.step, at=row.at, by=by)
        if row.state == LedgerState.SUPPRESSED:
            return
        swept = row.state == LedgerState.UNKNOWN and row.detail.startswith(LAPSED)  # by whoever did not know the send
        variant = send.variant if send is not None and send.variant is not None and not swept else ""
        tallies.count("sends", row.campaign, row.channel, said, row.state, row.step, variant, at=row.at, by=by)

    def _count_latency(self, tallies: Tallies, row: LedgerRow) -> None:
        send = self._sends.get(row.send)
        if send is not None and row.state == LedgerState.HANDED_OFF:
            tallies.send_latency(send, "handed_off", row.at)


def count_delivery(tallies: Tallies, delivery: Delivery, *, bounded: bool) -> None:
    """Count what became of a send where that is no transaction: by the time of the decision."""
    send, at = delivery.send, delivery.send.decided_at
    if delivery.state in (LedgerState.SUPPRESSED, LedgerState.EXPIRED):
        tallies.count("suppressed", send.campaign, send.channel, delivery.reason or delivery.state, send.step, at=at)
    if delivery.state == "duplicate":
        tallies.count("repeated", send.campaign, send.channel, at=at)
    elif _ends(delivery, bounded=bounded):
        labels = send.campaign, send.channel, delivery.reason, delivery.state, send.step, send.variant or ""
        tallies.count("sends", *labels, at=at)
        if delivery.state == LedgerState.HANDED_OFF and not bounded:
            tallies.send_latency(send, "handed_off", delivery.at)


def _ends(delivery: Delivery, *, bounded: bool) -> bool:
    """Whether a delivery counts among `sends`. Live, what is later counts when it ends, and what expires has ended: a
    provider was away for too long. The report of a run over files has what expired under `suppressed` alone.
    """
    if delivery.state == LedgerState.SUPPRESSED:
        return False
    return delivery.state != (LedgerState.EXPIRED if bounded else "later")
