"""A store and a reader of it, of each kind."""

from collections.abc import Iterator

import pytest

from transforms.storage.open import open_reader, open_store
from transforms.storage.reader import Reader
from transforms.storage.store import Store


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An empty store."""
    store = open_store(url)
    yield store
    store.close()


@pytest.fixture
def reader(store: Store, url: str) -> Iterator[Reader]:
    """The same store, for reading alone."""
    reader = open_reader(url)
    yield reader
    reader.close()
