"""Stores by their URL."""

from json import dumps
from pathlib import Path
from typing import Any

import pytest
from samples import user

from transforms.storage.bigtable.store import BigtableStore
from transforms.storage.open import open_store, parse_store
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import StoreError


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("sqlite:store.db", ("sqlite", "store.db")),
        ("sqlite:/var/lib/todoke/a b.db", ("sqlite", "/var/lib/todoke/a b.db")),
        ("sqlite:C:/store.db", ("sqlite", "C:/store.db")),
        ("bigtable:proj-x/inst", ("bigtable", "proj-x/inst")),
        ("bigtable:example.com:proj-x/inst", ("bigtable", "example.com:proj-x/inst")),
    ],
)
def test_a_url_names_a_kind_and_a_place(url: str, parsed: tuple[str, str]) -> None:
    assert parse_store(url) == parsed


@pytest.mark.parametrize(
    "url",
    [
        *("", "store.db", "sqlite", "sqlite:", ":x", "mysql:x", "SQLITE:x"),
        *("bigtable:", "bigtable:p", "bigtable:p/", "bigtable:/i", "bigtable:p/i/t"),
    ],
)
def test_anything_else_is_refused_by_name(url: str) -> None:
    for read in (parse_store, open_store):
        with pytest.raises(ValueError, match="expected sqlite:PATH or bigtable:PROJECT/INSTANCE") as refused:
            read(url)
        assert dumps(url) in str(refused.value)


def test_a_sqlite_file_is_made_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "store.db"
    store = open_store(f"sqlite:{path}")
    assert isinstance(store, SqliteStore)
    store.close()
    assert path.exists()


def test_a_missing_sqlite_file_is_not_made_unless_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a" / "store.db"
    with pytest.raises(StoreError, match=r"there is no file .*store\.db"):
        open_store(f"sqlite:{path}", create=False)
    assert not path.parent.exists()


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and longer than the header of one" * 10)
    with pytest.raises(StoreError, match=r"notes\.txt"):
        open_store(f"sqlite:{path}")
    with pytest.raises(StoreError, match="folder"):
        open_store(f"sqlite:{path}/store.db")
    with pytest.raises(StoreError, match="unable to open"):
        open_store(f"sqlite:{tmp_path}")


def test_a_bigtable_instance_gets_its_tables(bigtable: Any) -> None:
    with pytest.raises(StoreError, match="lacks the tables"):
        open_store(bigtable.url, create=False)
    store = open_store(bigtable.url)
    assert isinstance(store, BigtableStore)
    store.write_users([user("u1")])
    store.close()
    again = open_store(bigtable.url, create=False)
    assert again.has_users()
    again.close()


def test_without_credentials_the_way_to_get_them_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BIGTABLE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(StoreError, match="gcloud auth application-default login"):
        open_store("bigtable:proj-x/inst")
