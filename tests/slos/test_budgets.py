"""Budgets and alerts are exact: the cases of the contract, and what holds of all counts."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from transforms.segments.values import DAY, HOUR, SECOND
from transforms.slos.alerts import Alert, alerts_of, detected_after, fires, one_pages_below
from transforms.slos.budget import Events, burn_of, remaining_of, state_of
from transforms.slos.calc import BudgetAnswer, answer

HALF = Fraction(1, 2)


def share(percent: str) -> Fraction:
    return Fraction(percent) / 100


@pytest.mark.parametrize(
    ("objective", "events", "remaining", "state"),
    [
        ("99.9", Events(500, 1_000_000), HALF, "healthy"),
        ("99.9", Events(501, 1_000_000), Fraction(499, 1000), "act"),
        ("99.5", Events(50, 10_000), Fraction(0), "exhausted"),
        ("99.5", Events(51, 10_000), Fraction(-1, 50), "exhausted"),
        ("99.5", Events(49, 10_000), Fraction(1, 50), "act"),
        ("99.5", Events(0, 10_000), Fraction(1), "healthy"),
        ("99.9", Events(0, 0), Fraction(1), "no data"),
        ("50", Events(0, 0), Fraction(1), "no data"),
    ],
)
def test_what_is_left(objective, events, remaining, state):
    assert (remaining_of(events, share(objective)), state_of(events, share(objective))) == (remaining, state)


def test_without_events_there_is_no_burn():
    assert burn_of(Events(0, 0), share("99.9")) is None


@pytest.mark.parametrize(("bad", "total"), [(-1, 1), (2, 1), (0, -1)])
def test_counts_that_cannot_be(bad, total):
    with pytest.raises(ValueError, match="cannot be"):
        Events(bad, total)


@pytest.mark.parametrize(
    ("window", "factors"),
    [
        (30, ["72/5", "6", "3", "1"]),
        (28, ["336/25", "28/5", "14/5", "14/15"]),
        (7, ["84/25", "7/5"]),
    ],
)
def test_factors_are_scaled_to_the_window(window, factors):
    kept, _ = alerts_of(share("99.9"), window * DAY)
    assert [str(each.factor) for each in kept] == factors
    assert [each.long for each in kept] == [HOUR, 6 * HOUR, DAY, 3 * DAY][: len(factors)]
    assert [each.short for each in kept] == [each.long // 12 for each in kept]


def test_slow_tickets_of_seven_days_are_left_out_and_said():
    _, out = alerts_of(share("99.9"), 7 * DAY)
    assert [(each.alert.kind, each.alert.long) for each in out] == [("ticket", DAY), ("ticket", 3 * DAY)]
    assert (
        str(out[0])
        == "the ticket of 24 h is left out: its factor is below 14/15: it would fire though the budget lasts"
    )


@pytest.mark.parametrize(("objective", "left"), [("93.05", 3), ("93.06", 4), ("67", 2), ("64", 1), ("0.1", 1)])
def test_an_alert_that_cannot_fire_is_left_out_and_said(objective, left):
    kept, out = alerts_of(share(objective), 30 * DAY)
    assert (len(kept), len(out)) == (left, 4 - left)
    assert all("could never fire" in each.why for each in out)


def test_how_long_everything_must_fail():
    [page, *_], _ = alerts_of(share("99.9"), 30 * DAY)
    assert detected_after(page, share("99.9")) == Fraction(5184, 100) * SECOND
    assert round(float(one_pages_below(page, share("99.9"))), 1) == 69.4


def test_thin_traffic_does_not_page():
    page = Alert("page", HOUR, Fraction(72, 5))
    for total, floor, expected in ((69, 0, True), (70, 0, False), (69, 70, False), (70, 70, False), (1, 1, True)):
        assert fires(page, lambda _, total=total: Events(1, total), share("99.9"), floor) is expected


def ask(objective: str, window: str, counts: dict[int, tuple[int, int]]) -> BudgetAnswer:
    line = {"objective": objective, "window": window, "counts": {str(key): each for key, each in counts.items()}}
    return answer(msgspec.json.encode(line))[0]


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ('{"objective": "99", "window": "7d", "counts": {"3600": [9, 9], "3600": [0, 9]}}', "'3600' is there twice"),
        ('{"objective": "9", "objective": "99", "window": "7d", "counts": {}}', "'objective' is there twice"),
        (f'{{"objective": {"[" * 50_000}1{"]" * 50_000}, "window": "7d", "counts": {{}}}}', "nested too deeply"),
        ('{"objective": "99", "window": "7d", "counts": {"3600": [1, 0]}}', "1 bad of 0 events cannot be"),
        ('{"objective": "99", "window": "7d", "counts": {"3600": [0, 1e2]}}', "Expected `int`, got `float`"),
        ('{"objective": "99", "window": "7d", "counts": {"3600": [NaN, 1]}}', "JSON is malformed"),
    ],
)
def test_a_line_that_is_no_question_says_why(line: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        answer(line)


def firing(found: BudgetAnswer) -> list[tuple[str, int]]:
    return [(each.kind, each.long) for each in found.alerts if each.fires]


H5, H, M30, H6, H2, D = 300, 3600, 1800, 21600, 7200, 86400
ALL = (H5, H, M30, H6, H2, D, 3 * D)


def test_a_burn_exactly_at_the_factor_does_not_page():
    assert firing(ask("99", "30d", {H5: (144, 1000), H: (144, 1000)})) == []
    assert firing(ask("99", "30d", {H5: (145, 1000), H: (145, 1000)})) == [("page", H)]
    assert ask("99", "30d", {H5: (144, 1000), H: (144, 1000)}).burn == {"300": "72/5", "3600": "72/5"}


def test_a_page_at_28_days_that_is_none_at_30():
    clean = dict.fromkeys(ALL, (0, 100000)) | {28 * D: (0, 10**6), 30 * D: (0, 10**6)}
    counts = clean | {H5: (14, 1000), H: (14, 1000)}
    assert firing(ask("99.9", "28d", counts)) == [("page", H)]
    assert firing(ask("99.9", "30d", counts)) == []


def test_two_percent_everywhere_opens_tickets_only():
    counts = dict.fromkeys((*ALL, 30 * D), (20, 1000))
    found = ask("99.5", "30d", counts)
    assert firing(found) == [("ticket", D), ("ticket", 3 * D)]
    assert (found.state, found.remaining) == ("exhausted", "-3")


def test_a_clean_short_window_silences():
    counts = dict.fromkeys((H, H6, D, 3 * D), (1000, 1000)) | dict.fromkeys((H5, M30, H2), (0, 1000))
    counts[H6] = (0, 1000)  # the short window of three days, too
    assert firing(ask("99.9", "30d", counts)) == []


def test_nothing_at_all():
    found = ask("99.9", "30d", dict.fromkeys((*ALL, 30 * D), (0, 0)))
    assert (found.state, found.remaining, firing(found), set(found.burn.values())) == ("no data", "1", [], {None})


percents = st.decimals("0.001", "99.999", places=3).map(str)
events = st.integers(0, 10**9).flatmap(lambda total: st.builds(Events, st.integers(0, total), st.just(total)))
windows = st.sampled_from([7 * DAY, 28 * DAY, 30 * DAY])


@given(percents, events, windows)
def test_alerts_that_are_kept_fire_when_everything_fails(percent, some, window):
    kept, out = alerts_of(share(percent), window)
    assert len(kept) + len(out) == 4
    total = max(some.total, 1)
    for alert in kept:
        assert fires(alert, lambda _: Events(total, total), share(percent), total)
        assert not fires(alert, lambda _: Events(0, total), share(percent))
        assert 0 < detected_after(alert, share(percent)) < alert.long


@given(percents, events)
def test_burn_and_what_remains_say_the_same(percent, some):
    burn, remaining = burn_of(some, share(percent)), remaining_of(some, share(percent))
    assert remaining == 1 - (burn or 0)
    assert remaining <= 1
    if some.total:  # exhausted means: the objective is not met, or not by anything
        met = Fraction(some.total - some.bad, some.total) > share(percent)
        assert (state_of(some, share(percent)) == "exhausted") is not met


@given(percents, events, events)
def test_one_more_failure_never_helps(percent, some, more):
    assume(some.total)
    worse = some + Events(more.total, more.total)
    assert remaining_of(worse, share(percent)) <= remaining_of(some, share(percent))
    better = some + Events(0, more.total)
    assert remaining_of(better, share(percent)) >= remaining_of(some, share(percent))


@given(percents, events, st.integers(1, 1000))
def test_burn_does_not_depend_on_the_volume(percent, some, times):
    assert burn_of(Events(some.bad * times, some.total * times), share(percent)) == burn_of(some, share(percent))


@given(percents, events, events, windows)
def test_an_alert_needs_both_windows(percent, long, short, window):
    for alert in alerts_of(share(percent), window)[0]:
        both = fires(alert, lambda length, alert=alert: long if length == alert.long else short, share(percent))
        each = [fires(alert, lambda _, one=one: one, share(percent)) for one in (long, short)]
        assert both is all(each)
