"""A local FCM server: the real paths, checks and error bodies, and failures on demand. For the demo and the tests."""

import asyncio
import threading
import time
from collections import Counter
from typing import Any

import msgspec
from aiohttp import web

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


class LocalFcm:
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
        self.received: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.requests: Counter[str] = Counter()
        self.url = ""
        self._slow = slow
        self._retry_after = retry_after
        self._latency = latency
        self._script = Script([*_REFUSALS, "slow", "cutbefore", "cutafter"])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="local-fcm", daemon=True)

    @classmethod
    def start(cls, port: int = 0, *, slow: float = 30.0, retry_after: int = 1, latency: float = 0.0) -> "LocalFcm":
        """Start a server; port 0 takes a free one (see `url`).

        `slow`, `retry_after` and `latency`, after which everything is answered, are in seconds.
        """
        server = cls(slow=slow, retry_after=retry_after, latency=latency)
        server._thread.start()
        asyncio.run_coroutine_threadsafe(server._open(port), server._loop).result(timeout=10)
        return server

    def go_down(self) -> None:
        """Refuse connections until `come_back`; open requests are dropped."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(timeout=10)

    def come_back(self) -> None:
        """Serve again, on the same port."""
        port = int(self.url.rpartition(":")[2])
        asyncio.run_coroutine_threadsafe(self._open(port), self._loop).result(timeout=10)

    def stop(self) -> None:
        """Stop serving; open requests are dropped."""
        self.go_down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def _open(self, port: int) -> None:
        app = web.Application()
        app.router.add_post("/v1/projects/{project}/messages:send", self._send)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

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
