"""What any other system tells: receipts in JSON, signed as Standard Webhooks has it (https://www.standardwebhooks.com)."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError

from services.engage.webhooks.provider_events import BadSignature, ProviderEvent, UnreadEvent, each_told, microseconds
from transforms.users.control import KINDS

__all__ = ["TOLD_KINDS", "StandardReceipt", "told_by_standard", "verify_standard"]

#: What others may tell; what a courier finds out is its own to say.
TOLD_KINDS = tuple(kind for kind in KINDS if kind not in ("accepted", "unknown", "expired", "suppressed"))


class StandardReceipt(msgspec.Struct, rename="camel"):
    """What became of a message: it is named by its `reference`, or by `userId` and `send`, or by whom it went to."""

    kind: str
    channel: str
    time: str
    id: str = ""
    reference: str = ""
    user_id: str = ""
    send: str = ""
    address: str = ""
    topic: str = ""
    reason: str = ""


def verify_standard(body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> str:
    """See that a request was signed with one of the secrets, at most five minutes ago; returns its id.

    Raises:
      BadSignature: it was not.
    """
    for secret in secrets:
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            continue
        return headers["webhook-id"]
    raise BadSignature("the signature is not genuine, or too old")


def told_by_standard(request: str, receipts: Sequence[msgspec.Raw]) -> Iterator[ProviderEvent | UnreadEvent]:
    """What the receipts of a request tell.

    Args:
      request: its id; a receipt without one of its own is named by it and by its place, which are the same when it
        comes again.
      receipts: as JSON.
    """
    for place, found in enumerate(each_told(receipts, _told, StandardReceipt)):  # one of each
        yield (
            found
            if isinstance(found, UnreadEvent) or found.id
            else msgspec.structs.replace(found, id=f"standard:{request}:{place}")
        )


def _told(said: StandardReceipt) -> Iterator[ProviderEvent]:
    if said.kind not in TOLD_KINDS:
        raise msgspec.ValidationError(f"`kind` is none of {', '.join(TOLD_KINDS)}")
    if not (said.reference or said.user_id or said.address):
        raise msgspec.ValidationError("a receipt needs `reference`, `userId` or `address`")
    yield ProviderEvent(
        id=said.id and f"standard:{said.id}",
        kind=said.kind,
        channel=said.channel,
        time=microseconds(said.time),
        reference=said.reference,
        address=said.address,
        user=said.user_id,
        send=said.send,
        topic=said.topic,
        reason=said.reason,
    )
