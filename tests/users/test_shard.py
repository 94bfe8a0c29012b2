"""Users that a live job on one machine keeps, by shard."""

from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.campaigns.journeys import Journey
from transforms.users.live.shard import SHARDS, Shard, decode_parts, encode_parts, shard_of
from transforms.users.user import User


def test_each_user_has_one_shard_and_all_shards_have_users() -> None:
    assert {shard_of(f"user-{number}") for number in range(1_000)} == {str(number) for number in range(SHARDS)}


def test_parts_come_back() -> None:
    assert decode_parts(encode_parts([("ada", b"1"), ("~x", b"2")])) == [("ada", b"1"), ("~x", b"2")]


def waiting(name: str, due: int | None = None, revision: int = 0) -> User:
    """A user, with a journey that is due then."""
    journeys = {} if due is None else {"e": Journey("e", "c", name, 0, 0, "w", due, (), {})}
    return User(name, revision, journeys=journeys)


def test_what_a_bundle_wrote_is_its_own_until_its_rows_are_written() -> None:
    shard = Shard()
    shard.write(waiting("ada", revision=1), 1)
    assert shard.users(["ada", "ben"]) == {"ada": waiting("ada", revision=1)}
    shard.commit()
    shard.write(waiting("ada", revision=2), 1)
    assert shard.users(["ada"]) == {"ada": waiting("ada", revision=2)}


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


names = st.sampled_from("abcde")


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
