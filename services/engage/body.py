"""From a request to its body, of at most so many bytes."""

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.collect.limits import HeldBytes, Limits, Room
from services.problems import HttpProblem

__all__ = ["BoundedBodies", "read_body"]


class BoundedBodies:
    """An application whose requests' bodies come in time, and together take no more memory than there is for them.

    What it refuses is raised where the application reads the body: HttpProblem, 408 or 503.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._room = Room(limits.held_bytes)
        self._seconds = limits.body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI has it."""
        until = asyncio.get_running_loop().time() + self._seconds
        is_whole = False

        async def received() -> Message:
            nonlocal is_whole
            if is_whole:  # what comes now is the end of the connection
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise HttpProblem(408, "too_slow", f"a body comes within {self._seconds:g} seconds") from None
            is_whole = not message.get("more_body", False)
            held.take(len(message.get("body", b"")))
            return message

        with HeldBytes(self._room) as held:
            await self._app(scope, received, send)


async def read_body(request: Request, most: int) -> bytes:
    """The body as it came; what is signed is signed so.

    Raises:
      HttpProblem: it is larger (413), or was cut off (400).
    """
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise HttpProblem(413, "too_large", f"at most {most:,} bytes are taken")
            parts.append(part)
    except ClientDisconnect:
        raise HttpProblem(400, "cut_off", "the body ended before its end") from None
    return b"".join(parts)
