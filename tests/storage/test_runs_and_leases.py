"""What every store promises of runs and leases."""

from samples import NOW, lease

from transforms.storage.rows import RunRow
from transforms.storage.store import Store


def test_the_last_run_stands(store: Store) -> None:
    assert store.read_run() is None
    store.write_run(RunRow(NOW, "abc", (-(2**63), 2**63 - 1), ("lapsing", "vip"), finished=False))
    store.write_run(RunRow(NOW - 1, "abd", (-(2**63), 5), ("vip",)))
    assert store.read_run() == RunRow(NOW - 1, "abd", (-(2**63), 5), ("vip",), finished=True)


def test_a_lease_is_written_only_over_what_was_read(store: Store) -> None:
    assert store.read_lease() is None
    assert not store.swap_lease(lease("a"), lease("b"))
    assert store.swap_lease(None, lease("a"))
    assert not store.swap_lease(None, lease("b"))
    assert not store.swap_lease(lease("a", NOW + 1), lease("b"))
    assert store.read_lease() == lease("a")
    assert store.swap_lease(lease("a"), lease("b", NOW + 9))
    assert store.read_lease() == lease("b", NOW + 9)
    assert store.read_run() is None
