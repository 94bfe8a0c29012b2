"""Whether arms fit their percentages."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strength import examples

from transforms.statistics.balance import MISMATCH, balance_p_value

shares = st.lists(st.integers(1, 50), min_size=2, max_size=5).map(lambda parts: [each / sum(parts) for each in parts])


def test_arms_that_fit_are_said_to_mismatch_in_1_percent_at_most_however_often_one_looks() -> None:
    many = max(200, examples(1_000))
    chance, found = np.random.default_rng(5), 0
    for _ in range(many):
        days = np.cumsum(chance.multinomial(200, [0.1, 0.45, 0.45], 30), axis=0)
        found += any(
            balance_p_value([list(zip((0.1, 0.45, 0.45), map(int, day), strict=True))]) < MISMATCH for day in days
        )
    assert found <= many * MISMATCH + 3.72 * (many * MISMATCH) ** 0.5


def test_arms_that_do_not_fit_are_found() -> None:
    assert balance_p_value([[(0.5, 520), (0.5, 480)]]) > 0.05
    assert balance_p_value([[(0.5, 600), (0.5, 400)]]) < MISMATCH
    assert balance_p_value([[(0.5, 50_800), (0.5, 49_200)]]) < MISMATCH


def test_each_day_is_held_against_its_own_percentages() -> None:
    """10 : 90 and then 50 : 50 fit, though they fit neither together."""
    before, after = [(0.1, 1_000), (0.9, 9_000)], [(0.5, 5_000), (0.5, 5_000)]
    assert balance_p_value([before, after]) > 0.5
    assert balance_p_value([[(0.5, 6_000), (0.5, 14_000)]]) < MISMATCH


def test_nobody_may_be_in_an_arm_of_no_share() -> None:
    assert balance_p_value([[(0.0, 1), (1.0, 500)]]) == 0
    assert balance_p_value([[(0.0, 0), (1.0, 500)]]) == 1


@given(shares, st.integers(0, 10**5))
def test_exact_percentages_fit(parts: list[float], whole: int) -> None:
    assert balance_p_value([[(share, round(share * whole)) for share in parts]]) > 0.3
