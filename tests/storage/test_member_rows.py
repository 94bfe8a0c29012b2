"""What every store promises of members."""

from samples import member

from transforms.storage.store import Store

MANY = 10_000


def test_ten_thousand_members_and_tombstones(store: Store) -> None:
    store.write_members([member("vip", f"u{number}") for number in range(MANY)])
    store.write_members([member("vip", f"u{number}", 2, active=False) for number in range(0, MANY, 2)])
    store.write_members([member("vip_old", "u0"), member("vi", "u0")])
    assert {row.user for row in store.scan_members("vip")} == {f"u{number}" for number in range(1, MANY, 2)}
    assert [row.user for row in store.scan_members("vip_old")] == ["u0"]
    assert list(store.scan_members("v")) == []


def test_who_left_may_come_back(store: Store) -> None:
    store.write_members([member("vip", "u1", 1)])
    store.write_members([member("vip", "u1", 2, active=False)])
    assert list(store.scan_members("vip")) == []
    store.write_members([member("vip", "u1", 3)])
    assert list(store.scan_members("vip")) == [member("vip", "u1", 3)]
