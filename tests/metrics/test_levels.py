"""Service levels by the metrics of a store: which counts are good, in which windows, and since when a state lasts."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest

from transforms.metrics.slos.indicators import read_minutes
from transforms.metrics.slos.sanity import findings_of
from transforms.metrics.slos.status import minutes_of, status_of, worst_hours
from transforms.segments.values import DAY, HOUR, MINUTE, SECOND
from transforms.slos.budget import Events
from transforms.slos.definitions import Indicator, LevelOwner, ServiceLevel
from transforms.storage.open import open_store
from transforms.storage.rows import LeaseRow
from transforms.storage.store import Store
from transforms.users.lease import LIVE_JOB
from transforms.users.tally import Tallies

NOW = 1_775_000_000_000_000 // DAY * DAY + 12 * HOUR + 30 * SECOND
OWNER = LevelOwner("growth", "Growth team", "growth@example.com")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    yield store
    store.close()


def level(indicator: Indicator, percent: str = "99", **fields: object) -> ServiceLevel:
    return msgspec.structs.replace(ServiceLevel("l", OWNER, indicator, Fraction(percent) / 100), **fields)


def write(store: Store, *counts: tuple[object, ...]) -> None:
    """Each is (metric, values of labels …, how long ago, how many)."""
    tallies = Tallies(MINUTE)
    for metric, *values, ago, count in counts:
        tallies.count(str(metric), *map(str, values), at=NOW - int(str(ago)), by=int(str(count)))
    store.add_metrics(tallies.rows(NOW))


def events(store: Store, indicator: Indicator, length: int = DAY, *, expected: bool = False) -> Events:
    return read_minutes(store, indicator, NOW - 30 * DAY, NOW, expected=expected).trailing(NOW, length)


def test_latency_counts_what_was_handed_off_within_the_bound(store: Store) -> None:
    for channel, since, to, le, count in (
        ("push", "arrival", "handed_off", "60", 7),
        ("push", "arrival", "handed_off", "0.001", 1),
        ("push", "arrival", "handed_off", "120", 2),
        ("push", "arrival", "handed_off", "+Inf", 3),
        ("push", "trigger", "handed_off", "60", 100),
        ("push", "arrival", "decided", "60", 100),
        ("email", "arrival", "handed_off", "60", 40),
    ):
        write(store, ("latency", "greet", channel, since, to, le, 0, count))
    write(store, ("latency", "greets", "push", "arrival", "handed_off", "60", 0, 500))
    write(store, ("latency_sum", "greet", "push", "arrival", "handed_off", 0, 9_000_000))
    asked = Indicator("latency", "push", "greet", start="arrival", below=MINUTE)
    assert events(store, asked) == Events(5, 13)
    assert events(store, msgspec.structs.replace(asked, channel="")) == Events(5, 53)
    assert events(store, msgspec.structs.replace(asked, campaign="")) == Events(5, 513)
    assert events(store, msgspec.structs.replace(asked, below=2 * MINUTE)) == Events(3, 13)


def test_success_is_of_sends_that_were_to_go_out(store: Store) -> None:
    states = ("handed_off", "confirmed", "failed", "unknown", "expired", "suppressed", "claimed")
    for number, state in enumerate(states):
        write(store, ("sends", "greet", "push", "", state, "hello", "", 0, 10**number))
    write(store, ("sends", "greet", "push", "held", "expired", "hello", "", 0, 5))
    assert events(store, Indicator("success", "push", "greet")) == Events(11_100, 11_111)
    assert events(store, Indicator("success", "email", "greet")) == Events(0, 0)


def test_accounting_and_correctness(store: Store) -> None:
    for outcome, count in (("applied", 90), ("duplicate", 5), ("deleted", 6), ("dead_letter", 10), ("later", 7)):
        write(store, ("accounts", "", outcome, 0, count))
    for outcome, count in (("agree", 8), ("differ", 2), ("moving", 1), ("warming", 1), ("unreadable", 1)):
        write(store, ("audited", outcome, 0, count))
    assert events(store, Indicator("accounting")) == Events(10, 100)
    assert events(store, Indicator("correctness")) == Events(2, 10)


def test_services(store: Store) -> None:
    for status, count in (("200", 96), ("404", 1), ("429", 1), ("500", 1), ("503", 1)):
        write(store, ("collect_requests", status, 0, count))
        write(store, ("engage_requests", "/inbox", status, 0, count), ("engage_requests", "/ready", status, 0, 1000))
    write(store, ("collect_latency", "0.05", 0, 9), ("collect_latency", "0.1", 0, 1), ("collect_latency_sum", 0, 77))
    assert events(store, Indicator("availability", service="collect")) == Events(2, 100)
    assert events(store, Indicator("availability", service="engage")) == Events(2, 100)
    assert events(store, Indicator("latency", service="collect", below=50_000)) == Events(1, 10)


def test_windows_end_with_the_minute_of_now(store: Store) -> None:
    for ago in (0, 4 * MINUTE, 5 * MINUTE, 60 * MINUTE, -MINUTE):
        write(store, ("accounts", "", "applied", ago, 1))
    assert events(store, Indicator("accounting"), 5 * MINUTE).total == 2
    assert events(store, Indicator("accounting"), HOUR).total == 3
    assert events(store, Indicator("accounting"), 61 * MINUTE).total == 4


def test_a_minute_that_gave_back_more_than_it_had_is_not_negative(store: Store) -> None:
    write(store, ("sends", "greet", "push", "", "failed", "hello", "", 0, -3))
    write(store, ("sends", "greet", "push", "", "handed_off", "hello", "", 0, 3))
    assert events(store, Indicator("success")) == Events(0, 3)


FRESH = Indicator("freshness", below=MINUTE)


def looked(store: Store, minutes_ago: int, le: str = "1") -> None:
    write(store, ("behind", le, minutes_ago * MINUTE, 60))


def test_a_minute_without_a_measurement_is_bad_while_a_job_is_expected(store: Store) -> None:
    for ago in (10, 9, 8, 5, 4):
        looked(store, ago)
    looked(store, 8, "120")  # one look of that minute
    # Of ten minutes that are over, 7, 6, 3, 2 and 1 minutes ago nobody looked, and 8 minutes ago it was too far behind.
    assert events(store, FRESH, expected=True) == Events(6, 10)
    assert events(store, FRESH, expected=False) == Events(3, 7)


def test_a_segment_is_not_fresh_while_it_warms(store: Store) -> None:
    for ago in range(1, 8):
        looked(store, ago)
    write(store, ("warming", "vip", 6 * MINUTE, 1), ("warming", "vip", 4 * MINUTE, 30), ("warming", "vips", MINUTE, 1))
    write(store, ("warming", "vip", 40 * MINUTE, 1))  # before anything was measured
    assert events(store, FRESH) == Events(0, 7)
    assert events(store, msgspec.structs.replace(FRESH, segment="vip")) == Events(2, 7)
    looked(store, 3, "120")
    assert events(store, msgspec.structs.replace(FRESH, segment="vip")) == Events(3, 7)
    assert events(store, msgspec.structs.replace(FRESH, segment="gold")) == Events(1, 7)


def test_a_minute_that_is_not_over_is_not_bad(store: Store) -> None:
    looked(store, 1)
    assert events(store, FRESH, expected=True) == Events(0, 1)
    looked(store, 0)
    assert events(store, FRESH, expected=True) == Events(0, 2)


def test_a_job_that_died_before_the_window_is_all_bad_and_one_that_never_ran_is_no_data(store: Store) -> None:
    assert events(store, FRESH, expected=True) == Events(0, 0)
    looked(store, 40 * 24 * 60)
    assert events(store, FRESH, DAY, expected=True) == Events(24 * 60 - 1, 24 * 60 - 1)
    assert events(store, FRESH, DAY, expected=False) == Events(0, 0)


@pytest.mark.parametrize(
    ("job", "until", "total"), [(LIVE_JOB, NOW - DAY, 10), (LIVE_JOB, 0, 1), ("a run over files", NOW + DAY, 1)]
)
def test_a_lease_says_whether_a_job_is_expected(store: Store, job: str, until: int, total: int) -> None:
    looked(store, 10)
    lease = LeaseRow(job, "host", 1, "", "token", NOW - DAY, until)
    assert store.swap_lease(None, lease)
    assert minutes_of(store, level(FRESH), NOW).trailing(NOW, DAY).total == total
    assert minutes_of(store, level(FRESH), NOW, running=True).trailing(NOW, DAY).total == 10


def test_the_state_and_since_when(store: Store) -> None:
    write(store, ("accounts", "", "applied", 3 * DAY, 9_900), ("accounts", "", "dead_letter", 3 * DAY, 40))
    asked = level(Indicator("accounting"))
    status = status_of(asked, minutes_of(store, asked, NOW), NOW)
    assert (status.state, status.since) == ("healthy", None)
    write(store, ("accounts", "", "dead_letter", HOUR, 20))
    status = status_of(asked, minutes_of(store, asked, NOW), NOW)
    assert (status.state, status.since) == ("act", (NOW - HOUR) // MINUTE * MINUTE)
    assert status.remaining == 1 - Fraction(60, 9_960) / Fraction(1, 100)
    write(store, ("accounts", "", "dead_letter", 5 * MINUTE, 2_000))
    status = status_of(asked, minutes_of(store, asked, NOW), NOW)
    assert (status.state, status.since) == ("exhausted", (NOW - 5 * MINUTE) // MINUTE * MINUTE)


def test_nothing_is_no_data(store: Store) -> None:
    asked = level(Indicator("accounting"))
    status = status_of(asked, minutes_of(store, asked, NOW), NOW)
    assert (status.state, status.remaining, status.burn) == ("no data", 1, None)
    assert not any(alert.fires for alert in status.alerts)


def test_a_page_fires_and_ends_with_its_short_window(store: Store) -> None:
    asked = level(Indicator("accounting"), "99.9", window="30d")
    write(store, ("accounts", "", "applied", 20 * MINUTE, 900), ("accounts", "", "dead_letter", 2 * MINUTE, 100))

    def firing(now: int) -> list[tuple[str, int]]:
        status = status_of(asked, minutes_of(store, asked, now), now)
        return [(each.alert.kind, each.alert.long // HOUR) for each in status.alerts if each.fires]

    assert firing(NOW) == [("page", 1), ("page", 6), ("ticket", 24), ("ticket", 72)]
    assert firing(NOW + 4 * MINUTE) == [("page", 6), ("ticket", 24), ("ticket", 72)]
    assert firing(NOW + 3 * HOUR) == [("ticket", 72)]


def test_the_worst_hours(store: Store) -> None:
    for ago, count in ((3 * DAY, 5), (2 * DAY, 9), (2 * DAY + 5 * MINUTE, 1), (DAY, 7), (HOUR, 1)):
        write(store, ("accounts", "", "dead_letter", ago, count))
    asked = level(Indicator("accounting"))
    worst = worst_hours(minutes_of(store, asked, NOW), NOW - 7 * DAY, NOW, most=2)
    assert [each.bad for _, each in worst] == [9, 7]


@pytest.mark.parametrize(
    ("good", "bad", "fields", "kinds"),
    [
        (0, 0, {}, ["no_data"]),
        (9_000, 1_000, {}, ["missed"]),
        (100_000, 1, {}, ["too_easy"]),
        (50, 0, {"at_least": 1}, ["too_few"]),
        (9_950, 50, {}, []),
        (9_950, 50, {"at_least": 20_000}, ["never_alerts"] * 4),
        (9_950, 50, {"window": "7d"}, []),
        (9_950, 50, {"objective": Fraction(1, 100), "window": "7d"}, ["too_easy", "never_alerts"]),
    ],
)
def test_whether_an_objective_is_sane(
    store: Store, good: int, bad: int, fields: dict[str, object], kinds: list[str]
) -> None:
    for days in (0, 29):  # known for longer than a window
        write(store, ("accounts", "", "applied", days * DAY, good), ("accounts", "", "dead_letter", days * DAY, bad))
    asked = level(Indicator("accounting"), **fields)
    found = findings_of(asked, minutes_of(store, asked, NOW), NOW)
    assert sorted(each.kind for each in found if each.fault) == sorted(kinds)


@pytest.mark.parametrize(("objective", "warned"), [("199/200", []), ("99999/100000", [1, 6, 24, 72])])
def test_one_bad_minute_is_a_worry_only_where_a_window_has_too_few_minutes(
    store: Store, objective: str, warned: list[int]
) -> None:
    asked = level(Indicator("freshness", below=60_000_000), objective=Fraction(objective), at_least=1)
    found = [each.says for each in findings_of(asked, minutes_of(store, asked, NOW), NOW) if each.kind == "thin"]
    assert [hours for hours in (1, 6, 24, 72) if any(f" of {hours} h " in says for says in found)] == warned


@pytest.mark.parametrize(
    ("indicator", "said"),
    [
        (Indicator("latency", start="arrival", below=MINUTE), True),
        (Indicator("latency", campaign="c", start="arrival", below=MINUTE), False),
        (Indicator("latency", service="collect", below=MINUTE), False),
        (Indicator("success"), False),
    ],
)
def test_a_level_that_would_spend_its_budget_on_its_own_hold_is_noted(
    store: Store, indicator: Indicator, said: bool
) -> None:
    asked = level(indicator, hold_below=30)
    found = findings_of(asked, minutes_of(store, asked, NOW), NOW)
    assert [each.fault for each in found if each.kind == "counts_held"] == [False] * said
