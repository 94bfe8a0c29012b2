"""The duplicate horizon against its definition."""

from hypothesis import given
from hypothesis import strategies as st

from transforms.users.seen import SEEN_AGE, SEEN_COUNT, PackedSeen, Seen
from transforms.users.user import User

#: Some that look like the end of one and the beginning of the next.
MARKS = st.sampled_from([0, 1, 256, 2**56, 2**63, 2**64 - 1, 0x0100000000000001, 0x0001000000000000])
messages = st.lists(st.tuples(MARKS, st.sampled_from([0, 1, SEEN_AGE - 1, SEEN_AGE]), st.booleans()), max_size=12)


@given(messages)
def test_a_message_is_seen_for_a_day(messages: list[tuple[int, int, bool]]) -> None:
    seen, naive, clock = Seen(PackedSeen()), dict[int, int](), 0
    for message_hash, passed, reopened in messages:
        clock += passed
        assert (message_hash in seen) is (message_hash in naive)
        if message_hash not in naive:
            seen.add(message_hash, clock)
            naive = {each: at for each, at in {**naive, message_hash: clock}.items() if at > clock - SEEN_AGE}
        if reopened:
            seen = Seen(seen.pack()[0])
        assert [*seen.items()] == [*naive.items()]


@given(st.integers(0, 2 * SEEN_COUNT + 5))
def test_the_newest_512_are_seen(reopened: int) -> None:
    seen = Seen(PackedSeen())
    for number in range(2 * SEEN_COUNT + 5):
        if number == reopened:
            seen = Seen(seen.pack()[0])
        seen.add(number, number)
        assert number < SEEN_COUNT or number - SEEN_COUNT not in seen
        assert max(0, number - SEEN_COUNT + 1) in seen
    assert [message_hash for message_hash, _ in Seen(seen.pack()[0]).items()] == [
        *range(SEEN_COUNT + 5, 2 * SEEN_COUNT + 5)
    ]


@given(messages, messages)
def test_of_two_users_the_newest_are_kept(
    mine: list[tuple[int, int, bool]], theirs: list[tuple[int, int, bool]]
) -> None:
    both = []
    for messages in (mine, theirs):
        seen = Seen(PackedSeen())
        for message_hash, at, reopened in sorted(messages, key=lambda each: each[1]):
            if message_hash not in seen:
                seen.add(message_hash, at)
            seen = Seen(seen.pack()[0]) if reopened else seen
        both.append(seen)
    expected = dict(both[1].items()) | dict(both[0].items())
    both[0].join(User("theirs", seen=both[1].pack()[0]), None, 0)
    assert dict(both[0].items()) == expected
    both[0].drop({"seen": {0, 1}}, None)
    assert dict(both[0].items()) == {
        message_hash: at for message_hash, at in expected.items() if message_hash not in (0, 1)
    }
