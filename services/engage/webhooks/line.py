"""What LINE tells of an official account: who follows it, and who has blocked it.

https://developers.line.biz/en/reference/messaging-api/#webhooks
"""

import hmac
from base64 import b64encode
from collections.abc import Iterator, Sequence

import msgspec

from services.engage.webhooks.provider_events import BadSignature, ProviderEvent, UnreadEvent, each_told, seconds
from transforms.identity.profile import FOLLOWED, UNFOLLOWED

__all__ = ["SIGNATURE", "VISITOR", "told_by_line", "verify_line"]

SIGNATURE = "x-line-signature"
#: Who follows and is no user yet is a visitor: this and the LINE id are the anonymous id.
VISITOR = "line:"

_KINDS = {"follow": FOLLOWED, "unfollow": UNFOLLOWED}


class _Source(msgspec.Struct, rename="camel"):
    user_id: str = ""


class _Event(msgspec.Struct, rename="camel"):
    """`timestamp` is in milliseconds."""

    type: str
    timestamp: int
    webhook_event_id: str
    source: _Source | None = None


def verify_line(body: bytes, signature: str, secrets: Sequence[str]) -> None:
    """See that a body was signed with one of the channel secrets.

    Raises:
      BadSignature: it was not.
    """
    said = signature.encode("utf-8", "surrogatepass")
    for secret in secrets:
        if hmac.compare_digest(b64encode(hmac.digest(secret.encode(), body, "sha256")), said):
            return
    raise BadSignature("the signature is not genuine")


def told_by_line(events: Sequence[msgspec.Raw]) -> Iterator[ProviderEvent | UnreadEvent]:
    """What events tell; messages and the like are not for us."""
    return each_told(events, _told, _Event)


def _told(event: _Event) -> Iterator[ProviderEvent]:
    kind = _KINDS.get(event.type)
    if kind is None:
        return
    if event.source is None or not event.source.user_id:
        raise msgspec.ValidationError(f"a {event.type} of nobody")
    yield ProviderEvent(
        id=f"line:{event.webhook_event_id}",
        kind=kind,
        channel="line",
        time=seconds(event.timestamp / 1_000),
        address=event.source.user_id,
    )
