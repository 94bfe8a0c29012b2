"""What a service answers when it refuses: a problem (RFC 9457) that SDKs understand too."""

from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

__all__ = ["PROBLEM_HANDLERS", "RETRY_AFTER", "HttpProblem", "away", "problem_response"]

#: When to come again, in whole seconds.
RETRY_AFTER = 1

_encode = msgspec.json.Encoder().encode


class HttpProblem(Exception):
    """A request that is refused whole.

    `code` is one word for programs, `message` a sentence for people. `retry_after` is in whole seconds. `challenge` is
    the scheme of authorization that a 401 asks for.
    """

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: int | None = None, challenge: str | None = None
    ) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.challenge = challenge


def away(reason: str) -> HttpProblem:
    """503: the same may be sent again."""
    return HttpProblem(503, "unavailable", reason, retry_after=RETRY_AFTER)


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
    if problem.challenge is not None:
        headers["WWW-Authenticate"] = problem.challenge
    return Response(_encode(said), problem.status, headers, "application/problem+json")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HttpProblem)
    return problem_response(error)


async def _not_routed(_: Request, error: Exception) -> Response:
    """What the routes refuse: no such path (404) or method (405)."""
    assert isinstance(error, HTTPException)
    answer = problem_response(HttpProblem(error.status_code, "http", error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def _failed(_: Request, __: Exception) -> Response:
    """What nobody foresaw; the server logs it."""
    return problem_response(HttpProblem(500, "internal", "the service failed; send the same again"))


#: What an application of Starlette answers to what its endpoints raise.
PROBLEM_HANDLERS = {HttpProblem: _refused, HTTPException: _not_routed, 500: _failed}
