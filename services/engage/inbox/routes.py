"""`/v1/inbox`: what one user's app shows, and what the user did with it."""

import math
import time
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.engage.access import required
from services.engage.body import read_body
from services.engage.cors import across_origins
from services.engage.desk import Desk
from services.engage.inbox.marking import MARKS, marks_at, receipts_of
from services.engage.inbox.user_tokens import BadUserToken, bearer
from services.json_body import read_json
from services.problems import HttpProblem
from services.rates import Rates
from transforms.events.times import read_time
from transforms.storage.reader import Reader
from transforms.storage.rows import InboxRow
from transforms.views.inbox import ShownInbox, inbox_rows, shown_inbox

__all__ = ["DEFAULT_LIMIT", "MOST", "MarkAll", "Marked", "inbox_routes"]

#: Messages of a page, where the app does not say, and at most.
DEFAULT_LIMIT, MOST = 20, 100
#: A body here says a few words.
BODY_BYTES = 4_096
#: What an app is not told: how campaigns are called is nobody's business.
_OURS = ("campaign", "step", "send")

#: What one user may ask: so much a second, and so much at once; and of how many users that is remembered.
RATE, SAVED, _RATED = 5.0, 60.0, 10_000

_PRIVATE = {"Cache-Control": "private, no-cache", "Vary": "Authorization"}


class MarkAll(msgspec.Struct, forbid_unknown_fields=True):
    """Which messages were read: those of a `placement` (`*`: all), as in the list, not newer than `until`."""

    until: str | None = None
    placement: str = ""


class Marked(msgspec.Struct, frozen=True):
    """How many messages were marked anew."""

    marked: int


def inbox_routes(desk: Desk) -> Sequence[Route]:
    """The routes over a desk."""
    found = _Inbox(desk)
    allows = desk.access.allows
    return [
        Route("/v1/inbox", across_origins(found.show, allows, "GET"), methods=["GET", "OPTIONS"]),
        Route("/v1/inbox/read", across_origins(found.read_all, allows, "POST"), methods=["POST", "OPTIONS"]),
        *(
            Route(
                f"/v1/inbox/{{id}}/{said}",
                across_origins(found.marking(said), allows, "POST"),
                methods=["POST", "OPTIONS"],
            )
            for said in MARKS
        ),
    ]


class _Inbox:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._rates = Rates[str](_RATED)

    async def show(self, request: Request) -> Response:
        user = self._user(request)
        asked = request.query_params
        limit, placement, now = _limit(asked.get("limit")), asked.get("placement", ""), self._desk.clock()

        def look(reader: Reader) -> ShownInbox:
            return shown_inbox(reader, user, limit, asked.get("cursor"), now=now, placement=placement)

        try:
            found = await self._desk.view.ask(look)
        except ValueError:  # the limit was checked
            raise HttpProblem(400, "cursor", "the cursor is not one of this list") from None
        body = msgspec.json.encode(
            {"messages": list(map(_told, found.messages)), "unread": found.unread, "next": found.next}
        )
        tag = f'"{blake2b(body, digest_size=16).hexdigest()}"'
        headers = {**_PRIVATE, "ETag": tag}
        if _names(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="application/json")

    async def read_all(self, request: Request) -> Response:
        user = self._user(request)
        body = await read_body(request, BODY_BYTES)
        said = read_json(body, MarkAll) if body else MarkAll()
        now = self._desk.clock()
        until = now if said.until is None else _time(said.until)

        def is_meant(row: InboxRow) -> bool:
            return row.at <= until and said.placement in ("*", row.placement) and not row.opened

        rows = await self._desk.view.ask(lambda reader: list(filter(is_meant, inbox_rows(reader, user))))
        return await self._mark(rows, "read", now)

    def marking(self, said: str) -> Any:
        """The endpoint that marks one message."""

        async def mark(request: Request) -> Response:
            user, id_, now = self._user(request), request.path_params["id"], self._desk.clock()
            found = await self._desk.view.ask(lambda reader: [r for r in inbox_rows(reader, user) if r.send == id_])
            if not found:  # nor is it said whether somebody else has it
                raise HttpProblem(404, "no_message", "there is no such message in this inbox")
            return await self._mark(found, said, now)

        return mark

    async def _mark(self, rows: Sequence[InboxRow], said: str, now: int) -> Response:
        """Tell the users' state first: what is marked and was not told would never be told."""
        new = [row for row in rows if not all(getattr(row, mark) for mark in MARKS[said])]
        if new:
            await self._desk.receive(list(receipts_of(new, said, now)))
            if self._desk.inbox is not None:
                await self._desk.inbox.mark(new, marks_at(said, now))
        return Response(msgspec.json.encode(Marked(len(new))), headers=_PRIVATE, media_type="application/json")

    def _user(self, request: Request) -> str:
        keys = self._desk.access.inbox_keys
        required(keys, "the inbox")
        assert keys is not None
        token = bearer(request.headers.get("authorization"))
        if not token:
            raise HttpProblem(401, "token", "a token is needed: Authorization: Bearer …", challenge="Bearer")
        try:
            user = keys.user_of(token, self._desk.clock())
        except BadUserToken as error:
            raise HttpProblem(401, "token", str(error), challenge='Bearer error="invalid_token"') from None
        if wait := self._rates.take(user, 1, RATE, SAVED, time.monotonic()):
            raise HttpProblem(429, "rate", "this user asks too often", retry_after=math.ceil(wait))
        return user


def _told(message: dict[str, Any]) -> dict[str, Any]:
    return {"id": message["send"], **{name: value for name, value in message.items() if name not in _OURS}}


def _limit(said: str | None) -> int:
    if said is None:
        return DEFAULT_LIMIT
    if not said.isascii() or not said.isdigit() or len(said) > len(str(MOST)) or not 1 <= int(said) <= MOST:
        raise HttpProblem(400, "limit", f"`limit` is a number from 1 to {MOST}")
    return int(said)


def _time(said: str) -> int:
    try:
        return read_time(said)
    except ValueError:
        raise HttpProblem(400, "time", "`until` is no time of ISO 8601 with a zone") from None


def _names(header: str, tag: str) -> bool:
    """Whether If-None-Match names a tag (RFC 9110, 13.1.2)."""
    return any(each.strip().removeprefix("W/") in ("*", tag) for each in header.split(","))
