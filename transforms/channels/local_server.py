"""A local HTTP server in a thread of its own, for providers that the demo and the tests play."""

import asyncio
import threading

from aiohttp import web

__all__ = ["LocalServer"]


class LocalServer:
    """Serves on 127.0.0.1. A provider adds its routes.

    Attributes:
      url: `http://HOST:PORT`.
    """

    def __init__(self) -> None:
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="local-server", daemon=True)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Say what is answered where."""
        raise NotImplementedError

    def begin(self, port: int = 0) -> None:
        """Start serving; port 0 takes a free one (see `url`)."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(port), self._loop).result(timeout=10)

    def go_down(self) -> None:
        """Refuse connections until `come_back`; open requests are dropped."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(timeout=10)

    def come_back(self) -> None:
        """Serve again, on the same port."""
        port = int(self.url.rpartition(":")[2])
        asyncio.run_coroutine_threadsafe(self._open(port), self._loop).result(timeout=10)

    def stop(self) -> None:
        """Stop serving; open requests are dropped."""
        self.go_down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def _open(self, port: int) -> None:
        app = web.Application()
        self.add_routes(app.router)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
