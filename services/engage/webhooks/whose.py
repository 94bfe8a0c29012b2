"""From what a provider told to receipts: whose message it was, by what the message carried, else by whom it went to."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from services.engage.webhooks.line import VISITOR
from services.engage.webhooks.provider_events import ProviderEvent, UnreadEvent
from transforms.channels.references import SendReference, read_reference
from transforms.channels.tokens import BadToken, SigningKeys
from transforms.events.consent import EVERY_TOPIC
from transforms.events.decode import Refused
from transforms.events.times import write_time
from transforms.identity.channels import channels
from transforms.identity.profile import FOLLOWED, UNFOLLOWED
from transforms.storage.reader import Reader
from transforms.storage.rows import IdentityRow
from transforms.users.control import Receipt, receipt_event
from transforms.users.user import ANONYMOUS

__all__ = ["Attributed", "attributed"]

_CONSENT = ("unsubscribed", "resubscribed")
#: A reason is a word of the provider's; no more of it is kept, in characters.
_REASON = 200


class Attributed(NamedTuple):
    """Receipts, what of it cannot be one, and how much was told of nobody who is known here."""

    receipts: list[Receipt]
    bad: list[UnreadEvent]
    of_nobody: int


def attributed(reader: Reader, told: Sequence[ProviderEvent], keys: SigningKeys, now: int) -> Attributed:
    """What was told, by users. An account with a provider may send for others, too: of theirs nothing is known here.

    Raises:
      StoreError: the store does not answer.
    """
    led = [_reference(each, keys) for each in told]
    asked = {form for each, to in zip(told, led, strict=True) if not (to or each.user) for form in _forms(each)}
    owners = reader.read_identities("address", sorted(asked)) if asked else {}
    receipts: list[Receipt] = []
    bad: list[UnreadEvent] = []
    of_nobody = 0
    for index, (each, to) in enumerate(zip(told, led, strict=True)):
        users = [to.user] if to else [each.user] if each.user else _owners(each, owners)
        of_nobody += not users
        for user in users:
            receipt = _receipt(each, user, to, now)
            try:
                receipt_event(receipt, now)
            except Refused as refused:
                bad.append(UnreadEvent(index, refused.detail, msgspec.json.encode(each)))
            else:
                receipts.append(receipt)
    return Attributed(receipts, bad, of_nobody)


def _reference(told: ProviderEvent, keys: SigningKeys) -> SendReference | None:
    try:
        found = read_reference(told.reference, keys) if told.reference else None
    except BadToken:  # of another system that sends by the same account
        return None
    return found if found is not None and found.channel == told.channel else None


def _forms(told: ProviderEvent) -> Iterable[str]:
    """The ways in which a store may have an address."""
    declared = channels().get(told.channel)
    key = declared.key(told.address) if declared is not None and declared.key is not None else told.address
    return {form for form in (told.address, key) if form}


def _owners(told: ProviderEvent, owners: Mapping[str, IdentityRow]) -> list[str]:
    users = list(dict.fromkeys(owners[form].user for form in sorted(_forms(told)) if form in owners))
    visitor = f"{ANONYMOUS}{VISITOR}{told.address}"
    if told.kind == UNFOLLOWED:  # who was a visitor before, too
        return [*users, visitor]
    return users or ([visitor] if told.kind == FOLLOWED else [])


def _receipt(told: ProviderEvent, user: str, to: SendReference | None, now: int) -> Receipt:
    topic = told.topic or (to.topic if to else None)
    receipt = Receipt(
        user_id=user,
        kind=told.kind,
        channel=told.channel,
        time=write_time(min(told.time, now)),
        id=told.id,
        send=told.send,
        address=told.address,
        topic=topic or (EVERY_TOPIC if told.kind in _CONSENT else None),
        reason=told.reason[:_REASON],
    )
    if to is None:
        return receipt
    return msgspec.structs.replace(
        receipt, send=to.send, campaign=to.campaign, step=to.step, message=to.message, variant=to.variant
    )
