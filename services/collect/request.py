"""From an HTTP request to its body and its write key. What the Content-Type says is not looked at: SDKs lie there."""

import asyncio
import zlib
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request

from services.collect.limits import HeldBytes
from services.problems import HttpProblem
from transforms.events.decode import BOM

__all__ = [
    "BATCHES",
    "BATCH_BYTES",
    "BATCH_CALLS",
    "BEACON",
    "CALL_BYTES",
    "KINDS",
    "PIXELS",
    "PIXEL_KINDS",
    "Body",
    "basic_key",
    "read_body",
    "read_pixel",
    "unzipped",
]

#: Segment's limits, of a call and of a batch (segment.com/docs/connections/sources/catalog/libraries/server/http-api).
CALL_BYTES, BATCH_BYTES = 32 * 1024, 500 * 1024
#: Calls of a batch: four times Segment's limit, and what a batch of good calls has room for.
BATCH_CALLS = 10_000
#: gzip can make a body a little longer.
_ZIPPED_MORE = 1024
#: Members of a gzip, each of which is a whole one: some programs write two.
_MEMBERS = 16
#: How much of a body that is too large is passed over before it is answered, in bytes.
_PASSED_OVER = 8 * 1024 * 1024
#: The kinds of calls by the last part of their path.
KINDS = {
    "track": "track",
    "identify": "identify",
    "page": "page",
    "screen": "screen",
    "group": "group",
    "alias": "alias",
    "t": "track",
    "i": "identify",
    "p": "page",
    "s": "screen",
    "g": "group",
    "a": "alias",
}
#: Paths of images, and the kinds of calls that they may be.
PIXELS, PIXEL_KINDS = ("/pixel/v1", "/v1/pixel"), ("track", "page", "screen", "identify")
#: Paths of batches, and of a browser's beacon: a batch with the key in the query.
BATCHES, BEACON = ("/v1/batch", "/v1/b", "/v1/import"), "/beacon/v1/batch"
_GZIP = b"\x1f\x8b"
_AS_IS = ("", "identity", "gzip", "x-gzip")


class Body(msgspec.Struct, rename="camel"):
    """What stands around the calls of a batch; of a call by itself only the key is of interest here."""

    batch: list[msgspec.Raw] | None = None
    write_key: Any = None
    sent_at: Any = None
    context: Any = None
    integrations: Any = None


async def read_body(request: Request, most: int, held: HeldBytes, seconds: float) -> bytes:
    """The body, unzipped, of at most so many bytes; neither the network nor a zip bomb takes more memory.

    Args:
      request: whose it is.
      most: bytes of a body, after unzipping.
      held: what the request holds in memory.
      seconds: how long it may take to come.

    Raises:
      HttpProblem: it is larger (413), of another encoding (415), cut off (400), or too slow (408); or all bodies
        together are too large (503).
    """
    if request.headers.get("content-encoding", "").strip().lower() not in _AS_IS:
        raise HttpProblem(415, "encoding", "a body is plain or in gzip")
    try:
        async with asyncio.timeout(seconds):
            body = await _received(request, most, held)
    except TimeoutError:
        raise HttpProblem(408, "too_slow", f"a body comes within {seconds:g} seconds") from None
    except ClientDisconnect:
        raise HttpProblem(400, "cut_off", "the body ended before its end") from None
    if body.startswith(_GZIP):  # JSON never begins so, and some SDKs do not say that they zip
        body = unzipped(body, most)
        held.take(len(body))
    if len(body) > most:
        raise _too_large(most)
    return body.removeprefix(BOM)


async def _received(request: Request, most: int, held: HeldBytes) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most + _ZIPPED_MORE:
            await _passed_over(request)
            raise _too_large(most)
        held.take(len(part))
        parts.append(part)
    return b"".join(parts)


async def _passed_over(request: Request) -> None:
    """Read on for a while: many clients look for an answer only when all is sent."""
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > _PASSED_OVER:
            return


def unzipped(body: bytes, most: int) -> bytes:
    """What is in gzip, of at most so many bytes: unzipping ends where there is more.

    Raises:
      HttpProblem: there is more (413), it is no whole gzip, or has too many members (400).
    """
    found, members = b"", 0
    try:
        while body:
            members += 1
            if members > _MEMBERS:  # each is looked at with all that follows
                raise HttpProblem(400, "members", f"a gzip has at most {_MEMBERS} members")
            member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            found += member.decompress(body, most + 1 - len(found))
            if len(found) > most:
                raise _too_large(most)
            if not member.eof:
                raise HttpProblem(400, "cut_off", "the gzip ends before its end")
            body = member.unused_data
    except zlib.error:
        raise HttpProblem(400, "not_gzip", "the body begins as gzip and is none") from None
    return found


def basic_key(header: str | None) -> str:
    """The user name of Basic authorization; empty if there is none."""
    scheme, _, said = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(said.strip(), validate=True).decode().partition(":")[0]
    except (NoBase64, ValueError):
        return ""


def read_pixel(query: Mapping[str, str], kind: str) -> bytes:
    """The call of a pixel: in `data` (JSON in base64), or with one parameter a field, such as `properties.plan`.

    Raises:
      HttpProblem: the data is no base64 (400), or too large (413).
    """
    if data := query.get("data"):
        try:
            data = data.replace(" ", "+")  # which a query that is not escaped makes of it
            body = b64decode(data.replace("-", "+").replace("_", "/") + "=" * (-len(data) % 4), validate=True)
        except (NoBase64, ValueError):
            raise HttpProblem(400, "not_base64", "`data` is not base64") from None
    else:
        body = msgspec.json.encode(_fields_of(query) | {"type": kind})
    if len(body) > CALL_BYTES:
        raise _too_large(CALL_BYTES)
    return body


def _fields_of(query: Mapping[str, str]) -> dict[str, Any]:
    """Parameters as a call: a dot leads into an object."""
    call: dict[str, Any] = {}
    for name, value in query.items():
        place: Any = call
        *outer, last = name.split(".", 8)
        for part in outer:
            place = place.setdefault(part, {}) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[last] = value
    return call


def _too_large(most: int) -> HttpProblem:
    return HttpProblem(413, "too_large", f"at most {most:,} bytes are taken, after unzipping")
