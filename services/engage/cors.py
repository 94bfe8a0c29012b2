"""What browsers ask before a page of another site may read an answer. No cookie is ever asked for."""

import functools
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from services.problems import HttpProblem, problem_response

__all__ = ["across_origins"]

#: For how long a browser may remember what it was told, in seconds: Chromium's most.
MAX_AGE = 7_200
#: What a page may send, and what it may read, beside what it always may.
_SENT, _READ = "Authorization, Content-Type, If-None-Match", "ETag, Retry-After"

Endpoint = Callable[[Request], Awaitable[Response]]


def across_origins(endpoint: Endpoint, allows: Callable[[str], bool], methods: str) -> Endpoint:
    """An endpoint that pages of allowed origins may ask; it answers preflights itself.

    Args:
      endpoint: answers, or raises HttpProblem.
      allows: whether pages of an origin may.
      methods: such as `GET`.
    """

    @functools.wraps(endpoint)
    async def answered(request: Request) -> Response:
        origin = request.headers.get("origin")
        allowed = origin is not None and allows(origin)
        try:
            if request.method != "OPTIONS":
                answer = await endpoint(request)
            elif allowed:
                answer = Response(status_code=204, headers=_preflight(methods))
            else:
                raise HttpProblem(403, "origin", "pages of this origin may not ask here")
        except HttpProblem as problem:  # whose code a page shall read, too
            answer = problem_response(problem)
        answer.headers.add_vary_header("Origin")
        if origin is not None and allowed:
            answer.headers["Access-Control-Allow-Origin"] = origin
            answer.headers["Access-Control-Expose-Headers"] = _READ
        return answer

    return answered


def _preflight(methods: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Methods": f"{methods}, OPTIONS",
        "Access-Control-Allow-Headers": _SENT,
        "Access-Control-Max-Age": str(MAX_AGE),
    }
