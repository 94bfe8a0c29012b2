"""What is put aside on disk: all of it comes back in order, however little is held, and nothing stays behind."""

import json
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.segments.columns.layout import needs_of
from transforms.storage.scratch.records import NoRoom, Scratch
from transforms.users.prepare.prepare import prepare

RECORDS = st.lists(
    st.tuples(st.sampled_from(["", "a", "ann", "~v", "\N{SNOWMAN}"]) | st.text(), st.binary(max_size=40))
)
HELD = st.sampled_from([1, 200, 1_000, 1 << 20])


@contextmanager
def no_larger_files(size: int) -> Iterator[None]:
    """What a full disk does to files beyond a size, as far as this process is concerned."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@given(RECORDS, RECORDS, HELD)
def test_records_come_back_sorted_and_once(
    first: list[tuple[str, bytes]], then: list[tuple[str, bytes]], held: int
) -> None:
    scratch = Scratch(held)
    for records in (first, then):
        for record in records:
            scratch.put(*record)
        assert list(scratch.take()) == sorted(records)
    assert list(scratch.take()) == []


@given(st.lists(st.binary(max_size=40)), HELD)
def test_what_is_appended_comes_back_in_its_order(data: list[bytes], held: int) -> None:
    scratch = Scratch(held)
    for each in data:
        scratch.append(each)
    assert [each for _, each in scratch.take()] == data


def test_a_record_larger_than_all_that_may_be_held_comes_back_whole() -> None:
    scratch, large = Scratch(1_000), bytes(range(256)) * 20_000
    for key in ("b", "a"):
        scratch.put(key, large)
    assert list(scratch.take()) == [("a", large), ("b", large)]


def test_the_file_has_no_name_that_could_stay_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scratch = Scratch(1)
    scratch.put("a", b"1")
    assert list(tmp_path.iterdir()) == []
    assert list(scratch.take()) == [("a", b"1")]


def test_a_full_disk_says_where_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scratch = Scratch(100_000)
    scratch.append(bytes(60_000))
    with no_larger_files(50_000), pytest.raises(NoRoom, match=rf"{tmp_path} \(.*\): make room there.*TMPDIR"):
        scratch.append(bytes(60_000))
    scratch.close()
    scratch.append(b"again")
    assert [data for _, data in scratch.take()] == [b"again"]


def test_a_full_disk_is_said_where_columns_are_put_aside_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    calls = (
        json.dumps({"type": "track", "event": "A", "userId": f"u{n}", "timestamp": "2026-03-01T00:00:00Z"}).encode()
        for n in range(2_000)
    )
    said = rf"{tmp_path} \(File too large.*\): make room there.*TMPDIR"
    with no_larger_files(4_000), pytest.raises(NoRoom, match=said):
        prepare(calls, needs_of([]), tmp_path / "prepared", parts=1)
