"""A local FCM server: the real paths, checks and error bodies, and failures on demand. For the demo and the tests."""

import asyncio
import time
from collections import Counter
from typing import Any

import msgspec
from aiohttp import web

from transforms.channels.local_server import LocalServer
from transforms.channels.script import Script

__all__ = ["LocalFcm"]

_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"

#: By the first word of a token: status, RPC status, FCM's error code, message.
_REFUSALS = {
    "dead": (404, "NOT_FOUND", "UNREGISTERED", "Requested entity was not found."),
    "invalid": (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "The registration token is not a valid FCM token"),
    "auth": (401, "UNAUTHENTICATED", "", "Request had invalid authentication credentials."),
    "mismatch": (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", "SenderId mismatch"),
    "quota": (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "Quota exceeded for this device."),
    "internal": (500, "INTERNAL", "INTERNAL", "Internal error encountered."),
    "busy": (503, "UNAVAILABLE", "UNAVAILABLE", "The service is currently busy."),
    "unavailable": (503, "UNAVAILABLE", "UNAVAILABLE", "The service is currently unavailable."),
}
_RETRY_AFTER = {"quota", "busy"}


class LocalFcm(LocalServer):
    """Speaks `POST /v1/projects/PROJECT/messages:send` on 127.0.0.1, in a thread of its own.

    A token's first word decides (`script.Script`): `dead- invalid- auth- mismatch- internal- unavailable-` are
    refused with Google's answer; `quota-` and `busy-` (503) also carry Retry-After; `slow-` is accepted and answered
    after `slow` seconds; `cutbefore-` and `cutafter-` lose the connection before and after the message is accepted.
    Every other token is accepted.

    Attributes:
      received: the accepted messages, as FCM's JSON.
      times: when each of them had come, in seconds since the epoch.
      requests: how often each token was tried.
    """

    def __init__(self, *, slow: float, retry_after: int, latency: float) -> None:
        super().__init__()
        self.received: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.requests: Counter[str] = Counter()
        self._slow = slow
        self._retry_after = retry_after
        self._latency = latency
        self._script = Script([*_REFUSALS, "slow", "cutbefore", "cutafter"])

    @classmethod
    def start(cls, port: int = 0, *, slow: float = 30.0, retry_after: int = 1, latency: float = 0.0) -> "LocalFcm":
        """Start a server; port 0 takes a free one (see `url`).

        `slow`, `retry_after` and `latency`, after which everything is answered, are in seconds.
        """
        server = cls(slow=slow, retry_after=retry_after, latency=latency)
        server.begin(port)
        return server

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """FCM's path."""
        router.add_post("/v1/projects/{project}/messages:send", self._send)

    async def _send(self, request: web.Request) -> web.Response:
        try:
            message = msgspec.json.decode(await request.read(), type=_Request).message
        except msgspec.MsgspecError as error:
            return _refusal(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", str(error), field="message")
        token = message.get("token")
        if not isinstance(token, str):
            return _refusal(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "no token", field="message")
        self.requests[token] += 1
        await asyncio.sleep(self._latency)
        if not request.headers.get("authorization", "").startswith("Bearer "):
            return _refusal(*_REFUSALS["auth"])
        if not all(isinstance(value, str) for value in message.get("data", {}).values()):
            return _refusal(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "not a string", field="message.data")
        word = self._script.next(token)
        if word in _REFUSALS:
            headers = {"Retry-After": str(self._retry_after)} if word in _RETRY_AFTER else {}
            return _refusal(*_REFUSALS[word], field="message.token" if word == "invalid" else "", headers=headers)
        if word != "cutbefore":
            self.times.append(time.time())
            self.received.append(message)
        number = len(self.received)
        if word in ("cutbefore", "cutafter") and request.transport is not None:
            request.transport.abort()
        if word == "slow":
            await asyncio.sleep(self._slow)
        name = f"projects/{request.match_info['project']}/messages/{number}"
        return web.json_response({"name": name})


class _Request(msgspec.Struct):
    message: dict[str, Any]


def _refusal(
    status: int, rpc: str, code: str, message: str, *, field: str = "", headers: dict[str, str] | None = None
) -> web.Response:
    """Google's error body (google.rpc.Status), as FCM fills it in."""
    details: list[dict[str, Any]] = []
    if field:
        details.append({"@type": _BAD_REQUEST, "fieldViolations": [{"field": field, "description": message}]})
    if code:
        details.append({"@type": _FCM_ERROR, "errorCode": code})
    error = {"code": status, "message": message, "status": rpc, "details": details}
    return web.json_response({"error": error}, status=status, headers=headers)
