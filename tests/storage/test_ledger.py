"""What every store promises of the ledger: an id is let out once, and what became of it stands."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import msgspec
import pytest
from samples import HOSTILE, NOW, sent

from transforms.storage.rows import LedgerRow
from transforms.storage.store import Store

CLAIM = sent("u1", lease=NOW + 300_000_000)


def changed(row: LedgerRow, **changes: object) -> LedgerRow:
    return msgspec.structs.replace(row, **changes)


def test_a_send_is_claimed_once(store: Store) -> None:
    assert store.claim([CLAIM]) == {"s1": None}
    assert store.claim([changed(CLAIM, at=NOW + 5, step="other")]) == {"s1": CLAIM}
    assert store.claim([CLAIM, sent("u1", "s2")]) == {"s1": CLAIM, "s2": None}
    assert store.read_ledger("u1") == [CLAIM, sent("u1", "s2")]


def test_a_send_twice_in_one_batch_is_one_claim_by_that_batch(store: Store) -> None:
    assert store.claim([CLAIM, changed(CLAIM, step="other")]) == {"s1": None}
    assert store.read_ledger("u1") == [CLAIM]


@pytest.mark.parametrize("at", [0, 1, NOW - 1, NOW, NOW + 1, 4 * NOW])
def test_a_record_stands_over_its_claim_whatever_its_time(store: Store, at: int) -> None:
    store.claim([CLAIM])
    record = changed(CLAIM, state="handed_off", at=at, lease=0, detail="projects/p/messages/1")
    store.record([record])
    assert store.read_ledger("u1") == [record]
    assert store.claim([changed(CLAIM, at=5 * NOW)]) == {"s1": record}
    assert store.read_ledger("u1") == [record]


def test_a_released_claim_is_claimed_and_recorded_again(store: Store) -> None:
    """The rows that a courier writes, with a clock that is event time and may go back."""
    assert store.claim([CLAIM]) == {"s1": None}
    for attempts in range(1, 6):
        released = changed(CLAIM, attempts=attempts, at=NOW - attempts, detail="retry: 503")
        store.record([released])
        assert store.claim([CLAIM]) == {"s1": released}
        taken = changed(CLAIM, attempts=attempts + 1, at=NOW - 10 * attempts)
        store.record([taken])
        assert store.claim([CLAIM]) == {"s1": taken}
    done = changed(CLAIM, attempts=6, state="handed_off", at=1, lease=0)
    store.record([done])
    assert store.claim([CLAIM]) == {"s1": done}
    assert store.read_ledger("u1") == [done]


def test_of_two_records_the_last_stands(store: Store) -> None:
    refused = sent("u1", "refused", "suppressed", attempts=0, channel="", detail="quiet_hours")
    store.record([refused, changed(refused, detail="frequency_cap")])
    assert store.read_ledger("u1") == [changed(refused, detail="frequency_cap")]
    store.record([refused])
    assert store.read_ledger("u1") == [refused]


def test_of_many_threads_one_gets_each_claim(store: Store) -> None:
    threads, sends = 8, [f"s{number}" for number in range(60)]
    together = Barrier(threads)

    def claim(number: int) -> dict[str, LedgerRow | None]:
        rows = [sent("u1", send, campaign=f"by {number}") for send in sends]
        together.wait(60)
        return store.claim(rows)

    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(claim, range(threads)))
    for send in sends:
        winners = [number for number, answer in enumerate(answers) if answer[send] is None]
        assert len(winners) == 1
        row = sent("u1", send, campaign=f"by {winners[0]}")
        assert [answer[send] for answer in answers if answer[send] is not None] == [row] * (threads - 1)


def test_one_row_may_be_claimed_again_after_a_deletion(store: Store) -> None:
    store.claim([CLAIM])
    store.delete_user("u1", [], [])
    assert store.read_ledger("u1") == []
    assert store.claim([CLAIM]) == {"s1": None}


def test_a_users_sends_come_newest_decision_first(store: Store) -> None:
    rows = [sent("u1", send, decided_at=NOW + offset) for offset in (0, 5, -5) for send in (f"b{offset}", f"a{offset}")]
    store.record([*rows, sent("u10"), sent("u"), sent("u1#s")])
    assert store.read_ledger("u1") == sorted(rows, key=lambda row: (-row.decided_at, row.send))
    assert store.read_ledger("nobody") == []


def test_every_send_in_key_order(store: Store) -> None:
    many = [sent(f"u{number}", f"s{send:04}") for number in range(3) for send in range(700)]
    rows = [*many, *(sent(name, send) for name in HOSTILE for send in ("", *sorted(HOSTILE)))]
    store.record(rows[::-1])
    scanned = list(store.scan_ledger())
    assert sorted((row.user, row.send) for row in scanned) == sorted((row.user, row.send) for row in rows)
    assert list(store.scan_ledger()) == scanned
    users = [row.user for row in scanned]
    for name in {"u0", "u1", "u2", *HOSTILE}:
        first = users.index(name)
        theirs = scanned[first : first + users.count(name)]
        assert {row.user for row in theirs} == {name}, "a user's sends stand together"
        assert [row.send for row in theirs] == sorted(row.send for row in theirs)


def test_a_thousand_claims_at_once(store: Store) -> None:
    rows = [sent(f"u{number}", f"s{number}") for number in range(1_000)]
    assert store.claim(rows[:600]) == {row.send: None for row in rows[:600]}
    later = [changed(row, step="later") for row in rows]
    assert store.claim(later) == {row.send: row if number < 600 else None for number, row in enumerate(rows)}
