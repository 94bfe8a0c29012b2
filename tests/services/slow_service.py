"""A service that answers, and then holds its worker's only thread for as many seconds as the path says.

python slow_service.py WORKERS
"""

import logging
import sys
import time
from typing import Any

import services.server
from services.server import parse_listen, serve


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
    time.sleep(float(scope["path"][1:]))


def load() -> Any:
    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    services.server.END_SECONDS = 2
    serve(load, parse_listen("0"), workers=int(sys.argv[1]), up=lambda found: print(found.url, flush=True))  # noqa: T201
