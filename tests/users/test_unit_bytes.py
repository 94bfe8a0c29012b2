"""The bytes of goals of first entries, and of goals from before they knew what a first entry is: jobs hold both."""

import msgspec
from core import DAY, START
from users.test_state_bytes import ADVICE, USERS, golden, packed

from transforms.campaigns.effects import GoalUnit
from transforms.campaigns.goals import OpenGoal
from transforms.users.user import User, decode_user, encode_user

#: Whose first entry is a unit of a comparison.
MEASURED = packed(
    User(
        "u8",
        clock=START,
        leaves={},
        seen={},
        goals={
            "e5/bought/u8": OpenGoal(
                *("cart", "bought", "e5", "u8", START, START + DAY),
                converted=True,
                unit=GoalUnit(START + 1, "0a1b2c3d", 2**63 - 1),
            )
        },
    )
)


def test_a_unit_is_read_and_written_as_ever() -> None:
    data = golden("user_state_measured")
    assert decode_user(data) == MEASURED, ADVICE
    assert encode_user(MEASURED) == data, ADVICE


def test_a_state_written_before_goals_knew_first_entries_is_read() -> None:
    before = decode_user(golden("user_state_engaged_before_units"))
    assert before == USERS["user_state_engaged"], ADVICE
    assert [goal.unit for goal in before.goals.values()] == [None]
    assert msgspec.structs.replace(before, goals={}) != before
