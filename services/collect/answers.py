"""What is answered: 200, or a problem (RFC 9457) that SDKs understand, with what browsers need to read it."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

__all__ = ["GIF", "BadCall", "HttpProblem", "pixel", "preflight", "problem_response", "taken", "with_origin"]

#: A transparent image of one point.
GIF = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
#: For how long a browser may remember a preflight, in seconds: Chromium's most.
MAX_AGE = 7_200
#: What a preflight may ask for: names of headers.
_HEADERS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{0,1000}")

_encode = msgspec.json.Encoder().encode


class HttpProblem(Exception):
    """A request that is refused whole.

    `code` is one word for programs, `message` a sentence for people. `retry_after` is in whole seconds.
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after


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


def problem_response(problem: HttpProblem) -> Response:
    """A problem as RFC 9457 has it, and with `code` and `message`: Python's SDKs raise KeyError without, and retry."""
    said = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.message,
        "code": problem.code,
        "message": problem.message,
    }
    headers = {"Cache-Control": "no-store"}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "WriteKey"  # for Basic, browsers would ask people for a password
    return Response(_encode(said), problem.status, headers, "application/problem+json")


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
