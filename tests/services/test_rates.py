"""How much somebody may send: what was not sent is saved up, and a clock that is set back costs nobody anything."""

from hypothesis import given
from hypothesis import strategies as st

from services.rates import RateBucket, Rates


def test_what_is_there_may_be_sent_and_the_rest_waits() -> None:
    rates = Rates[str](2)
    assert [rates.take("a", 1, 2.0, 3.0, 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert rates.take("b", 1, 2.0, 3.0, 0.0) == 0.0
    assert rates.take("a", 1, 2.0, 3.0, 0.5) == 0.0


@given(st.lists(st.floats(-1e9, 1e9), max_size=20))
def test_nobody_waits_longer_because_a_clock_was_set_back(times: list[float]) -> None:
    bucket = RateBucket(0.1, 5, 0.0)
    for time in times:
        assert bucket.take(1, time) <= 20.0 + 1e-6  # one that was taken with nearly nothing there, and its own
