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


def test_what_has_a_lease_is_found_among_all_others(store: Store) -> None:
    """Whatever texts stand in it: stores look for it by its bytes."""
    texts = [*HOSTILE, "lease", "detail", "leasedetail", "lease\0\0\0\0detail", "claimed\nlease é \x7f detail", "\n"]
    leases = (0, NOW, NOW + 1, 2**32, 2**63 - 1, 1 << 40, 0x0A0A0A0A0A0A0A)
    rows = [
        sent(name, f"s{number}", state, lease=lease, detail=texts[-number - 1], campaign=name)
        for name in texts
        for number, (lease, state) in enumerate(zip(leases, ["claimed", "unknown"] * 4, strict=False))
    ]
    store.record(rows)
    found = list(store.scan_leased())
    assert sorted(found, key=repr) == sorted((row for row in rows if row.lease), key=repr)
    assert len(rows) > len(found) > 0


def test_claims_of_mailboxes_are_found_among_all_others(store: Store) -> None:
    mine = [sent(f"\0mailbox:{name}", name, detail="s1") for name in HOSTILE]
    others = [sent("\0mailbox:x", "x", detail="s2"), sent("mailbox:x", "x", detail="s1"), sent("u1", detail="s1")]
    store.record([*mine, *others])
    assert sorted(store.mailbox_claims_of(["s1", "s3"]), key=repr) == sorted(mine, key=repr)
    assert list(store.mailbox_claims_of([])) == []


def test_a_thousand_claims_at_once(store: Store) -> None:
    rows = [sent(f"u{number}", f"s{number}") for number in range(1_000)]
    assert store.claim(rows[:600]) == {row.send: None for row in rows[:600]}
    later = [changed(row, step="later") for row in rows]
    assert store.claim(later) == {row.send: row if number < 600 else None for number, row in enumerate(rows)}


UNKNOWN = changed(CLAIM, state="unknown", at=NOW + 400_000_000, detail="claim lapsed")


def test_a_claim_that_stands_as_it_was_read_is_resolved(store: Store) -> None:
    store.claim([CLAIM, sent("u1", "s2"), sent("u2", "s1")])
    other = (sent("u2", "s1"), changed(UNKNOWN, user="u2"))
    assert store.resolve([(CLAIM, UNKNOWN), other]) == [UNKNOWN, other[1]]
    assert list(store.scan_ledger()) == sorted(
        [UNKNOWN, sent("u1", "s2"), other[1]], key=lambda row: (row.user, row.send)
    )
    assert store.resolve([(CLAIM, UNKNOWN)]) == [], "it stands otherwise now"
    assert store.resolve([(UNKNOWN, changed(UNKNOWN, lease=0))]) == [changed(UNKNOWN, lease=0)]
    assert store.claim([CLAIM]) == {"s1": changed(UNKNOWN, lease=0)}
    assert store.resolve([]) == []


CHANGES: dict[str, object] = {"state": "handed_off", "at": NOW + 1, "attempts": 2, "lease": 0, "detail": "retry: quota"}
CHANGES |= {"campaign": "other", "step": "other", "channel": "email", "decided_at": NOW - 1}


@pytest.mark.parametrize("name", CHANGES)
def test_a_claim_that_has_changed_in_any_way_is_left_alone(store: Store, name: str) -> None:
    standing = changed(CLAIM, **{name: CHANGES[name]})
    store.record([standing])
    assert store.resolve([(CLAIM, UNKNOWN)]) == []
    assert store.read_ledger("u1") == [standing]


def test_a_claim_that_is_gone_does_not_come_back(store: Store) -> None:
    store.claim([CLAIM])
    store.delete_user("u1", [], [])
    assert store.resolve([(CLAIM, UNKNOWN)]) == []
    assert store.read_ledger("u1") == []


def test_one_claim_twice_in_a_batch_is_resolved_once(store: Store) -> None:
    store.claim([CLAIM])
    assert store.resolve([(CLAIM, UNKNOWN), (CLAIM, changed(UNKNOWN, detail="other"))]) == [UNKNOWN]
    assert store.read_ledger("u1") == [UNKNOWN]


def test_of_many_threads_one_resolves_each_claim(store: Store) -> None:
    threads, claims = 8, [sent(f"u{number % 7}", f"s{number}", lease=NOW) for number in range(60)]
    store.claim(claims)
    together = Barrier(threads)

    def resolve(number: int) -> list[LedgerRow]:
        detail = f"by {number}"
        together.wait(60)
        return store.resolve([(claim, changed(claim, state="unknown", detail=detail)) for claim in claims])

    with ThreadPoolExecutor(threads) as pool:
        written = [row for rows in pool.map(resolve, range(threads)) for row in rows]
    assert sorted(written, key=lambda row: (row.user, row.send)) == sorted(
        store.scan_ledger(), key=lambda row: (row.user, row.send)
    )
    assert len(written) == len(claims)


def test_what_a_courier_records_at_the_same_time_stands(store: Store) -> None:
    claims = [sent("u1", f"s{number:02}", lease=NOW) for number in range(60)]
    store.claim(claims)
    together = Barrier(3)

    def resolve(_: int) -> None:
        together.wait(60)
        store.resolve([(claim, changed(claim, state="unknown")) for claim in claims])

    with ThreadPoolExecutor(3) as pool:
        resolving = [pool.submit(resolve, number) for number in range(2)]
        together.wait(60)
        for claim in claims:
            store.record([changed(claim, state="handed_off", lease=0)])
        for each in resolving:
            each.result()
    assert store.read_ledger("u1") == [changed(claim, state="handed_off", lease=0) for claim in claims]


def test_a_record_after_a_resolution_stands(store: Store) -> None:
    """A courier that was slower than its lease knows better what became of the send."""
    store.claim([CLAIM])
    store.resolve([(CLAIM, UNKNOWN)])
    handed_off = changed(CLAIM, state="handed_off", lease=0, detail="projects/p/messages/1")
    store.record([handed_off])
    assert store.resolve([(UNKNOWN, changed(UNKNOWN, lease=0))]) == []
    assert store.read_ledger("u1") == [handed_off]
