"""Settles claims of which nobody will say any more what became of them.

A courier that died between claiming a send and recording its outcome leaves the claim behind. Whether the message went
out, nobody knows. When the lease of such a claim is over, the campaign's `on_unknown` decides; `skip`, the only policy
of this version, which definitions with another do not pass, makes it `unknown`: it is never sent again.

**Order.** The ledger first, which keeps the send from going out, then the receipt that closes it in the user's state. A
crash between the two must not leave it open, so the row keeps its lease until the receipt is published, and only then
is the lease cleared: the next sweep tells again what it finds with a lease, and nothing else. Telling every `unknown`
row again each time would be simpler, but a receipt is known as a repetition for a day only, and later counted twice.

**Couriers that are alive.** A claim in its lease is left alone, and rows are replaced only if they stand as they were
read. A courier that was held up for longer than its lease records its outcome nevertheless, over `unknown`: it knows.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from transforms.events.times import write_time
from transforms.storage.rows import LedgerRow, LedgerState
from transforms.storage.store import Store
from transforms.users.control import Receipt, encode_receipt

__all__ = ["LAPSED", "Swept", "sweep"]

#: How the detail of a row begins that a sweep resolved, and the reason in its receipt.
LAPSED = "claim lapsed"

_AT_ONCE = 500

_Item = TypeVar("_Item")


class Swept(msgspec.Struct, frozen=True):
    """What a sweep found.

    `resolved` claims had lapsed, by campaign; of `told_again` an earlier sweep had not told the users' state;
    `running` are in their lease, or lapsed too lately; `changed` were recorded, or swept by somebody else, meanwhile.
    """

    resolved: dict[str, int]
    told_again: int = 0
    running: int = 0
    changed: int = 0


def sweep(store: Store, publish: Callable[[Sequence[bytes]], None], now: int, older_than: int = 0) -> Swept:
    """Resolve every claim that lapsed, and publish a receipt for each; reads the whole ledger once.

    Args:
      store: whose ledger it is.
      publish: where receipts go: control.
      now: the wall clock, which leases are by; microseconds.
      older_than: leave alone what lapsed less than this before `now`; microseconds.

    Raises:
      StoreError: the ledger does not answer. What was resolved until then stands; sweep again.
    """
    resolved: Counter[str] = Counter()
    told_again = running = changed = 0
    due = now - older_than
    states = (LedgerState.CLAIMED, LedgerState.UNKNOWN)
    claims = (row for row in store.scan_ledger() if row.lease and row.state in states)
    for rows in _batches(claims):
        lapsed = [row for row in rows if row.state == LedgerState.CLAIMED and row.lease <= due]
        untold = [row for row in rows if row.state == LedgerState.UNKNOWN]
        running += len(rows) - len(lapsed) - len(untold)
        written = store.resolve([(row, _unknown(row, now)) for row in lapsed]) if lapsed else []
        changed += len(lapsed) - len(written)
        if told := [*written, *untold]:
            publish([encode_receipt(_receipt(row)) for row in told])
            store.resolve([(row, msgspec.structs.replace(row, lease=0)) for row in told])
        resolved.update(row.campaign for row in written)
        told_again += len(untold)
    return Swept(dict(sorted(resolved.items())), told_again, running, changed)


def _unknown(claim: LedgerRow, now: int) -> LedgerRow:
    """A lapsed claim's next row; a claim that was released for a later try says so in its detail."""
    detail = f"{LAPSED}: {claim.detail}" if claim.detail else LAPSED
    return msgspec.structs.replace(claim, state=LedgerState.UNKNOWN, at=now, detail=detail)


def _receipt(row: LedgerRow) -> Receipt:
    """The same for the same row: its time is the row's."""
    return Receipt(
        user_id=row.user,
        kind="unknown",
        channel=row.channel,
        time=write_time(row.at),
        send=row.send,
        campaign=row.campaign,
        step=row.step,
        reason=LAPSED,
    )


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    left = iter(items)
    while batch := list(islice(left, _AT_ONCE)):
        yield batch
