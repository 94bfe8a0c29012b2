"""What every store promises of dead letters: kept once, found by their user, bounded."""

import msgspec
import pytest
from samples import HOSTILE, NOW, identity, letter, user

from transforms.storage.reader import Reader
from transforms.storage.rows import DeadLetterRow
from transforms.storage.store import Store

HOUR = 3_600_000_000


def kept(reader: Reader) -> list[DeadLetterRow]:
    rows: list[DeadLetterRow] = []
    page = reader.page_dead_letters(1_000)
    while True:
        rows += page.rows
        if page.next is None:
            return rows
        page = reader.page_dead_letters(1_000, page.next)


def test_letters_come_newest_first_with_all_that_they_hold(store: Store, reader: Reader) -> None:
    rows = [
        letter(1, time=NOW - 1, payload=bytes(range(256)), detail="\0\n届け", source="pubsub:a/b", size=1_000_000),
        *(letter(number, name) for number, name in enumerate(HOSTILE, 2)),
        letter(91, time=NOW + 1, payload=b""),
        letter(92, time=-(2**63), arrived=0),
        letter(93, time=2**63 - 1),
    ]
    store.write_dead_letters(rows)
    store.write_dead_letters([])
    assert kept(reader) == sorted(rows, key=lambda row: (-row.time, row.id))


def test_a_letter_written_again_is_kept_once_and_remembers_its_replay(store: Store, reader: Reader) -> None:
    store.write_dead_letters([letter(1), letter(1, time=NOW + 1)])
    store.mark_replayed([letter(1), letter(2)], NOW + 5)
    store.write_dead_letters([letter(1, time=NOW + 2), letter(3)])
    assert kept(reader) == [letter(1, replayed=NOW + 5), letter(3)], "and one that is gone does not come back"


def test_a_letter_whose_message_is_refused_again_after_its_replay_is_open_again(store: Store, reader: Reader) -> None:
    store.write_dead_letters([letter(1, arrived=NOW - 5), letter(2, arrived=NOW - 5)])
    store.mark_replayed([letter(1), letter(2)], NOW)
    store.write_dead_letters([letter(1, time=NOW + 9, arrived=NOW + 1), letter(2, time=NOW + 9, arrived=NOW)])
    assert kept(reader) == [letter(1, arrived=NOW - 5), letter(2, arrived=NOW - 5, replayed=NOW)]
    store.mark_replayed([letter(1)], NOW + 2)
    assert [row.replayed for row in kept(reader)] == [NOW + 2, NOW]


def test_a_user_takes_along_the_letters_that_name_it(store: Store, reader: Reader) -> None:
    rows = [letter(number, name) for number, name in enumerate(["", *HOSTILE])]
    store.write_dead_letters([*rows, letter(900, "a", NOW - 1), letter(901, "a#b", NOW - 1)])
    store.write_users([user("a")])
    store.delete_user("a", [], [])
    store.delete_user("a", [], [])
    left = [row for row in rows if row.user != "a"]
    assert kept(reader) == [*left, letter(901, "a#b", NOW - 1)]
    store.write_dead_letters([letter(1, "a")])
    store.delete_user("a", [], [])
    assert kept(reader) == [*left, letter(901, "a#b", NOW - 1)]


def test_a_user_takes_along_the_letters_of_ids_that_are_theirs(store: Store, reader: Reader) -> None:
    """Whose ids these are only the identities say, where nothing is known of the ids themselves."""
    names = ["~a1", "old", "older", "~older", "a1", "~shared", "t1", "~t1"]
    rows = [letter(number, name) for number, name in enumerate(names)]
    store.write_dead_letters(rows)
    store.write_identities([identity("a1", "u1"), identity("old", "u1", kind="user"), identity("shared", "u1")])
    store.write_identities([identity("older", "old", kind="user"), identity("old", "older", kind="user")])
    store.write_identities(
        [identity("old", "u1", 2, "user"), identity("shared", "u2", 2), identity("t1", "u1", 1, "token")]
    )
    store.delete_user("u1", [], [])
    assert [row.user for row in kept(reader)] == ["~older", "a1", "~shared", "t1", "~t1"]
    store.delete_user("u2", [], [])
    assert [row.user for row in kept(reader)] == ["~older", "a1", "t1", "~t1"]


def test_what_is_old_goes(store: Store, reader: Reader) -> None:
    rows = [letter(number, "u1" if number % 2 else "", NOW - number * HOUR) for number in range(6)]
    store.write_dead_letters(rows)
    assert store.prune_dead_letters(NOW - 9 * HOUR, 100, 10**9) == 0
    assert store.prune_dead_letters(NOW - 3 * HOUR, 100, 10**9) == 2
    assert kept(reader) == rows[:4], "what is just so old stays"
    store.delete_user("u1", [], [])
    assert kept(reader) == [rows[0], rows[2]]
    assert store.prune_dead_letters(NOW + HOUR, 100, 10**9) == 2
    assert kept(reader) == []


def test_the_oldest_go_where_there_are_too_many(store: Store, reader: Reader) -> None:
    rows = [letter(number, time=NOW - number // 3) for number in range(1_300)]
    store.write_dead_letters(rows)
    assert store.prune_dead_letters(0, 1_199, 10**9) == 101
    assert kept(reader) == rows[:1_199]
    assert store.prune_dead_letters(0, 0, 10**9) == 1_199


@pytest.mark.parametrize("size", [10, 1_000])
def test_the_oldest_go_where_they_are_too_large(store: Store, reader: Reader, size: int) -> None:
    rows = [letter(number, time=NOW - number, payload=b"x" * size) for number in range(20)]
    store.write_dead_letters(rows)
    bound = sum(row.weight for row in rows[:7])
    assert store.prune_dead_letters(0, 100, bound - 1) == 14
    assert store.prune_dead_letters(0, 100, bound) == 0
    assert kept(reader) == rows[:6]


def test_letters_are_found_by_cause_and_time(store: Store, reader: Reader) -> None:
    causes = ["invalid", "no_id", "too_large"]
    rows = [letter(number, time=NOW - number, cause=causes[number % 3]) for number in range(30)]
    store.write_dead_letters(rows)
    page = reader.page_dead_letters(7, cause="no_id", since=NOW - 25)
    assert page.rows == [row for row in rows if row.cause == "no_id"][:7]
    rest = reader.page_dead_letters(7, page.next, cause="no_id", since=NOW - 25)
    assert rest.rows == [row for row in rows[:26] if row.cause == "no_id"][7:]
    assert rest.next is None
    assert reader.page_dead_letters(7, cause="never").rows == []
    assert reader.page_dead_letters(7, since=NOW).rows == [rows[0]]


@pytest.mark.all_in_ci
def test_a_page_looks_at_so_many_and_goes_on(store: Store, reader: Reader) -> None:
    store.write_dead_letters([letter(number, cause="common") for number in range(10_500)])
    store.write_dead_letters([letter(10_600, cause="rare")])
    page = reader.page_dead_letters(1, cause="rare")
    assert page.rows == []
    assert page.next is not None
    assert [row.cause for row in reader.page_dead_letters(1, page.next, cause="rare").rows] == ["rare"]


def test_weights_bound_what_is_kept() -> None:
    row = letter(1, payload=b"x" * 10_000, detail="y" * 1_000)
    assert row.weight > 11_000
    assert msgspec.structs.replace(row, payload=b"").weight < 2_000
