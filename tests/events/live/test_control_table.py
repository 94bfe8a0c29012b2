"""The control table as a live source: oldest first, each row handed on once, gone when it is accounted for."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.events.live.control import COMMIT, WHOLE, ControlTable
from transforms.events.live.feed import SharedFeed
from transforms.events.live.inflight import InFlight
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import StoreError

NOW = 1_770_000_000_000_000


class Table:
    """A store with a feed over it, on a clock that is set by hand."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.store = SqliteStore(path)
        self.registry = InFlight()
        self.time = NOW
        self.feed = ControlTable(self.store, self.registry, lambda: self.time)

    def publish(self, at: int, *payloads: bytes) -> None:
        self.store.publish_control(payloads, at)

    def take_all(self):
        return list(iter(self.feed.next, None))


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path / "store.db")


def test_rows_come_oldest_first_and_once_and_go_when_settled(table: Table) -> None:
    table.publish(NOW - 1, b"late \xff")
    table.publish(NOW - 2, *(str(number).encode() for number in range(2_500)))
    arrived = table.take_all()
    assert [row.payload for row in arrived] == [*(str(number).encode() for number in range(2_500)), b"late \xff"]
    assert {row.published for row in arrived[:-1]} == {NOW - 2}
    assert table.take_all() == []
    table.registry.settle([row.handle for row in arrived[:-1]])
    assert [row.payload for row in table.store.read_control(10)] == [b"late \xff"]


def test_what_was_not_settled_comes_again_to_the_next_process(table: Table) -> None:
    table.publish(NOW, b"a", b"b", b"c")
    _, second, _ = table.take_all()
    table.registry.settle([second.handle])
    table.feed.close()
    assert [row.payload for row in Table(table.path).take_all()] == [b"a", b"c"]


def test_no_more_than_a_number_of_rows_is_in_flight(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transforms.events.live.control.IN_FLIGHT_ROWS", 1_000)
    table.publish(NOW, *(b"x" for _ in range(1_500)))
    arrived = table.take_all()
    assert len(arrived) == 1_000
    before = table.feed.watermark()
    table.time += 60_000_000
    assert table.take_all() == []
    assert table.feed.watermark() == before  # 500 rows wait in the table
    table.registry.settle([row.handle for row in arrived])
    assert len(table.take_all()) == 500


def test_new_rows_come_at_once_and_stragglers_soon_while_others_are_in_flight(table: Table) -> None:
    table.publish(NOW, *(str(number).encode() for number in range(1_200)))
    assert len(table.take_all()) == 1_200
    for second in range(1, 4):
        table.time = NOW + second * 1_000_000
        table.publish(table.time - COMMIT, b"slow")
        table.publish(table.time, b"new")
        assert [row.payload for row in table.take_all()] == [b"slow", b"new"]
    table.publish(NOW - 3_600_000_000, b"behind")  # a publisher whose clock is an hour slow
    table.time += WHOLE
    assert [row.payload for row in table.take_all()] == [b"behind"]


def test_a_clock_that_is_set_back_hides_no_row(table: Table) -> None:
    table.publish(NOW, b"a")
    assert len(table.take_all()) == 1
    table.time -= 3_600_000_000
    table.publish(table.time, b"b")
    assert [row.payload for row in table.take_all()] == [b"b"]


def test_an_empty_table_lets_time_pass(table: Table) -> None:
    assert table.feed.next() is None
    assert table.feed.watermark() == NOW - COMMIT
    table.time += 5_000_000
    table.publish(NOW + 1, b"a", b"b")
    table.feed.next()
    assert table.feed.watermark() <= NOW + 1
    assert table.take_all() != []
    assert table.feed.watermark() == NOW + 5_000_000 - COMMIT


@given(
    st.lists(
        st.tuples(st.integers(0, 3_000_000), st.lists(st.integers(-5_000_000, 0), max_size=3), st.integers(0, 4)),
        max_size=12,
    )
)
def test_a_timestamp_is_never_behind_a_watermark_that_was_reported(steps) -> None:
    """Rows may be published late, with a time that has passed; fixed windows would drop what lies behind."""
    table = Table(":memory:")
    feed = SharedFeed(table.feed)
    reported = 0
    for passed, ages, taken in steps:
        table.time += passed
        for age in ages:
            table.publish(table.time + age, b"x")
        for _ in range(taken):
            if (found := feed.take()) is not None:
                arrived, timestamp = found
                assert timestamp >= max(arrived.published, reported)
            after = feed.watermark()
            assert after >= reported
            reported = after
    feed.close()


def test_a_store_that_fails_is_not_an_empty_one(table: Table) -> None:
    table.store.close()
    with pytest.raises(StoreError):
        table.feed.next()
