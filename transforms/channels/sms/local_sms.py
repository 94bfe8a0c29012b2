"""A local provider of text messages: Twilio's paths, checks and errors, and those of one that takes JSON. For tests."""

import threading
from base64 import b64decode
from binascii import Error as Base64Error
from collections import Counter
from typing import Any

import msgspec
from aiohttp import web

from transforms.channels.local_server import LocalServer

__all__ = ["LocalSms"]

#: Twilio's numbers for tests: https://www.twilio.com/docs/iam/test-credentials#test-sms-messages-parameters-To
_REFUSED = {
    "+15005550001": (400, 21211, "The 'To' number +15005550001 is not a valid phone number."),
    "+15005550002": (400, 21612, "The 'To' phone number is not currently reachable via SMS."),
    "+15005550003": (400, 21408, "Permission to send an SMS has not been enabled for the region."),
    "+15005550004": (400, 21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": (400, 21614, "'To' number is not a valid mobile number"),
}
_FAULTS = {
    "auth": (401, 20003, "Authenticate"),
    "quota": (429, 20429, "Too Many Requests"),
    "internal": (500, 20500, "Internal Server Error"),
}
#: What a provider that takes JSON says in place of Twilio's codes.
_REASONS = {21211: "bad_address", 21614: "bad_address", 21610: "unsubscribed"}


class LocalSms(LocalServer):
    """Speaks `POST /2010-04-01/Accounts/ACCOUNT/Messages.json` as Twilio does, and `POST /messages` with JSON.

    Twilio's numbers for tests are refused as Twilio refuses them. Any other number is taken, but for what `misbehave`
    says of it.

    Attributes:
      received: what was taken: `to`, `from`, `text`, the `credentials` it came with, and `id` and `key`, where it has.
      requests: how often each number was tried.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.received: list[dict[str, str]] = []
        self.requests: Counter[str] = Counter()
        self._retry_after = retry_after
        self._faults: dict[str, tuple[str, int]] = {}
        self._lock = threading.Lock()

    @classmethod
    def start(cls, port: int = 0, *, retry_after: int = 0) -> "LocalSms":
        """Start a server; `retry_after` is in seconds, 0 for none, and port 0 takes a free one (see `url`)."""
        server = cls(retry_after)
        server.begin(port)
        return server

    def misbehave(self, number: str, how: str, times: int = 1) -> None:
        """Answer a number's next requests with `auth`, `quota` or `internal`; or lose the connection, `cutbefore` or
        `cutafter` the message was taken.
        """
        with self._lock:
            self._faults[number] = how, times

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Twilio's path, and the other one's."""
        router.add_post("/2010-04-01/Accounts/{account}/Messages.json", self._twilio)
        router.add_post("/messages", self._json)

    async def _twilio(self, request: web.Request) -> web.Response:
        form = await request.post()
        said = {name: str(value) for name, value in form.items()}
        account = request.match_info["account"]
        if not _basic(request).startswith(f"{account}:"):
            return _twilio_error(_FAULTS["auth"])
        if "Body" not in said or not {"From", "MessagingServiceSid"} & said.keys():
            return _twilio_error((400, 21604, "A required parameter is missing"))
        to, sender = said.get("To", ""), said.get("From") or said["MessagingServiceSid"]
        taken = {"to": to, "from": sender, "text": said["Body"], "credentials": _basic(request)}
        if refused := self._take(request, to, taken):
            return _twilio_error(refused, self._headers(refused[0]))
        sid = f"SM{len(self.received):032x}"
        return web.json_response({"sid": sid, "status": "queued", "to": to, "error_code": None}, status=201)

    async def _json(self, request: web.Request) -> web.Response:
        said: dict[str, Any] = msgspec.json.decode(await request.read())
        taken = {name: str(value) for name, value in said.items()}
        taken["credentials"] = request.headers.get("authorization", "")
        taken["key"] = request.headers.get("idempotency-key", "")
        if refused := self._take(request, taken["to"], taken):
            status, code, message = refused
            body = {"reason": _REASONS.get(code, "rejected"), "message": message}
            return web.json_response(body, status=status, headers=self._headers(status))
        return web.json_response({"id": f"m{len(self.received)}"}, status=202)

    def _take(self, request: web.Request, to: str, taken: dict[str, str]) -> tuple[int, int, str] | None:
        """Keep a message, unless it is refused, or cut off."""
        self.requests[to] += 1
        fault = self._fault(to)
        if refused := _FAULTS.get(fault) or _REFUSED.get(to):
            return refused
        if fault != "cutbefore":
            self.received.append(taken)
        if fault and request.transport is not None:
            request.transport.abort()
        return None

    def _fault(self, to: str) -> str:
        with self._lock:
            how, times = self._faults.get(to, ("", 0))
            self._faults[to] = how, times - 1
        return how if times > 0 else ""

    def _headers(self, status: int) -> dict[str, str]:
        return {"Retry-After": str(self._retry_after)} if status == 429 and self._retry_after else {}


def _basic(request: web.Request) -> str:
    kind, _, said = request.headers.get("authorization", "").partition(" ")
    try:
        return b64decode(said).decode() if kind == "Basic" else ""
    except (Base64Error, ValueError):
        return ""


def _twilio_error(error: tuple[int, int, str], headers: dict[str, str] | None = None) -> web.Response:
    """https://www.twilio.com/docs/usage/twilios-response#response-formats-exceptions"""
    status, code, message = error
    more = f"https://www.twilio.com/docs/errors/{code}"
    body = {"code": code, "message": message, "more_info": more, "status": status}
    return web.json_response(body, status=status, headers=headers)
