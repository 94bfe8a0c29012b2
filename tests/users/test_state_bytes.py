"""The bytes of a user's state and of inputs in a shuffle: running jobs hold them, so new code must read old ones."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from core import DAY, HOUR, MINUTE, START
from msgspec import UNSET

from transforms.campaigns.caps import Counted
from transforms.campaigns.effects import Send
from transforms.campaigns.entry import Entry
from transforms.campaigns.goals import OpenGoal
from transforms.campaigns.journey import Journey
from transforms.campaigns.occurrences import UserOccurrence
from transforms.campaigns.recent import Newest
from transforms.events.event import Event
from transforms.events.times import read_time
from transforms.identity.profile import Profile
from transforms.segments.evidence import Extremes, Groups, SourceSum, SourceSums
from transforms.segments.leaf_states import LeafStates
from transforms.segments.leaves import LeafState
from transforms.users.control import Receipt, decode_control, encode_inputs_control, encode_receipt
from transforms.users.parts import PARTS
from transforms.users.seen import PackedSeen, Seen
from transforms.users.sessions import Session
from transforms.users.user import (
    Input,
    Merge,
    Owner,
    Seed,
    SeedState,
    TokenReassigned,
    User,
    Wake,
    decode_inputs,
    decode_user,
    encode_inputs,
    encode_user,
    pack_members,
)

GOLDEN = Path(__file__).parent.parent / "golden"
ADVICE = """
The bytes that running jobs hold would be read or written differently. Add fields at the end of a record only, each with
a default, and never take one away, move it or change its type. What is written is longer then: put the new bytes into
the file by hand, and keep the old ones as a further file that must still be read. If the break is meant, write it into
CHANGELOG.md under "Breaks running jobs", with what to do.
"""

ANONYMOUS = User(
    "~a1",
    clock=START,
    created=START - HOUR,
    definitions_hash="0123456789abcdef",
    profile=Profile({"context.locale": (START, "m1", "ja")}, {"t1": (START, "m1", None)}, {}),
    leaves={1: LeafState(True, None, ((START, 2**64 - 1),))},
    entries={"cart": Entry(START, "e0")},
    seen={2**63: START},
)

RICH = User(
    id="ü1",
    version=7,
    clock=START,
    created=START - DAY,
    definitions_hash="fedcba9876543210",
    profile=Profile(
        {
            "plan": (START, "m1", "pro"),
            "gone": (START, "m2", None),
            "home": (START, "m3", {"city": "Ulm", "geo": [48.4, 10, True, None], "big": 2**64 - 1}),
            "#zone": (START, "m4", "Asia/Tokyo"),
        },
        {"t1": (START, "m1", "ios"), "t2": (START + 1, "m2", None)},
        {"offers/push": (START, "m5", False), "all/email": (START, "m6", True)},
        {"ü@example.com": (START, "m7", "bounced")},
    ),
    leaves={
        2**64 - 1: LeafState(True, START + DAY, ((START, 2**64 - 1), (START - 1, 0))),
        5: LeafState(False, None, (), START - HOUR, "seed"),
    },
    packed_members=pack_members({"buyers": START - HOUR, "often": START}),
    journeys={
        "e1": Journey(
            "e1", "cart", "~a1", START, START - MINUTE, "wait_2", START + HOUR, ("second", "third"), {"n": 1.5}
        )
    },
    entries={"cart": Entry(START, "e1")},
    seen={2**64 - 1: START, 3: START + 1},
    merged=("~a1", "~a2"),
    deleted=START - 2 * DAY,
    sends={
        "s1": Send(
            "s1",
            "cart",
            "e1",
            "first",
            "ü1",
            "push",
            "remind",
            "t1",
            START - MINUTE,
            START + DAY,
            "offers",
            "b",
            "Asia/Tokyo",
            "ja",
            {"plan": "pro"},
            {"n": 1.5},
            (22 * HOUR, 8 * HOUR),
            release=3,
        )
    },
    deleted_at=START - DAY,
    truncated=3,
    rate_window=(START // MINUTE, 17),
    owners=(2**64 - 1, 0),
    release=3,
    seeds={START - HOUR: {"ü1": SeedState.COME, "~a1": SeedState.MISSED}, START: {"ü1": SeedState.AWAITED}},
    session=Session(START - MINUTE, START, START + HOUR, 3, historical=False),
)
OWNED = User("~a2", clock=START, leaves={}, seen={}, owner=Owner("u1", START - HOUR, "u2"))
KEPT = User(
    "u5",
    clock=START,
    created=START - DAY,
    seen={},
    leaves={
        7: LeafState(True, START + HOUR, Groups({3: ((START, 2**64 - 1), (START - 1, 0)), 2**64 - 1: ((START, 1),)})),
        8: LeafState(
            False,
            None,
            SourceSums(
                (
                    SourceSum(0, 0, 0, 2, START, {5: (2, -9_500_000), 2**40: (1, str(10**300))}),
                    SourceSum(2**64 - 1, 6, 7, 1, START - 1),
                )
            ),
        ),
        9: LeafState(True, None, Extremes({-4: 2.5, 0: 2**64 - 1}), START),
    },
)
PAST = User("u3", clock=START, leaves={}, seen={}, owner=Owner("u1", START - HOUR, "u2", historical=True))

ENGAGED = User(
    "u7",
    clock=START,
    created=START - DAY,
    leaves={},
    seen={},
    journeys={
        "e2": Journey(
            "e2",
            "cart",
            "u7",
            START,
            START - MINUTE,
            "wait_2",
            START + HOUR,
            ("second",),
            {"n": 1.5},
            None,
            "b",
            "0a1b",
            START,
        )
    },
    entries={"cart": Entry(START, "e2", START - HOUR, "b", held_out=True), "cart/0a1b": Entry(START, "e2")},
    sends={
        "s2": Send(
            *("s2", "cart", "e2", "first", "u7", "line", "remind", "U1", START - MINUTE, START + DAY),
            variant="b",
            template_events={"cart": {"lines": [{"n": 1}]}},
        )
    },
    goals={
        "e2/bought/u7": OpenGoal("cart", "bought", "e2", "u7", START, START + DAY, "b", held_out=True, converted=True)
    },
    cap_history=(Counted(START - HOUR, "push", ("s1", "s2")), Counted(START, "line", ("s3",))),
    latest_events={"Added": (START - 1, "m1", {"sku": "A1"})},
    occurrences={"digest": (UserOccurrence(START + HOUR, START + 2 * HOUR), UserOccurrence(START + DAY, START + DAY))},
    next_occurrence=START + HOUR,
)

SETTLING = User(
    "u9",
    clock=START,
    created=START - MINUTE,
    first=START - HOUR,
    early={START + HOUR: {"u9": 3, "~a9": 2**40}},
    recent={7: {"": Newest(START - 1, "m1", 9.5)}, 2**64 - 1: {'"a"': Newest(START, "m2"), "5": Newest(START, "m3")}},
    journeys={
        "e3": Journey(
            *("e3", "cart", "u9", START, START - MINUTE, "", START + MINUTE, (), {"n": 1.5}),
            trigger="m0",
            settling=True,
        ),
        "e4": Journey(
            *("e4", "news", "u9", START, START - MINUTE, "hello", START + MINUTE, ("wait_2",), {"n": 1.5}, START),
            begun=START - MINUTE,
            trigger="m0",
            settling=True,
        ),
    },
)

#: After a circle of merges has ended here.
REVIVED = User("u1", clock=START, created=START - DAY, leaves={}, seen={}, merged=("u2",), former="u2")

INPUTS: list[Input] = [
    Event(
        "m1",
        "track",
        "Ordered",
        START,
        START + 1,
        "u1",
        "a1",
        None,
        {"total": 9.5, "lines": [{"n": 1}]},
        {"plan": None},
        {"os": {"name": "ios"}},
        historical=True,
        handle="h1",
    ),
    Event("m2", "alias", "", START, START, "u1", None, "a2"),
    Wake(START),
    Wake(START, historical=True),
    Wake(0, again=True, handle="h2"),
    Merge(START, ANONYMOUS),
    Merge(START, User("u3", leaves={}, seen={}), path=("u4", "u5"), historical=True, handle="h3"),
    TokenReassigned(START, "t1", START - 1, handle="h4"),
    Seed("backfill 1", "ü1", START, 3),
    Seed("backfill 1", "~a1", START, 3, {2**64 - 1: ((START - 1, 2**64 - 1), (START - 2, 0))}, handle="h5"),
    Seed("backfill 1", "u5", START, 3, {key: state.evidence for key, state in LeafStates(KEPT.leaves).items()}),
]
RECEIPT = Receipt(
    "ü1", "bounced", "email", "2026-03-29T00:00:00Z", "r1", "s1", "cart", "first", "m", "b", "ü@x.com", "offers", "full"
)
RECEIVED = Event(
    "r1",
    "receipt",
    "Email Bounced",
    min(START, read_time(RECEIPT.time)),
    START,
    "ü1",
    properties={
        **{"kind": "bounced", "channel": "email", "send": "s1", "campaign": "cart", "step": "first", "message": "m"},
        **{"variant": "b", "address": "ü@x.com", "topic": "offers", "reason": "full"},
    },
)


#: Leaves that share a page.
TOGETHER: Any = {key: SimpleNamespace(group="Order Completed") for key in (7, 9)}


def packed(user: User) -> User:
    """A user as it is written now; the ones above are as they were written before leaves and messages were packed."""
    seen = {} if isinstance(user.seen, PackedSeen) else user.seen
    return msgspec.structs.replace(user, leaves=LeafStates(user.leaves, TOGETHER).pack(), seen=PackedSeen.of(seen))


def packed_input(item: Input) -> Input:
    return msgspec.structs.replace(item, user=packed(item.user)) if isinstance(item, Merge) else item


UNPACKED = {
    "user_state": RICH,
    "user_state_kept": KEPT,
    "user_state_owned": OWNED,
    "user_state_owned_in_history": PAST,
    "user_state_new": User("u1", leaves={}, seen={}),
}
#: These have fields that there were not in the days of the above.
NEWER = {"user_state_engaged": ENGAGED}
USERS = {name: packed(user) for name, user in (UNPACKED | NEWER).items()}
#: And this one has fields that there were not in the days of these.
NEWEST = {"user_state_settling": packed(SETTLING), "user_state_revived": packed(REVIVED)}
INPUTS_PACKED = [packed_input(item) for item in INPUTS]


def golden(name: str) -> bytes:
    """The bytes of a file of hexadecimal lines."""
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text(encoding="ascii"))


@pytest.mark.parametrize("name", USERS | NEWEST)
def test_a_state_is_read_and_written_as_ever(name: str) -> None:
    data, user = golden(name), (USERS | NEWEST)[name]
    assert decode_user(data) == user, ADVICE
    assert encode_user(user) == data, ADVICE


@pytest.mark.parametrize("name", USERS)
def test_a_state_written_before_users_settled_is_read(name: str) -> None:
    assert decode_user(golden(f"{name}_before_settling")) == USERS[name], ADVICE


def test_inputs_written_before_users_settled_are_read() -> None:
    assert decode_inputs(golden("user_state_inputs_before_settling")) == INPUTS_PACKED, ADVICE
    (before,) = (GOLDEN / "control_before_settling.jsonl").read_bytes().splitlines()
    assert decode_control(before, START) == ("ü1", INPUTS), ADVICE


@pytest.mark.parametrize("given", [UNSET, {}, {"last": {"n": 1.5}}])
def test_a_send_crosses_to_deliver_as_it_was_and_names_no_module_but_its_own(given: Any) -> None:
    """`UNSET` is no global of its module, so that pickle would look for it in every module that is loaded."""
    send = msgspec.structs.replace(RICH.sends["s1"], template_events=given)
    written = pickle.dumps(send)
    assert pickle.loads(written) == send
    assert b"UNSET" not in written


def test_inputs_are_read_and_written_as_ever() -> None:
    data = golden("user_state_inputs")
    assert decode_inputs(data) == INPUTS_PACKED, ADVICE
    assert encode_inputs(INPUTS_PACKED) == data, ADVICE


@pytest.mark.parametrize("name", UNPACKED)
def test_a_state_written_before_it_was_packed_is_read(name: str) -> None:
    user = decode_user(golden(f"{name}_unpacked"))
    assert user == UNPACKED[name], ADVICE
    assert PARTS.deadline_of(user) == PARTS.deadline_of(USERS[name])
    assert [*LeafStates(user.leaves).items()] == [*LeafStates(USERS[name].leaves).items()], ADVICE
    assert [*Seen(user.seen).items()] == [*Seen(USERS[name].seen).items()], ADVICE


def test_inputs_written_before_states_were_packed_are_read() -> None:
    assert decode_inputs(golden("user_state_inputs_unpacked")) == INPUTS, ADVICE


@pytest.mark.parametrize("name", USERS)
def test_a_state_written_before_leaves_shared_pages_is_read(name: str) -> None:
    user = decode_user(golden(f"{name}_before_pages"))
    assert user == USERS[name], ADVICE
    assert PARTS.deadline_of(user) == PARTS.deadline_of(USERS[name])


def test_inputs_written_before_leaves_shared_pages_are_read() -> None:
    assert decode_inputs(golden("user_state_inputs_before_pages")) == INPUTS_PACKED, ADVICE


@pytest.mark.parametrize("name", UNPACKED)
def test_a_state_written_before_there_were_goals_is_read(name: str) -> None:
    assert decode_user(golden(f"{name}_before_goals")) == USERS[name], ADVICE


def test_inputs_written_before_there_were_goals_are_read() -> None:
    assert decode_inputs(golden("user_state_inputs_before_goals")) == INPUTS_PACKED, ADVICE
    (before, _) = (GOLDEN / "control_before_goals.jsonl").read_bytes().splitlines()
    assert decode_control(before, START) == ("ü1", INPUTS), ADVICE


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5, 7, 12])
def test_a_state_written_before_fields_were_added_is_read(cut: int) -> None:
    """Records are arrays: what is missing at the end gets its default."""
    fields: list[Any] = msgspec.msgpack.decode(golden("user_state_new"), strict=False)
    assert decode_user(msgspec.msgpack.encode(fields[:-cut])) == User("u1"), ADVICE


def test_a_state_written_before_there_were_sessions_is_read() -> None:
    assert decode_user(golden("user_state_unpacked_before_sessions")) == msgspec.structs.replace(RICH, session=None), (
        ADVICE
    )


def test_control_messages_are_read_and_written_as_ever() -> None:
    """A topic, or a table, holds them while a job is replaced by another version; receipts are others' work too."""
    inputs, receipt = (GOLDEN / "control.jsonl").read_bytes().splitlines()
    assert decode_control(inputs, START) == ("ü1", INPUTS), ADVICE
    assert encode_inputs_control("ü1", INPUTS) == inputs, ADVICE
    assert decode_control(receipt, START) == ("ü1", [RECEIVED]), ADVICE
    assert encode_receipt(RECEIPT) == receipt, ADVICE


def test_sends_that_wait_are_read_and_written_as_ever() -> None:
    """Deliver's bags: the queue holds sends, and what waits for later (time, send)."""
    (send,) = RICH.sends.values()
    for name, type_, value in (("queue", Send, send), ("later", tuple[int, Send], (START + HOUR, send))):
        data = golden(f"deliver_{name}")
        assert msgspec.msgpack.decode(data, type=type_) == value, ADVICE
        assert msgspec.msgpack.encode(value) == data, ADVICE
