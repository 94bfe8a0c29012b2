"""From a request to its body, of at most so many bytes."""

from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from services.problems import HttpProblem

__all__ = ["read_body", "read_json"]

_T = TypeVar("_T")


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


def read_json(body: bytes, kind: type[_T]) -> _T:
    """What a body in JSON says.

    Raises:
      HttpProblem: 400, it is no JSON, or says something else.
    """
    try:
        body.decode()  # msgspec does not check what it skips
        return msgspec.json.decode(body, type=kind)
    except UnicodeDecodeError:
        raise HttpProblem(400, "not_utf8", "the body is not UTF-8") from None
    except msgspec.ValidationError as error:
        raise HttpProblem(400, "invalid", str(error)) from None
    except msgspec.DecodeError as error:
        raise HttpProblem(400, "not_json", f"the body is not JSON: {error}") from None
    except RecursionError:
        raise HttpProblem(400, "too_deep", "the body is nested too deep") from None
