"""Weighing values in Beam's cache of state: sizes are right, it still evicts, and only checked versions change."""

import logging
import sys

import apache_beam as beam
import pytest
from apache_beam.runners.worker import statecache
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.storage.state_cache.transforms import CHECKED, _stock, deep_size, weigh_quickly

STOCK = _stock


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Beam comes, and so again after the test."""
    monkeypatch.setattr(statecache, "get_deep_size", STOCK)


def blob(size: int) -> bytes:
    """Bytes that nothing else in the process refers to."""
    return bytes(bytearray(b"x" * size))


@settings(deadline=None)
@given(st.lists(st.integers(2, 5_000), max_size=5))
def test_sizes_of_bytes_are_beams_own(sizes: list[int]) -> None:
    for value in (blob(100), [blob(size) for size in sizes], [[blob(size)] for size in sizes]):
        assert deep_size(value) == STOCK(value)


def test_what_is_in_a_list_twice_counts_once() -> None:
    one = blob(1_000)
    assert deep_size([one, one]) == STOCK([one, one]) < 2_000


def test_numbers_are_counted() -> None:
    assert deep_size([10**12]) == sys.getsizeof([10**12]) + sys.getsizeof(10**12)


@pytest.mark.parametrize(
    "value", ["text", {"a": b"b"}, [b"a", "b"], (b"a",), None, [True, b"a"], statecache.CacheAware]
)
def test_all_else_is_weighed_by_beam(value: object) -> None:
    assert deep_size(value) == STOCK(value)


@pytest.mark.usefixtures("stock")
def test_the_installed_beam_was_checked() -> None:
    assert beam.__version__ in CHECKED
    assert weigh_quickly()
    assert statecache.get_deep_size is deep_size


@pytest.mark.usefixtures("stock")
def test_another_beam_is_left_alone_and_the_log_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert not weigh_quickly("9.9.9")
        assert not weigh_quickly("9.9.9")
    assert statecache.get_deep_size is STOCK
    assert [record.getMessage() for record in caplog.records] == [
        "Beam 9.9.9 was not checked: its cache of state weighs values slowly"
    ]


@pytest.mark.usefixtures("stock")
def test_the_cache_evicts_who_was_not_used_for_longest() -> None:
    assert weigh_quickly()
    cache = statecache.StateCache(100_000)
    for number in range(200):
        cache.get(number, lambda _: [blob(1_000)])
        cache.put(number, [blob(1_000)])
        cache.peek(0)
    assert 90 <= cache.size() <= 100_000 // 1_000
    assert cache.peek(0) is not None
    assert cache.peek(1) is None
    assert cache.peek(199) is not None
    cache.invalidate_all()
    cache.put("large", [blob(200_000)])
    assert cache.size() == 0
