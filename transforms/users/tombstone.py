"""What a deletion leaves of a user, for ever."""

import msgspec

from transforms.campaigns.part import Part
from transforms.events.event import Event

__all__ = ["Tombstone"]


class Tombstone(Part, msgspec.Struct, gc=False):
    """The time of the newest deletion, and when it was carried out (microseconds UTC; None: never), being changed."""

    fields = lasting = ("deleted", "deleted_at")

    deleted: int | None
    deleted_at: int | None

    def is_for(self, event: Event) -> bool:
        """Whether an event is the deletion that is noted here, and was carried out."""
        return event.type == "delete" and event.time == self.deleted

    def took(self, event: Event) -> bool:
        """Whether the deletion covers an event: it happened before the deletion, or came before that was
        carried out.
        """
        when, at = self.deleted, self.deleted_at
        return when is not None and (
            event.time < when or event.arrival < (when if at is None else at) or self.is_for(event)
        )
