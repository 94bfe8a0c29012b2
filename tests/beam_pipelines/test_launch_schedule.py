"""Five fields of cron, as Cloud Scheduler takes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.schedule import check_schedule
from transforms.errors import WrongUse

ENDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


@given(st.data())
def test_numbers_within_the_bounds_are_taken(data: st.DataObject) -> None:
    fields = []
    for least, most in ENDS:
        first, last = sorted(data.draw(st.tuples(*[st.integers(least, most)] * 2)))
        fields.append(data.draw(st.sampled_from(["*", "*/2", f"{first}", f"{first}-{last}", f"{first},{last}"])))
    check_schedule(" ".join(fields))


@pytest.mark.parametrize("text", ["0 9 * JAN-mar mon,fri", "*/15 0-6/2 1,15 * *"])
def test_names_and_steps_are_taken(text: str) -> None:
    check_schedule(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "hourly", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8"),
        *("*/0 * * * *", "5-1 * * * *", "1,,2 * * * *", "mon * * * *", "\u0661 * * * *", "-1 * * * *"),
    ],
)
def test_others_are_refused(text: str) -> None:
    with pytest.raises(WrongUse, match="--schedule: expected five fields of cron"):
        check_schedule(text)
