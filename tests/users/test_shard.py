"""Users that a live job on one machine keeps, by shard."""

from collections.abc import Sized
from heapq import nsmallest

from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.campaigns.journeys import Journey
from transforms.users.live.shard import SHARDS, WOKEN_AT_ONCE, Due, Shard, decode_parts, encode_parts, shard_of
from transforms.users.user import User


def test_each_user_has_one_shard_and_all_shards_have_users() -> None:
    assert {shard_of(f"user-{number}") for number in range(1_000)} == {str(number) for number in range(SHARDS)}


def test_parts_come_back() -> None:
    assert decode_parts(encode_parts([("ada", b"1"), ("~x", b"2")])) == [("ada", b"1"), ("~x", b"2")]


def waiting(name: str, due: int | None = None, version: int = 0) -> User:
    """A user, with a journey that is due then."""
    journeys = {} if due is None else {"e": Journey("e", "c", name, 0, 0, "w", due, (), {})}
    return User(name, version, journeys=journeys)


def test_what_a_bundle_wrote_is_its_own_until_its_rows_are_written() -> None:
    shard = Shard()
    shard.write(waiting("ada", version=1), 1)
    assert shard.users(["ada", "ben"]) == {"ada": waiting("ada", version=1)}
    shard.commit()
    shard.write(waiting("ada", version=2), 1)
    assert shard.users(["ada"]) == {"ada": waiting("ada", version=2)}


def test_who_was_not_heard_of_for_longest_goes_first() -> None:
    shard = Shard(most=30)
    for name in ("ada", "ben", "cat"):
        shard.write(waiting(name), 10)
        shard.commit()
    assert len(shard.users(["ada"])) == 1  # heard of again
    shard.write(waiting("dan"), 15)
    shard.commit()
    assert shard.users(["ada", "ben", "cat", "dan"]).keys() == {"ada", "dan"}


def test_users_who_went_are_still_woken() -> None:
    shard = Shard(most=5)
    shard.write(waiting("ada", 7), 10)
    shard.commit()
    assert shard.users(["ada"]) == {}
    assert shard.due(7) == {"ada": 7}


def size_of(shard: Shard) -> int:
    """How many entries the shard has of any kind, in all that it keeps."""
    return sum(len(kept) for kept in vars(shard).values() if isinstance(kept, Sized))


def test_deadlines_that_move_leave_nothing_behind() -> None:
    shard, users = Shard(), [f"u{number}" for number in range(10)]
    for moment in range(100_000):
        shard.write(waiting(users[moment % 10], moment), 1)
        shard.commit()
        if not moment % 1_000:
            assert size_of(shard) < 200
    assert len(shard.due(100_000)) == 10


def test_deadlines_of_users_who_went_are_left_to_the_store() -> None:
    rows: dict[str, int] = {}

    def recall(start: Due, most: int) -> list[Due]:
        return nsmallest(most, (due for due in ((when, name) for name, when in rows.items()) if due >= start))

    shard = Shard(most=50, recall=recall, away=20)
    for number in range(10_000):
        rows[f"u{number}"] = when = number * 7_919 % 10_007
        shard.write(waiting(f"u{number}", when), 10)
        shard.commit()
        if not number % 100:
            assert size_of(shard) < 200
    woken: list[int] = []
    while (first := shard.first()) is not None:
        for name, when in shard.due(first).items():
            assert when <= first
            assert rows.pop(name) == when
            woken.append(when)
            shard.write(waiting(name), 10)
        shard.commit()
        assert size_of(shard) < 200
    assert rows == {}
    assert len(woken) == 10_000


names = st.sampled_from("abcde")
more_names = st.text("abcde", min_size=1, max_size=2)


@settings(deadline=None)
@given(st.lists(st.one_of(st.tuples(names, st.none() | st.integers(0, 50)), st.integers(0, 50))))
def test_users_are_woken_once_at_their_last_deadline(steps: list[tuple[str, int | None] | int]) -> None:
    shard = Shard()
    deadlines: dict[str, int] = {}
    for step in steps:
        if isinstance(step, int):
            expected = {name: due for name, due in deadlines.items() if due <= step}
            assert shard.due(step) == expected
            deadlines = {name: due for name, due in deadlines.items() if name not in expected}
        else:
            name, due = step
            shard.write(waiting(name, due), 0)
            deadlines.pop(name, None)
            if due is not None:
                deadlines[name] = due
        assert shard.first() == min(deadlines.values(), default=None)


def test_a_wake_takes_so_many_users_at_a_time() -> None:
    shard = Shard()
    for number in range(WOKEN_AT_ONCE + 1):
        shard.write(waiting(f"u{number}", 5), 1)
    shard.commit()
    assert len(first := shard.due(9)) == WOKEN_AT_ONCE
    assert shard.first() == 5
    assert len(first | shard.due(9)) == WOKEN_AT_ONCE + 1


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.tuples(more_names, st.none() | st.integers(0, 20)), st.integers(0, 20))),
    st.integers(0, 5),
    st.integers(0, 30),
)
def test_whoever_is_kept_and_whoever_is_not_is_woken_at_the_last_deadline(
    steps: list[tuple[str, int | None] | int], away: int, most: int
) -> None:
    rows: dict[str, int] = {}

    def recall(start: Due, limit: int) -> list[Due]:
        return nsmallest(limit, (due for due in ((when, name) for name, when in rows.items()) if due >= start))

    def write(name: str, due: int | None) -> None:
        shard.write(waiting(name, due), 10)
        rows.pop(name, None)
        if due is not None:
            rows[name] = due
        shard.commit()

    shard = Shard(most=most, recall=recall, away=away)
    for step in [*steps, 20]:
        if isinstance(step, int):
            expected = {name: due for name, due in rows.items() if due <= step}
            found: dict[str, int] = {}
            while (first := shard.first()) is not None and first <= step:
                found |= (some := shard.due(step))
                for name in some:
                    write(name, None)
            assert found == expected
        else:
            write(*step)
