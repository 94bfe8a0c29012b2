"""Ids that are not one person: a key with too many messages a minute, an anonymous id with too many users.

What goes beyond is set aside as a dead letter, `hot_id`: one such key would hold up its worker, and one such device
would make one user of many.
"""

from typing import TYPE_CHECKING

import msgspec

from transforms.campaigns.part import Part
from transforms.events.event import Event
from transforms.segments.values import MINUTE
from transforms.users.effects import Account
from transforms.users.seen import hash_message

if TYPE_CHECKING:
    from transforms.users.editor import UserEditor

__all__ = ["HOT_ID", "MOST_A_MINUTE", "MOST_OWNERS", "RateLimit", "refuse_hot"]

#: The cause of such a dead letter.
HOT_ID = "hot_id"
#: Messages of one key that arrive in one minute, and users whom one anonymous id was named with.
MOST_A_MINUTE, MOST_OWNERS = 1_000, 20
#: Deletions are always obeyed, receipts are ours, and an alias is accounted for elsewhere.
_COUNTED = ("track", "page", "screen", "identify", "group")


class RateLimit(Part, msgspec.Struct, gc=False):
    """The newest minute with the number of its messages, and hashes of the user ids with which an anonymous id was
    named; being changed.
    """

    fields = private = lasting = ("rate_window", "owners")

    rate_window: tuple[int, int]
    owners: tuple[int, ...]

    def count(self, event: Event) -> bool:
        """Count an event that is no duplicate; returns whether it is one too many for the minute of its arrival.

        History does not count, since it comes as fast as it is read; nor does an event from before the newest minute.
        """
        minute, (newest, count) = event.arrival // MINUTE, self.rate_window
        counts = not event.historical and event.type in _COUNTED and minute >= newest
        if counts:
            count = count + 1 if minute == newest else 1
            self.rate_window = (minute, count)
        return counts and count > MOST_A_MINUTE

    def name(self, user: str | None) -> bool:
        """Note a user with whom an anonymous id was named; returns whether there are too many, which stays so."""
        if user is not None and len(self.owners) <= MOST_OWNERS:
            self.owners = tuple(dict.fromkeys((*self.owners, hash_message(user))))
        return len(self.owners) > MOST_OWNERS


def refuse_hot(event: Event, user: "UserEditor") -> None:
    """Account for an event that is beyond a limit."""
    user.emit(Account("dead_letter", event.id, HOT_ID, event))
