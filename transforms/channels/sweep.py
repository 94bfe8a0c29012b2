"""Settles claims of which nobody will say any more what became of them.

A courier that died between claiming a send and recording its outcome leaves the claim behind. Whether the message went
out, nobody knows. When the lease of such a claim is over, the campaign's `on_unknown` decides: `skip` makes it
`unknown`, and it is never sent again; `resend` releases the claim, and wakes its user, whose state gives out once more
what is open there. That is bounded: each release counts as an attempt, and after the last the claim is `unknown`, too.

**Order.** The ledger first, which keeps the send from going out, then the receipt that closes it in the user's state. A
crash between the two must not leave it open, so the row keeps its lease until the receipt is published, and only then
is the lease cleared: the next sweep tells again what it finds with a lease, and nothing else. Telling every `unknown`
row again each time would be simpler, but a receipt is known as a repetition for a day only, and later counted twice.

**Couriers that are alive.** A claim in its lease is left alone, and rows are replaced only if they stand as they were
read. A courier that was held up for longer than its lease records its outcome nevertheless, over `unknown`: it knows.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

import msgspec

from transforms.channels.counted import LAPSED, CountedLedger
from transforms.channels.courier import LEASE, RELEASED, RESENDS
from transforms.events.times import write_time
from transforms.storage.rows import LedgerRow, LedgerState
from transforms.storage.store import Store
from transforms.users.control import Receipt, encode_inputs_control, encode_receipt
from transforms.users.user import Wake

__all__ = ["Swept", "sweep"]

_AT_ONCE = 500

_Item = TypeVar("_Item")


class Swept(msgspec.Struct, frozen=True):
    """What a sweep found.

    `resolved` claims had lapsed, by campaign, and so had `resent` ones, which may be taken again; of `told_again` an
    earlier sweep had not told the users' state;
    `running` are in their lease, or lapsed too lately; `changed` were recorded, or swept by somebody else, meanwhile.
    """

    resolved: dict[str, int]
    told_again: int = 0
    running: int = 0
    changed: int = 0
    resent: dict[str, int] = {}


def sweep(
    store: Store,
    publish: Callable[[Sequence[bytes]], None],
    now: int,
    older_than: int = 0,
    resend: Collection[str] = (),
) -> Swept:
    """Resolve every claim that lapsed, and publish a receipt for each; the store looks through the whole ledger once.

    Args:
      store: whose ledger it is.
      publish: where receipts go: control.
      now: the wall clock, which leases are by; microseconds.
      older_than: leave alone what lapsed less than this before `now`; microseconds.
      resend: the campaigns whose claims may be taken again.

    Raises:
      StoreError: the ledger does not answer. What was resolved until then stands; sweep again.
    """
    ledger = CountedLedger(store, partial(int, now))
    resolved, resent = Counter[str](), Counter[str]()
    told_again = running = changed = 0
    due = now - older_than
    states = (LedgerState.CLAIMED, LedgerState.UNKNOWN)
    claims = (row for row in store.scan_leased() if row.state in states)
    for rows in _batches(claims):
        lapsed = [row for row in rows if row.state == LedgerState.CLAIMED and row.lease <= due]
        untold = [row for row in rows if row.state == LedgerState.UNKNOWN]
        running += len(rows) - len(lapsed) - len(untold)
        after = {row.send: _next(row, now, resend) for row in lapsed}
        written = ledger.resolve([(row, after[row.send]) for row in lapsed]) if lapsed else []
        changed += len(lapsed) - len(written)
        released = [row for row in written if row.state == LedgerState.CLAIMED]
        written = [row for row in written if row.state == LedgerState.UNKNOWN]
        if released:
            publish([encode_inputs_control(row.user, [Wake(0, again=True)]) for row in released])
        resent.update(row.campaign for row in released)
        if told := [*written, *untold]:
            publish([encode_receipt(_receipt(row)) for row in told])
            store.resolve([(row, msgspec.structs.replace(row, lease=0)) for row in told])
        resolved.update(row.campaign for row in written)
        told_again += len(untold)
    return Swept(dict(sorted(resolved.items())), told_again, running, changed, dict(sorted(resent.items())))


def _next(claim: LedgerRow, now: int, resend: Collection[str]) -> LedgerRow:
    """A lapsed claim's next row; a claim that was released for a later try says so in its detail."""
    if claim.campaign in resend and claim.attempts < RESENDS:
        detail, attempts = f"{RELEASED}{LAPSED}", claim.attempts + 1
        return msgspec.structs.replace(claim, at=now, lease=now + LEASE, detail=detail, attempts=attempts)
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
