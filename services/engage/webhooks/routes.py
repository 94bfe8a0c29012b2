"""`/v1/webhooks/…`: what providers post. Whatever cannot be read of a request is kept, and the rest counts."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.engage.access import required
from services.engage.body import read_body
from services.engage.desk import Desk
from services.engage.fetch import few_at_once
from services.engage.webhooks import line, sendgrid, twilio
from services.engage.webhooks.provider_events import BadSignature, ProviderEvent, UnreadEvent
from services.engage.webhooks.ses import told_by_ses
from services.engage.webhooks.sns import SnsCertificates, SnsMessage, confirmation_url, is_of, verify
from services.engage.webhooks.standard import told_by_standard, verify_standard
from services.engage.webhooks.whose import attributed
from services.json_body import read_json
from services.problems import HttpProblem
from transforms.channels.sms.replies import TWILIO_REPLIES, TWILIO_STATUS, receipt_of_reply
from transforms.events.dead_letter import DeadLetter
from transforms.events.decode import Cause

__all__ = ["BODY_BYTES", "PROVIDERS", "Taken", "webhook_routes"]

#: Larger than any provider's requests: SendGrid's have up to 768 KB.
BODY_BYTES = 1_000_000
#: The paths by providers.
PROVIDERS = {name: f"/v1/webhooks/{name}" for name in ("ses", "sendgrid", "standard", "line")}

_log = logging.getLogger(__name__)


class BadEvent(msgspec.Struct, frozen=True):
    """An event that was refused: its place in the request, and what is wrong."""

    index: int
    detail: str


class Taken(msgspec.Struct, frozen=True):
    """How many receipts a request made, and the events that could not be read."""

    taken: int
    refused: list[BadEvent] = []


class _LineBody(msgspec.Struct):
    events: list[msgspec.Raw]


class _StandardBody(msgspec.Struct):
    receipts: list[msgspec.Raw] | None = None


def webhook_routes(desk: Desk) -> Sequence[Route]:
    """The routes over a desk."""
    found = _Webhooks(desk)
    endpoints = {PROVIDERS[name]: getattr(found, name) for name in PROVIDERS}
    endpoints |= {TWILIO_STATUS: found.twilio_status, TWILIO_REPLIES: found.twilio_reply}
    return [Route(path, _refusing(found, endpoint), methods=["POST"]) for path, endpoint in endpoints.items()]


def _refusing(found: "_Webhooks", endpoint: Any) -> Any:
    async def answered(request: Request) -> Response:
        try:
            answer: Response = await endpoint(request)
        except BadSignature as error:
            found.count(request.url.path.removeprefix("/v1/webhooks/"), "signature")
            raise HttpProblem(403, "signature", str(error)) from None
        return answer

    return answered


class _Webhooks:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._access = desk.access
        self._certificates = SnsCertificates(few_at_once(desk.access.fetch))

    def count(self, provider: str, outcome: str, number: int = 1) -> None:
        self._desk.counts.add("told", number, provider=provider, outcome=outcome)

    async def ses(self, request: Request) -> Response:
        required(self._access.ses_topics, "SES")
        message = read_json(await read_body(request, BODY_BYTES), SnsMessage)
        if not is_of(message, self._access.ses_topics):
            raise BadSignature("the topic is not one that is taken here")
        await verify(message, self._certificates, self._desk.clock())
        match message.type:
            case "Notification":
                return await self._take("ses", told_by_ses(message.message))
            case "SubscriptionConfirmation":
                await self._access.fetch(confirmation_url(message))
                _log.info("the subscription to %s is confirmed", message.topic_arn)
            case _:
                _log.warning("SNS says %.40s of %s", message.type, message.topic_arn)
        return _taken(0, [])

    async def sendgrid(self, request: Request) -> Response:
        keys = self._access.sendgrid_keys
        required(keys, "SendGrid")
        assert keys is not None
        body = await read_body(request, BODY_BYTES)
        signature, timestamp = (request.headers.get(name, "") for name in (sendgrid.SIGNATURE, sendgrid.TIMESTAMP))
        keys.verify(body, signature, timestamp, self._desk.clock())
        return await self._take("sendgrid", sendgrid.told_by_sendgrid(read_json(body, list[msgspec.Raw])))

    async def standard(self, request: Request) -> Response:
        required(self._access.receipt_secrets, "the webhook of receipts")
        body = await read_body(request, BODY_BYTES)
        id_ = verify_standard(body, request.headers, self._access.receipt_secrets)
        several = read_json(body, _StandardBody).receipts
        receipts = [msgspec.Raw(body)] if several is None else several
        return await self._take("standard", told_by_standard(id_, receipts))

    async def line(self, request: Request) -> Response:
        required(self._access.line_secrets, "LINE")
        body = await read_body(request, BODY_BYTES)
        line.verify_line(body, request.headers.get(line.SIGNATURE, ""), self._access.line_secrets)
        return await self._take("line", line.told_by_line(read_json(body, _LineBody).events))

    async def twilio_status(self, request: Request) -> Response:
        form = await self._form(request, TWILIO_STATUS)
        told = twilio.told_by_twilio(form, request.query_params, self._desk.clock())
        await self._take("twilio/status", [told] if told is not None else [])
        return Response(status_code=204)

    async def twilio_reply(self, request: Request) -> Response:
        form, now = await self._form(request, TWILIO_REPLIES), self._desk.clock()
        number = form.get("From", "")
        owners = await self._desk.view.ask(lambda reader: reader.read_identities("address", [number]))
        receipt = receipt_of_reply(form, owners[number].user, now) if number in owners else None
        if receipt is not None:
            await self._desk.receive([receipt])
        self.count("twilio/replies", "receipt" if receipt else "nothing" if number in owners else "nobody")
        return Response(twilio.NO_REPLY, media_type="text/xml")

    async def _form(self, request: Request, path: str) -> dict[str, str]:
        required(self._access.twilio_tokens, "Twilio")
        form = twilio.read_form(await read_body(request, BODY_BYTES))
        query = request.scope["query_string"].decode("latin-1")
        url = f"{self._access.url}{path}" + (f"?{query}" if query else "")
        twilio.verify_twilio(url, form, request.headers.get(twilio.SIGNATURE, ""), self._access.twilio_tokens)
        return form

    async def _take(self, provider: str, found: Iterable[ProviderEvent | UnreadEvent]) -> Response:
        """Publish what was told, and keep what cannot be read. That comes first: if either fails, all comes again."""
        told: list[ProviderEvent] = []
        bad: list[UnreadEvent] = []
        for each in found:
            if isinstance(each, ProviderEvent):
                told.append(each)
            else:
                bad.append(each)
        now, keys = self._desk.clock(), self._desk.keys
        whose = await self._desk.view.ask(lambda reader: attributed(reader, told, keys, now))
        bad += whose.bad
        await self._keep(provider, bad)
        if whose.receipts:
            await self._desk.receive(whose.receipts)
        for outcome, number in (
            ("receipt", len(whose.receipts)),
            ("nobody", whose.of_nobody),
            ("unreadable", len(bad)),
        ):
            if number:
                self.count(provider, outcome, number)
        return _taken(len(whose.receipts), bad)

    async def _keep(self, provider: str, bad: Sequence[UnreadEvent]) -> None:
        for each in bad:  # the answer and the letter say why, which may show what an event says of somebody
            _log.warning("%s: event %d of a request cannot be read", provider, each.index)
        if bad and self._desk.letters is not None:
            place, now = f"engage: {provider}", self._desk.clock()
            await self._desk.letters.keep(
                [DeadLetter(each.event, place, Cause.INVALID, each.detail, now) for each in bad]
            )


def _taken(number: int, bad: Sequence[UnreadEvent]) -> Response:
    answer = Taken(number, [BadEvent(each.index, each.detail) for each in bad])
    return Response(msgspec.json.encode(answer), media_type="application/json")
