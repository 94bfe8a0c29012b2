"""From the bytes of a body to what it says, or to the problem that it is."""

from typing import TypeVar

import msgspec

from services.problems import HttpProblem

__all__ = ["read_json"]

_T = TypeVar("_T")


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
