"""Push notifications by Firebase Cloud Messaging, HTTP v1.

firebase-admin builds the message and finds the credential; it does not send. Its transport repeats a POST after a lost
reply and after 500 and 503, and FCM has no idempotency key, so such a repeat can ring a phone twice. Here a request is
written once; whether it may be written again is decided by what FCM answered:
https://firebase.google.com/docs/cloud-messaging/error-codes
"""

import asyncio
from functools import partial
from typing import Any

import google.auth.credentials
import google.oauth2.credentials
import msgspec
from firebase_admin import credentials, messaging
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request

from transforms.account import google_fault
from transforms.campaigns.effects import Send
from transforms.channels.channel import Opening, OutboxLine, Transport, line_head
from transforms.channels.http import CONNECT_SECONDS, Answer, Http, refusal
from transforms.channels.outcome import Outcome
from transforms.channels.push.message import RenderedPush
from transforms.channels.push.settings import FcmAddress, parse_fcm
from transforms.channels.references import REFERENCE
from transforms.channels.settings import MailSettings
from transforms.messages.render import Rendered

__all__ = ["TRANSPORT", "Push", "PushLine", "checked_message", "fcm_message"]

#: https://firebase.google.com/docs/cloud-messaging/customize-messages/set-message-type
PAYLOAD_BYTES = 4096

#: The encoder insists on a target. The token, which firebase-admin deprecates there, is added to what is posted.
_NO_TARGET = "none"

_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


class Push:
    """The push channel of one Firebase project.

    Args:
      address: the project; a local server gets `Authorization: Bearer local`.
      timeout: seconds to connect, and to wait for FCM's answer.
      settings: for what leads back to a send.
      credential: instead of Google's application default credentials, which come from the environment.

    Raises:
      google.auth.exceptions.DefaultCredentialsError: there are no credentials.
    """

    def __init__(
        self,
        address: FcmAddress,
        *,
        timeout: float = 10.0,
        settings: MailSettings | None = None,
        credential: google.auth.credentials.Credentials | None = None,
    ) -> None:
        self._url = f"{address.server.url}/v1/projects/{address.project}/messages:send"
        self._http = Http(timeout)
        self._settings = settings or MailSettings()
        if credential is None and address.server.local:
            credential = google.oauth2.credentials.Credentials("local")  # type: ignore[no-untyped-call]
        self._credential = credential or credentials.ApplicationDefault().get_credential()
        self._request = partial(Request(), timeout=timeout)
        self._refreshing: asyncio.Task[None] | None = None

    def make(self, send: Send, rendered: Rendered) -> bytes | Outcome:
        """The body of a request; `failed` where FCM would not take it."""
        if not isinstance(rendered, RenderedPush):
            raise TypeError(f"send {send.id}: it is no push")
        message = checked_message(rendered, send, self._settings)
        if isinstance(message, Outcome):
            return message
        return msgspec.json.encode({"message": {"token": send.address, **message}})

    async def send(self, send: Send, made: bytes) -> Outcome:  # noqa: ARG002
        """Hand one push to FCM."""
        try:
            headers = await self._headers(rejected=None)
            answer = await self._http.post(self._url, made, headers)
            if isinstance(answer, Outcome) or answer.status != 401 or _errors(answer)[0] == "THIRD_PARTY_AUTH_ERROR":
                return answer if isinstance(answer, Outcome) else _outcome(answer)
            headers = await self._headers(rejected=headers["authorization"])
        except (GoogleAuthError, OSError) as error:
            said = f"credentials: {google_fault(error)}"
            return Outcome.retry("connect", CONNECT_SECONDS, said) if _passes(error) else Outcome.failed("auth", said)
        answer = await self._http.post(self._url, made, headers)
        return answer if isinstance(answer, Outcome) else _outcome(answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _headers(self, rejected: str | None) -> dict[str, str]:
        """The credential's headers, refreshed when it has expired or when FCM `rejected` its authorization."""
        headers = {"content-type": "application/json", "x-goog-api-format-version": "2"}
        if not self._credential.valid or rejected == f"Bearer {self._credential.token}":
            if self._refreshing is None or self._refreshing.done():
                # All who wait share it, with its error: one by one they would wait for longer than a claim's lease.
                self._refreshing = asyncio.create_task(asyncio.to_thread(self._credential.refresh, self._request))
            await asyncio.shield(self._refreshing)
        self._credential.apply(headers)
        return headers


class PushLine(OutboxLine, frozen=True, kw_only=True):
    """One line of `push*.jsonl`."""

    token: str
    title: str
    body: str
    data: dict[str, str]


def _show(send: Send, push: RenderedPush, settings: MailSettings) -> PushLine | Outcome:
    made = checked_message(push, send, settings)
    if isinstance(made, Outcome):
        return made
    data = made.get("data", {})
    return PushLine(**line_head(send), token=send.address, title=push.title, body=push.body, data=data)


def _open(opening: Opening) -> Push:
    return Push(parse_fcm(opening.told["push"][0]), settings=opening.settings)


TRANSPORT = Transport(_open, _show)


def _passes(error: Exception) -> bool:
    """Whether there may be credentials later: their server did not answer, is away, or says so itself."""
    if isinstance(error, OSError | TransportError) or getattr(error, "retryable", False):
        return True
    return isinstance(error.__cause__, OSError | TransportError)


def checked_message(push: RenderedPush, send: Send, settings: MailSettings) -> dict[str, Any] | Outcome:
    """FCM's message, without the token; `failed` where a field is refused, or the whole is too large.

    What leads back to the send stands among the data, unless there is no room for it.
    """
    try:
        message = fcm_message(push, send)
    except ValueError as error:
        return Outcome.failed("rejected", str(error))
    size = len(msgspec.json.encode(message))
    if (reference := settings.reference_to(send)) and REFERENCE not in message.get("data", {}):
        whole = {**message, "data": {**message.get("data", {}), REFERENCE: reference}}
        if len(msgspec.json.encode(whole)) <= PAYLOAD_BYTES:
            return whole
    if size > PAYLOAD_BYTES:
        return Outcome.failed("too_large", f"{size:,} bytes; FCM takes {PAYLOAD_BYTES:,}")
    return message


def fcm_message(push: RenderedPush, send: Send) -> dict[str, Any]:
    """FCM's message, without the token.

    The deep link is data only (`deep_link`), which apps on both systems can read: Android's `click_action` and
    APNs' category name handlers in the app, so a link there would make a tap do nothing.

    Raises:
      ValueError: firebase-admin refuses a field.
    """
    settings = push.collapse_key, push.priority, push.ttl, push.sound, push.badge
    plain = settings == (None,) * len(settings)
    message = messaging.Message(
        topic=_NO_TARGET,
        data=push.data,
        notification=messaging.Notification(push.title or None, push.body or None, push.image),
        android=None if plain else _android(push),
        apns=None if plain and not push.image else _apns(push, send),
    )
    encoded: dict[str, Any] = msgspec.json.decode(str(message))
    del encoded["topic"]
    for part, value in push.parts.items():
        name = {"web": "webpush"}.get(part, part)
        encoded[name] = _merged(encoded.get(name), value)
    return {name: value for name, value in encoded.items() if value}


def _android(push: RenderedPush) -> messaging.AndroidConfig:
    return messaging.AndroidConfig(
        collapse_key=push.collapse_key,
        priority=push.priority,
        ttl=push.ttl,
        notification=messaging.AndroidNotification(sound=push.sound, notification_count=push.badge),
    )


def _apns(push: RenderedPush, send: Send) -> messaging.APNSConfig:
    headers = {"apns-priority": {"high": "10", "normal": "5"}.get(push.priority or "")}
    headers["apns-collapse-id"] = push.collapse_key
    headers["apns-expiration"] = None if push.ttl is None else str(send.decided_at // 1_000_000 + push.ttl)
    aps = messaging.Aps(badge=push.badge, sound=push.sound, mutable_content=True if push.image else None)
    return messaging.APNSConfig({name: value for name, value in headers.items() if value}, messaging.APNSPayload(aps))


def _merged(made: Any, said: Any) -> Any:
    """What a definition says of FCM's own message goes before what is made of its other fields."""
    if not isinstance(made, dict) or not isinstance(said, dict):
        return said
    return {**made, **{key: _merged(made.get(key), value) for key, value in said.items()}}


def _outcome(answer: Answer) -> Outcome:
    """What an answer means."""
    code, message, token_is_bad = _errors(answer)
    dead = (answer.status, code) == (404, "UNREGISTERED") or (code == "INVALID_ARGUMENT" and token_is_bad)
    match answer.status:
        case 200:
            return _accepted(answer)
        case 400 | 404 if dead:
            return Outcome.failed("dead_token", message)
        case 403 if code == "SENDER_ID_MISMATCH":
            return Outcome.failed("sender_mismatch", message)
    return refusal(answer, message)


def _accepted(answer: Answer) -> Outcome:
    if name := answer.said.text("name"):
        return Outcome.handed_off(name)
    return Outcome.unknown("server_error", f"200 without the name of a message: {answer.text}")


def _errors(answer: Answer) -> tuple[str, str, bool]:
    """FCM's error code (else the RPC status), its message, and whether it blames the token."""
    said = answer.said
    if not said:
        return "", answer.text, False
    error = said.part("error")
    message, details = error.text("message"), error.parts("details")
    codes = [detail.text("errorCode") for detail in details if detail.text("@type") == _FCM_ERROR]
    blames = [detail.parts("fieldViolations") for detail in details if detail.text("@type") == _BAD_REQUEST]
    fields = [item.text("field") for violations in blames for item in violations]
    blamed = "message.token" in fields if any(fields) else "registration token" in message.lower()
    return next(filter(None, codes), "") or error.text("status"), message, blamed
