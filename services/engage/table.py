"""The control table of a store as a sink: the way to the users of a job on one machine."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from services.problems import away
from services.sink import KeyedPayload
from transforms.storage.control import Control
from transforms.storage.store import StoreError

__all__ = ["TableSink"]

#: What may wait to be written, in messages.
WAITING = 10_000


class TableSink:
    """Publishes to the control table; see `services.sink.Sink`. One thread writes, all that waits at once.

    Args:
      store: whose table it is; it stays open.
      clock: microseconds since the epoch.
    """

    def __init__(self, store: Control, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[tuple[list[bytes], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._writer = ThreadPoolExecutor(1, "control")
        self._away = False

    async def publish(self, messages: Sequence[KeyedPayload]) -> None:
        """See `Sink`."""
        if sum(len(payloads) for payloads, _ in self._waiting) + len(messages) > WAITING:
            raise away("too much waits to be written")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(([message.payload for message in messages], done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await done

    async def check(self) -> None:
        """See `Sink`: a store that did not take the last messages is asked again."""
        if self._away:
            await self._written([])

    def close(self) -> None:
        """See `Sink`."""
        self._writer.shutdown()

    async def _write(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            try:
                await self._written([payload for payloads, _ in taken for payload in payloads])
            except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it is
                for _, done in taken:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in taken:
                    if not done.done():
                        done.set_result(None)

    async def _written(self, payloads: list[bytes]) -> None:
        write = self._store.publish_control
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, write, payloads, self._clock())
        except (StoreError, RuntimeError):  # the store refuses, or the sink is closed
            self._away = True
            raise away("the store does not take more now") from None
        self._away = False
