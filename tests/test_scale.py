"""The simulation of docs/scale.md: the same for the same arguments, and no other than the code that it speaks of."""

import random
from collections import Counter

import pytest

from bench.scale_cost import costs
from bench.scale_sizes import EVENTS_A_USER, Sizes, measure_sizes
from bench.scale_skew import DEFINITIONS, START, simulate_skew, zipf
from bench.scale_waves import FCM_A_SECOND, ZONES, Flow, OneUser, measure_one_user, simulate_wave
from transforms.campaigns.load import load
from transforms.events.event import Event
from transforms.segments.values import DAY, HOUR, instant_of
from transforms.users.advance import fold
from transforms.users.effects import Account
from transforms.users.rate_limit import HOT_ID, MOST_A_MINUTE, MOST_OWNERS
from transforms.users.user import User

USERS = 10


@pytest.fixture(scope="module")
def sizes() -> Sizes:
    return measure_sizes(USERS)


@pytest.fixture(scope="module")
def one() -> OneUser:
    return measure_one_user(each=1)


def counted(sizes: Sizes) -> Sizes:
    """Without what a clock measures."""
    return sizes._replace(micros={})


def test_sizes_are_the_same_again(sizes: Sizes) -> None:
    assert counted(measure_sizes(USERS)) == counted(sizes)


def test_each_input_writes_its_user_and_each_event_is_kept(sizes: Sizes) -> None:
    assert sizes.events == USERS * EVENTS_A_USER
    inputs = sum(sizes.steps[kind] for kind in ("event", "forwarded", "wake", "control"))
    assert sizes.calls["users write"][0] == pytest.approx(inputs)
    assert sizes.calls["events write"][0] >= 1
    assert sizes.steps["refused"] == 0


def test_each_send_is_claimed_once_and_told_by_control(sizes: Sizes) -> None:
    assert sizes.sends > 0
    assert sizes.calls["ledger check"][0] == pytest.approx(sizes.sends)
    assert sizes.steps["control"] >= sizes.sends - 1 / sizes.events


def test_skew_is_the_same_again() -> None:
    assert simulate_skew(5_000, 1_000_000) == simulate_skew(5_000, 1_000_000)
    assert simulate_skew(5_000, 1_000_000, seed=8) != simulate_skew(5_000, 1_000_000)


@pytest.mark.parametrize("exponent", [0.8, 1.1])
def test_a_rank_is_drawn_by_its_weight(exponent: float) -> None:
    draw, users = zipf(50_000, exponent, random.Random(1)), 50_000
    drawn = Counter(draw() for _ in range(50_000))
    weights = [rank**-exponent for rank in range(1, users + 1)]
    assert 0 <= min(drawn) <= max(drawn) < users
    for ranks in (range(1), range(1, 10), range(10, 1_000), range(1_000, 20_000), range(20_000, users)):
        share = sum(weights[rank] for rank in ranks) / sum(weights)
        assert sum(drawn[rank] for rank in ranks) / 50_000 == pytest.approx(share, abs=0.01)


def test_what_skew_sets_aside_is_what_the_state_machine_does() -> None:
    definitions = load(DEFINITIONS)

    def aside(key: str, events: list[Event]) -> int:
        _, effects = fold(User(key), events, definitions)
        return sum(isinstance(each, Account) and each.cause == HOT_ID for each in effects)

    over = [Event(f"m{n}", "page", "P", START + n, START + n, "u") for n in range(MOST_A_MINUTE + 5)]
    assert aside("u", over) == 5
    shared = [Event(f"m{n}", "page", "P", START + n, START + n, f"u{n}", "0") for n in range(MOST_OWNERS + 5)]
    assert aside("~0", shared) == 5
    found = simulate_skew(10_000, 1_000_000_000, exponent=0.1, visitor=0.5)
    assert found.busiest == "~0"
    assert found.refused == found.busiest_events - MOST_OWNERS


def test_a_wave_is_decided_at_nine_by_each_clock(one: OneUser) -> None:
    assert one.due == {zone: instant_of(START + 2 * DAY + 9 * HOUR, zone) for zone in ZONES}
    assert one.sends == 2
    assert one.checks == one.control == one.sends
    assert one.wakes_outside == 1  # also who gets nothing is woken when the occurrence begins


def test_a_wave_keeps_to_the_quota(one: OneUser) -> None:
    users, zones = 1_000_000, {"Asia/Tokyo": 1.0}
    found = simulate_wave(users, Flow(decisions=100_000), one, zones)
    assert found == simulate_wave(users, Flow(decisions=100_000), one, zones)
    assert found.sent == pytest.approx(users / FCM_A_SECOND, abs=2)
    assert found.decided == pytest.approx(users / 50_000, abs=2)
    assert found.most_waiting == pytest.approx(users * (1 - FCM_A_SECOND / 50_000), abs=2 * FCM_A_SECOND)
    assert simulate_wave(users, Flow(decisions=2 * FCM_A_SECOND), one, zones).most_waiting <= FCM_A_SECOND


def test_cost_is_by_the_event(sizes: Sizes) -> None:
    sizes = sizes._replace(micros=dict.fromkeys(sizes.micros, 200.0))
    small, large = costs(1_000, sizes, 1_000), costs(10_000, sizes, 10_000)
    assert large.cores == pytest.approx(10 * small.cores)
    assert large.streaming_engine == pytest.approx(10 * small.streaming_engine)
    assert large.stored_bytes == pytest.approx(10 * small.stored_bytes)
    assert large.priced < 10 * small.priced  # the first worker, and what is free
