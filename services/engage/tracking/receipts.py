"""From a touch to its receipt, and when its message went out. Times are microseconds since the epoch, UTC."""

import msgspec

from services.engage.tracking.touches import Touch
from transforms.events.times import write_time
from transforms.storage.reader import Reader
from transforms.storage.rows import LedgerState
from transforms.users.control import Receipt

__all__ = ["hand_off_of", "touch_receipt"]

#: A send is looked for among so many of its user's newest: an older one was not handed off just now.
_NEWEST = 100
_HANDED_OFF = (LedgerState.CLAIMED, LedgerState.HANDED_OFF, LedgerState.CONFIRMED)


def touch_receipt(touch: Touch, machine: str) -> Receipt:
    """The receipt of a touch; its id is the same whatever the verdict: who judges again may have seen more."""
    send = touch.send
    return Receipt(
        user_id=send.user,
        kind=touch.kind,
        channel=send.channel,
        time=write_time(touch.at),
        id=f"touch:{touch.id}",
        send=send.send,
        campaign=send.campaign,
        step=send.step,
        message=send.message,
        variant=send.variant,
        topic=send.topic,
        reason=machine,
        machine=True if machine else msgspec.UNSET,
        link=touch.link or msgspec.UNSET,
    )


def hand_off_of(reader: Reader, user: str, send: str) -> int | None:
    """When a send went to its provider, or was claimed for that, by the ledger; None where that is long ago.

    Raises:
      StoreError: it cannot be read now.
    """
    for row in reader.page_decisions(user, _NEWEST).rows:
        if row.send == send:
            return row.at if row.state in _HANDED_OFF else row.decided_at
    return None
