"""The control table as a sink: whoever publishes is answered, whatever becomes of it."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from services.engage.table import TableSink
from services.sink import KeyedPayload
from transforms.storage.sqlite.store import SqliteStore


class Faulty(SqliteStore):
    """A store with a fault that nobody foresaw."""

    faults = 1

    def publish_control(self, payloads: Sequence[bytes], at: int) -> None:
        if self.faults:
            self.faults -= 1
            raise OverflowError
        super().publish_control(payloads, at)


def test_whoever_publishes_is_told_of_a_fault_that_nobody_foresaw(tmp_path: Path) -> None:
    async def published() -> None:
        with closing(Faulty(tmp_path / "store.db")) as store, closing(TableSink(store, lambda: 1)) as sink:
            with pytest.raises(OverflowError):
                await asyncio.wait_for(sink.publish([KeyedPayload(b"a", "ann")]), 20)
            await asyncio.wait_for(sink.publish([KeyedPayload(b"b", "ann")]), 20)
            assert [row.payload for row in store.read_control(9)] == [b"b"]

    asyncio.run(published())
