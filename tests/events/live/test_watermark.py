"""When the live source says that time has passed: never back, never beyond what waits, and on when nothing comes."""

from hypothesis import given
from hypothesis import strategies as st

from transforms.events.live.pubsub import IDLE, START, Watermark

SECOND = 1_000_000
BEGIN = 1_770_000_000 * SECOND

#: What is seen: how long after the last look, how old the oldest waiting message is (None: none), whether deaf.
LOOKS = st.lists(
    st.tuples(st.integers(0, 4 * SECOND), st.none() | st.integers(0, 60 * SECOND), st.booleans()), max_size=30
)


class Clock:
    def __init__(self) -> None:
        self.time = BEGIN

    def __call__(self) -> int:
        return self.time


@given(LOOKS)
def test_it_never_goes_back_nor_beyond_what_waits(looks) -> None:
    clock = Clock()
    watermark = Watermark(clock)
    before = known = 0
    for passed, age, deaf in looks:
        clock.time += passed
        oldest = None if age is None else clock.time - age
        known = max(known, oldest or 0)
        after = watermark.seen(oldest, deaf=deaf)
        assert after >= before
        assert after <= max(before, known) or (oldest is None and not deaf)
        assert after <= clock.time
        before = after


@given(LOOKS)
def test_after_any_history_silence_moves_it_to_just_behind_the_clock(looks) -> None:
    clock = Clock()
    watermark = Watermark(clock)
    for passed, age, deaf in looks:
        clock.time += passed
        watermark.seen(None if age is None else clock.time - age, deaf=deaf)
    clock.time += START + IDLE
    assert clock.time - IDLE <= watermark.seen(None, deaf=False) <= clock.time


@given(LOOKS)
def test_it_stands_still_while_a_backlog_may_be_on_its_way(looks) -> None:
    clock = Clock()
    watermark = Watermark(clock)
    for passed, age, deaf in looks:
        clock.time = min(clock.time + passed, BEGIN + START - 1)
        assert watermark.seen(None if age is None else clock.time - age, deaf=deaf) == 0


@given(LOOKS)
def test_once_the_start_is_over_it_is_no_less_than_what_was_handed_on(looks) -> None:
    """A source that was full since its start, and hears nothing more before that is done, would stand still for ever:
    a runner lets messages wait behind earlier timers of their keys."""
    clock = Clock()
    watermark = Watermark(clock)
    known = 0
    for passed, age, deaf in looks:
        clock.time += passed
        oldest = None if age is None else clock.time - age
        known = max(known, oldest or 0)
        watermark.seen(oldest, deaf=deaf)
    clock.time = max(clock.time, BEGIN + START)
    assert watermark.seen(None, deaf=True) >= known


def test_being_deaf_says_nothing_however_long_it_lasts() -> None:
    clock = Clock()
    watermark = Watermark(clock)
    clock.time += START + IDLE
    before = watermark.seen(None, deaf=False)
    for _ in range(100):
        clock.time += 60 * SECOND
        assert watermark.seen(None, deaf=True) == before
    clock.time += IDLE - 1
    assert watermark.seen(None, deaf=False) == before
