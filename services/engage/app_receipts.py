"""`POST /v1/receipts`: what an app says of pushes that it got, with its write key.

Write keys of apps are public. So an app must say what a push itself carried, which is sealed: who has it was given that
push, and can speak of no other.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.collect.keys import KeySource
from services.collect.request import basic_key
from services.engage.access import required
from services.engage.body import read_body
from services.engage.cors import across_origins
from services.engage.desk import Desk
from services.engage.openapi import problem
from services.json_body import read_json
from services.problems import HttpProblem
from transforms.channels.references import read_reference
from transforms.channels.tokens import BadToken
from transforms.events.times import read_time, write_time
from transforms.users.control import Receipt

__all__ = ["MOST", "RECEIPT_KINDS", "RECEIPT_PATHS", "RECEIPT_SCHEMAS", "AppReceipt", "receipt_routes"]

#: What an app can know of a push.
RECEIPT_KINDS = ("delivered", "opened", "clicked", "dismissed")
#: Receipts of a request.
MOST = 100
BODY_BYTES = 256 * 1024
#: Of what messages an app may speak so.
_CHANNELS = ("push",)


class AppReceipt(msgspec.Struct):
    """What became of a push: its `reference` as it stands among its data, and when (ISO 8601; without it, now)."""

    reference: str
    kind: str
    time: str | None = None


class _Body(msgspec.Struct, rename="camel"):
    receipts: list[msgspec.Raw]
    write_key: str = ""


class RefusedReceipt(msgspec.Struct, frozen=True):
    """A receipt that was refused: its place in the request, and why."""

    index: int
    detail: str


class AppReceiptsTaken(msgspec.Struct, frozen=True):
    """What is not listed is durable."""

    taken: int
    refused: list[RefusedReceipt] = []


def receipt_routes(desk: Desk) -> Sequence[Route]:
    """The routes over a desk."""
    keys = desk.access.write_keys

    async def receive(request: Request) -> Response:
        required(keys, "what apps say of pushes")
        assert keys is not None
        keys.refresh()
        body = read_json(await read_body(request, BODY_BYTES), _Body)
        source = keys.find(basic_key(request.headers.get("authorization")) or body.write_key)
        _check(source, request.headers.get("origin"))
        assert source is not None
        if len(body.receipts) > MOST:
            raise HttpProblem(413, "too_many", f"at most {MOST} receipts are taken at once")
        if wait := keys.wait(source, len(body.receipts), desk.proxy.address(request)):
            raise HttpProblem(429, "rate", "the source, or its address, sends too much", retry_after=wait)
        receipts: list[Receipt] = []
        refused: list[RefusedReceipt] = []
        for index, raw in enumerate(body.receipts):
            try:
                receipts.append(_read(raw, desk))
            except (ValueError, RecursionError) as error:
                refused.append(RefusedReceipt(index, _said(error)))
        if receipts:
            await desk.receive(receipts)
        answer = AppReceiptsTaken(len(receipts), refused)
        return Response(msgspec.json.encode(answer), media_type="application/json")

    def allows(origin: str) -> bool:
        return keys is not None and keys.allows(origin)

    return [Route("/v1/receipts", across_origins(receive, allows, "POST"), methods=["POST", "OPTIONS"])]


def _check(source: KeySource | None, origin: str | None) -> None:
    if source is None:
        raise HttpProblem(401, "write_key", "the write key is missing, or is none", challenge="WriteKey")
    if origin is not None and not source.allows(origin):
        raise HttpProblem(403, "origin", "the key's source takes nothing from this origin")


def _read(raw: msgspec.Raw, desk: Desk) -> Receipt:
    said = msgspec.json.decode(raw, type=AppReceipt)
    if said.kind not in RECEIPT_KINDS:
        raise msgspec.ValidationError(f"`kind` is none of {', '.join(RECEIPT_KINDS)}")
    to, now = read_reference(said.reference, desk.keys), desk.clock()
    if to.channel not in _CHANNELS:
        raise msgspec.ValidationError(f"an app speaks of messages of {', '.join(_CHANNELS)}")
    try:
        time = now if said.time is None else min(read_time(said.time), now)
    except ValueError:
        raise msgspec.ValidationError("`time` is no time of ISO 8601 with a zone") from None
    return Receipt(
        user_id=to.user,
        kind=said.kind,
        channel=to.channel,
        time=write_time(time),
        send=to.send,
        campaign=to.campaign,
        step=to.step,
        message=to.message,
        variant=to.variant,
        topic=to.topic,
    )


def _said(error: Exception) -> str:
    if isinstance(error, BadToken):
        return "`reference` is none that was made here"
    return str(error) if isinstance(error, msgspec.ValidationError) else "it cannot be read"


def _schemas() -> dict[str, Any]:
    _, found = msgspec.json.schema_components(
        [AppReceipt, AppReceiptsTaken], ref_template="#/components/schemas/{name}"
    )
    found["AppReceipt"]["properties"]["kind"] = {"enum": list(RECEIPT_KINDS)}
    several = {"type": "array", "items": {"$ref": "#/components/schemas/AppReceipt"}, "maxItems": MOST}
    found["AppReceipts"] = {
        "type": "object",
        "properties": {"receipts": several, "writeKey": {"type": "string"}},
        "required": ["receipts"],
    }
    return found


RECEIPT_SCHEMAS = _schemas()
RECEIPT_PATHS: dict[str, Any] = {
    "/v1/receipts": {
        "post": {
            "summary": "What became of pushes, as an app says",
            "security": [{"writeKey": []}, {}],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AppReceipts"}}},
            },
            "responses": {
                "200": {
                    "description": "All that is not listed as refused is durable.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AppReceiptsTaken"}}},
                },
                "400": problem("The body cannot be read."),
                "401": problem("The write key is missing, or is none."),
                "403": problem("The key's source takes nothing from the browser's origin."),
                "404": problem("No write keys are set up here."),
                "408": problem("The body took too long to come."),
                "413": problem("The body is too large, or has too many receipts."),
                "429": problem("The source sends too much. Retry-After says when to come again."),
                "503": problem("Nothing can be made durable now. Retry-After says when to come again."),
            },
        }
    }
}
