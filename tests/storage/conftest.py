"""One suite for both stores: a test that asks for `url` or `store` runs once with each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from transforms.storage.open import open_store
from transforms.storage.store import Store


@pytest.fixture(params=["sqlite", "bigtable"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("bigtable").url
    return url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An empty store."""
    store = open_store(url)
    yield store
    store.close()
