"""From a request to the fields of its form, URL-encoded or multipart (RFC 7578); a few kilobytes at most."""

import email
import email.policy
from email.message import Message
from urllib.parse import parse_qs

from starlette.requests import Request

from services.engage.body import read_body
from services.problems import HttpProblem

__all__ = ["FORM_BYTES", "read_form"]

#: A form of this service is smaller, and so is what a mail provider sends.
FORM_BYTES = 64 * 1024
_FIELDS = 500


async def read_form(request: Request) -> dict[str, list[str]]:
    """The values of fields by their names, in order. A body of another kind has none.

    Raises:
      HttpProblem: it is larger (413), or was cut off (400).
    """
    body, kind = await read_body(request, FORM_BYTES), request.headers.get("content-type", "")
    if kind.lower().startswith("multipart/"):
        return _multipart(kind, body)
    try:
        return parse_qs(body.decode("latin-1"), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:
        raise HttpProblem(400, "invalid", f"a form has at most {_FIELDS} fields") from None


def _multipart(kind: str, body: bytes) -> dict[str, list[str]]:
    head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1", "replace")
    whole = email.message_from_bytes(head + body, policy=email.policy.compat32)
    found: dict[str, list[str]] = {}
    for part in whole.walk():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str) and not part.is_multipart():
            found.setdefault(name, []).append(_text(part))
    return found


def _text(part: Message) -> str:
    content = part.get_payload(decode=True)
    return content.decode("utf-8", "replace").strip("\r\n") if isinstance(content, bytes) else ""
