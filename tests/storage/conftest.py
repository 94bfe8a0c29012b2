"""One suite for both stores: a test that asks for `url` or `store` runs once with each."""

from collections.abc import Iterator

import pytest

from transforms.storage.open import open_store
from transforms.storage.store import Store


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An empty store."""
    store = open_store(url)
    yield store
    store.close()
