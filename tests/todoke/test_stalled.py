"""A live job that stands still ends, so that its supervisor starts it again; one that moves, or rests, goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todoke.stalled import RunStalled, keep_moving

PATIENCE = 60.0
#: What each second brings: whether something ended in it, and how many messages are in flight after it.
SECONDS = st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=200)


def watch(seconds: list[tuple[bool, int]]) -> int:
    """Watch a run that lives for so many seconds; returns how many it lived."""
    now = ended = 0

    def sleep(_: float) -> None:
        nonlocal now, ended
        ended += seconds[now][0]
        now += 1

    try:
        keep_moving(
            lambda: now == len(seconds),
            patience=PATIENCE,
            moved=lambda: ended,
            waiting=lambda: seconds[now - 1][1] if now else 0,
            clock=lambda: float(now),
            sleep=sleep,
        )
    except RunStalled:
        return now
    return len(seconds)


def stands(seconds: list[tuple[bool, int]]) -> int:
    """After which second a run has stood still for `PATIENCE`, or how long it lives."""
    still = 0
    for second, (ended, waiting) in enumerate(seconds, 1):
        still = 0 if ended or not waiting else still + 1
        if still > PATIENCE - 1 and second < len(seconds):
            return second
    return len(seconds)


@given(SECONDS, st.integers(0, 100))
def test_it_ends_when_nothing_has_ended_for_so_long(seconds: list[tuple[bool, int]], silent: int) -> None:
    told = [*seconds, *[(False, 1)] * silent, *seconds]
    assert watch(told) == stands(told)


def test_it_says_how_many_wait() -> None:
    with pytest.raises(RunStalled, match=r"5,001 messages are in flight, and nothing has ended for 60 s"):
        keep_moving(
            lambda: False,
            patience=PATIENCE,
            moved=lambda: 0,
            waiting=lambda: 5_001,
            clock=iter(range(1_000)).__next__,
            sleep=lambda _: None,
        )
