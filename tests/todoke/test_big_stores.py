"""Commands that read a whole table have a page of it in memory, whatever its size."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from todoke.flow import flow
from todoke.members import members
from transforms.storage.open import open_store
from transforms.storage.rows import MemberRow, MetricRow, UserRow

MANY = 40_000
#: Of a page of rows and what is made of them; all rows would be several times that.
MOST = 3_000_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:{tmp_path_factory.mktemp('big') / 'store.db'}"
    opened = open_store(url)
    profile = b'{"segments":{"vip":"2026-03-01T00:00:00Z"}}'
    names = [f"user-{number:06}" for number in range(MANY)]
    opened.write_users([UserRow(name, 1, b"", profile) for name in names])
    opened.write_members([MemberRow("vip", name, 0, 1) for name in reversed(names)])
    opened.write_metrics([MetricRow(f"entered/vip/{cause}", 0, 1) for cause in range(MANY)])
    opened.close()
    return url


@contextmanager
def at_most(size: int) -> Iterator[None]:
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < size


def test_members_are_printed_as_they_are_read(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    monkeypatch.setattr("builtins.print", lambda line: printed.append(line) if len(printed) < 3 else None)
    with at_most(MOST):
        members("vip", store, anonymous=False, zone="UTC", json=False)
    assert printed == ["user-000000", "user-000001", "user-000002"]


@pytest.mark.all_in_ci
def test_a_flow_is_summed_as_it_is_read(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    with at_most(MOST):
        flow("vip", store, zone="UTC", json=False)
    assert capsys.readouterr().out == f"1970-01-01T00:00:00Z\t{MANY}\t0\t{MANY}\n"
