"""Packed leaf states against a plain dictionary that is kept and searched whole."""

from types import SimpleNamespace
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from transforms.segments.leaf_states import LeafStates, PackedLeaves, earliest
from transforms.segments.leaves import LeafState

UNSEEN = LeafState(truth=False)
#: Keys that the definitions know; a state may be kept of others too.
LEAVES: Any = {key: SimpleNamespace(unseen=UNSEEN, group="A" if key < 7 else "B") for key in (0, 1, 5, 7, 2**64 - 1)}

keys = st.sampled_from([*LEAVES, 3])
deadlines = st.none() | st.integers(0, 9)
evidence = st.lists(st.tuples(st.integers(0, 2**63), st.integers(0, 2**64 - 1)), max_size=3).map(tuple)
states = st.builds(LeafState, st.booleans(), deadlines, evidence, st.integers(0, 1), st.sampled_from(["live", "seed"]))
put = st.tuples(st.just("put"), keys, states)
keep = st.tuples(st.just("keep"), st.sets(keys), st.none())
settle = st.tuples(st.just("settle"), st.integers(0, 9), deadlines)
again = st.tuples(st.just("pack"), st.none(), st.none())


def pages_of(packed: PackedLeaves, leaves: Any = LEAVES) -> list[list[int]]:
    """The keys of each page, after a look at what stands beside the pages."""
    pages = [msgspec.msgpack.decode(page, type=dict[int, LeafState]) for page in packed.pages]
    assert packed.keys == b"".join(key.to_bytes(8, "big") for page in pages for key in page)
    assert packed.homes == b"".join(home.to_bytes(4, "big") for home, page in enumerate(pages) for _ in page)
    due = [min((each.deadline for each in page.values() if each.deadline is not None), default=None) for page in pages]
    assert packed.due == [2**63 - 1 if at is None else at for at in due]
    assert packed.first == min((at for at in due if at is not None), default=None)
    assert packed.bounds == packed.deadlines == packed.body == b""
    for page, data in zip(pages, packed.pages, strict=True):
        assert len(page) == 1 or (len(page) <= 8 and len(data) <= 4096)
        assert len({leaves[key].group if key in leaves else key for key in page}) == 1
    return [sorted(page) for page in pages]


def judged(opened: LeafStates, plain: dict[int, LeafState], until: int, later: int | None) -> None:
    """Judge what is due: each leaf exactly at its deadline, in their order; it gets one that is `later`, or none."""
    while (due := opened.first) is not None and due <= until:
        found = opened.pop_due(due)
        assert found == {key for key, state in plain.items() if state.deadline == due}
        for key in found:
            moved = None if later is None else due + 1 + later
            before = opened.opened[key]
            plain[key] = msgspec.structs.replace(before, truth=not before.truth, deadline=moved)
            opened.put(key, plain[key])
            opened.plan(key)
    assert not any(state.deadline is not None and state.deadline <= until for state in plain.values())


@given(st.dictionaries(keys, states), st.lists(st.one_of(put, put, keep, settle, again), max_size=12))
def test_they_are_those_of_a_dictionary(begun: dict[int, LeafState], steps: list[tuple[str, Any, Any]]) -> None:
    plain = dict(begun)
    opened = LeafStates(LeafStates(begun).pack(), LEAVES)
    for step, what, other in steps:
        match step:
            case "put":
                if what in LEAVES or what in plain:
                    opened.put(what, other)
                    plain[what] = other
            case "keep":
                opened = opened.only(what)
                plain = {key: state for key, state in plain.items() if key in what}
            case "settle":
                judged(opened, plain, what, other)
            case "pack":
                opened = LeafStates(opened.pack(), LEAVES)
        assert all((key in opened) is (key in plain) for key in (*LEAVES, 3))
        assert all(opened.opened[key] == plain.get(key, UNSEEN) for key in LEAVES)
    assert dict(opened.items()) == plain
    packed = opened.pack()
    assert sorted(key for page in pages_of(packed) for key in page) == sorted(plain)
    assert packed == LeafStates(plain).pack()
    assert earliest(packed) == earliest(plain)
    assert earliest(packed) == min(
        (each.deadline for each in plain.values() if each.deadline is not None), default=None
    )


@given(st.lists(states, min_size=1, max_size=40), st.lists(st.tuples(st.integers(0, 39), states), max_size=8))
def test_states_of_other_lengths_and_deadlines_go_between_the_others(begun: list[LeafState], changed: Any) -> None:
    plain = {key * 2**40: state for key, state in enumerate(begun)}
    opened = LeafStates(LeafStates(plain).pack())
    for number, state in changed:
        key = number % len(begun) * 2**40
        opened.put(key, state)
        plain[key] = state
    packed = opened.pack()
    assert sorted(pages_of(packed)) == [[key] for key in plain], "no definition knows them"
    assert [*LeafStates(packed).items()] == [*plain.items()]


def test_leaves_of_a_group_share_pages_of_eight_and_no_page_is_large() -> None:
    leaves: Any = {key: SimpleNamespace(unseen=UNSEEN, group="AB"[key % 2]) for key in range(30)}
    opened = LeafStates(dict.fromkeys(range(20), UNSEEN), leaves)
    assert pages_of(opened.pack(), leaves) == [
        [0, 2, 4, 6, 8, 10, 12, 14],
        [16, 18],
        [1, 3, 5, 7, 9, 11, 13, 15],
        [17, 19],
    ]

    opened = LeafStates(opened.pack(), leaves)
    for key in (28, 26, 24):
        opened.put(key, LeafState(truth=True))
    assert pages_of(opened.pack(), leaves)[1] == [16, 18, 24, 26, 28], "there is room"

    opened = LeafStates(opened.pack(), leaves)
    large = LeafState(False, 3, tuple((number, 2**64 - 1 - number) for number in range(400)))
    opened.put(18, large)
    assert pages_of(opened.pack(), leaves)[1:3] == [[16, 24, 26, 28], [18]]
    assert LeafStates(opened.pack(), leaves).opened[18] == large

    opened = LeafStates(opened.pack(), leaves)
    opened.put(22, UNSEEN)
    assert pages_of(opened.pack(), leaves)[1:3] == [[16, 22, 24, 26, 28], [18]]
    assert [key for key, _ in LeafStates(opened.pack(), leaves).items()] == [*range(20), 22, 24, 26, 28]


def test_states_that_were_written_before_there_were_pages_are_read() -> None:
    plain = {1: LeafState(truth=True, deadline=7), 5: LeafState(False, None, ((3, 9),)), 7: LeafState(False, 4)}
    bodies = [msgspec.msgpack.encode(state) for state in plain.values()]
    ends = [0, len(bodies[0]), len(bodies[0] + bodies[1]), len(b"".join(bodies))]
    deadlines = b"".join(at.to_bytes(8, "big") for at in (7, 2**63 - 1, 4))
    written = msgspec.msgpack.encode(
        [
            b"".join(key.to_bytes(8, "big") for key in plain),
            b"".join(end.to_bytes(4, "big") for end in ends),
            deadlines,
            4,
            b"".join(bodies),
        ]
    )
    packed = msgspec.msgpack.decode(written, type=PackedLeaves)
    assert earliest(packed) == 4
    assert dict(LeafStates(packed).items()) == plain
    opened = LeafStates(packed, LEAVES)
    assert (5 in opened, 0 in opened) == (True, False)
    assert opened.pop_due(4) == {7}
    assert pages_of(opened.pack()) == [[1, 5], [7]]
    assert opened.pack() == packed


def test_a_key_is_not_found_across_two_others() -> None:
    """Its bytes are the end of one key and the beginning of the next."""
    plain = {key: LeafState(truth=False, deadline=3) for key in (0x11, 0x0100000000000000, 2**64 - 1)}
    across = int.from_bytes((0x11).to_bytes(8, "big")[4:] + bytes.fromhex("01000000"), "big")
    opened = LeafStates(LeafStates(plain).pack(), {across: SimpleNamespace(unseen=UNSEEN)})
    assert across not in opened
    assert opened.opened[across] == UNSEEN
    assert [*opened.items()] == [*plain.items()]


def test_a_key_is_found_behind_its_like_across_two_others() -> None:
    plain = {0x0001010101010101: UNSEEN, 0x0101010101010101: LeafState(truth=True)}
    opened = LeafStates(LeafStates(plain).pack())
    assert opened.opened[0x0101010101010101].truth
    assert [*opened.items()] == [*plain.items()]


def test_what_is_packed_is_never_changed() -> None:
    packed = LeafStates({1: UNSEEN, 5: LeafState(truth=True, deadline=3)}).pack()
    written = msgspec.msgpack.encode(packed)
    opened = LeafStates(packed, LEAVES)
    opened.put(5, UNSEEN)
    opened.put(7, UNSEEN)
    opened.pack()
    opened.only({1}).pack()
    assert msgspec.msgpack.encode(packed) == written
    assert msgspec.msgpack.decode(written, type=PackedLeaves) == packed


@given(st.dictionaries(keys, states, max_size=2), st.dictionaries(keys, states, max_size=2))
def test_packed_ones_are_equal_where_their_states_are(one: dict[int, LeafState], other: dict[int, LeafState]) -> None:
    assert (LeafStates(one).pack() == LeafStates(other).pack()) is (one == other)
    assert LeafStates(one).pack() == LeafStates(dict(reversed(one.items()))).pack()
