"""What is answered to calls, with what browsers need to read it."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from services.problems import HttpProblem, problem_response

__all__ = ["GIF", "BadCall", "pixel", "preflight", "taken", "with_origin"]

#: A transparent image of one point.
GIF = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
#: For how long a browser may remember a preflight, in seconds: Chromium's most.
MAX_AGE = 7_200
#: What a preflight may ask for: names of headers.
_HEADERS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{0,1000}")

_encode = msgspec.json.Encoder().encode


class BadCall(msgspec.Struct, frozen=True):
    """A call that was refused: its place in the batch, the cause in a word (`decode.Cause`), and what was found."""

    index: int
    cause: str
    detail: str


def taken(refused: Sequence[BadCall]) -> Response:
    """200: all that is not listed is durable."""
    answer: dict[str, Any] = {"success": True}
    if refused:
        answer["refused"] = refused
    return Response(_encode(answer), media_type="application/json")


def pixel() -> Response:
    """200 with an image."""
    return Response(GIF, media_type="image/gif", headers={"Cache-Control": "no-store"})


def preflight(allowed: bool, asked: str | None) -> Response:
    """What a browser asks before it sends: all headers that it names may come, since SDKs add some over time."""
    if not allowed:
        return problem_response(HttpProblem(403, "origin", "no source takes calls from this origin"))
    headers = {"Access-Control-Allow-Methods": "GET, POST, OPTIONS", "Access-Control-Max-Age": str(MAX_AGE)}
    if asked and _HEADERS.fullmatch(asked):
        headers["Access-Control-Allow-Headers"] = asked
    headers["Vary"] = "Access-Control-Request-Headers"
    return Response(status_code=204, headers=headers)


def with_origin(response: Response, origin: str | None, *, allowed: bool) -> Response:
    """Let a page of an allowed origin read the answer, without credentials."""
    response.headers.add_vary_header("Origin")
    if origin is not None and allowed:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "Retry-After"
    return response
