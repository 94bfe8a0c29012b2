"""What became of a send, told to the state machine: the receipt that goes back on the control topic."""

from transforms.channels.channel import settings_of
from transforms.channels.outcome import Delivery
from transforms.events.consent import EVERY_TOPIC
from transforms.events.times import write_time
from transforms.identity.channels import channels
from transforms.storage.rows import LedgerState
from transforms.users.control import Receipt

__all__ = ["receipt_of"]

#: The states of the ledger that are an end, as receipts say them.
_KINDS = {
    LedgerState.HANDED_OFF: "accepted",
    LedgerState.CONFIRMED: "accepted",
    LedgerState.FAILED: "failed",
    LedgerState.UNKNOWN: "unknown",
    LedgerState.EXPIRED: "expired",
    LedgerState.SUPPRESSED: "suppressed",
}


def receipt_of(delivery: Delivery, *, bounded: bool) -> Receipt | None:
    """The receipt of a delivery that ended, None where it has not, or where the user is to be forgotten.

    A duplicate is told again as it stands in the ledger, since a crash may have lost its receipt; the state machine
    takes the same receipt once. In a bounded run the time is that of the decision.
    """
    send = delivery.send
    kind = _KINDS.get(delivery.detail if delivery.state == "duplicate" else delivery.state)
    if kind is None or delivery.reason == "deleted":
        return None
    if kind == "failed" and send.channel in channels():  # else it went out before its package was uninstalled
        kind = settings_of(send.channel).receipts.get(delivery.reason, kind)
    return Receipt(
        user_id=send.user,
        kind=kind,
        channel=send.channel,
        time=write_time(send.decided_at if bounded else delivery.at),
        send=send.id,
        campaign=send.campaign,
        step=send.step,
        message=send.message,
        variant=send.variant,
        address=send.address,
        topic=EVERY_TOPIC if kind == "unsubscribed" else send.topic,  # of a provider, who knows of no topics
        reason=delivery.reason,
    )
