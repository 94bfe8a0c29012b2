"""Deletion: what it takes, what it leaves, and what of a user it has taken already.

It leaves a tombstone for ever: the time of the newest deletion, and when it was carried out. Each id that was merged
into the user leaves one too, which says whose it was (`rows.tombstone_of`). Times are microseconds UTC.
"""

from transforms.events.event import Event
from transforms.users.draft import Draft
from transforms.users.effects import Deleted
from transforms.users.user import ANONYMOUS, User

__all__ = ["delete", "is_deletion_again", "is_gone"]


def delete(draft: Draft, event: Event, mark: int) -> None:
    """Forget everything but that, and when, the user was deleted."""
    draft.settle(event.arrival, historical=event.historical)
    now = draft.clock = max(draft.clock, event.arrival)
    address = draft.profile.address("email")
    identities = [("token", token) for token in draft.profile.tokens]
    identities += [("address", address)] if address else []
    identities += [("anonymous", source.removeprefix(ANONYMOUS)) for source in draft.merged]
    segments = sorted({*draft.index.order, *draft.members})
    draft.leave_all("deleted")
    time = max(event.time, draft.deleted or event.time)
    draft.emit(Deleted(draft.id, now, (draft.id, *draft.merged), tuple(segments), tuple(identities), time))
    draft.load(User(draft.id, clock=now, deleted=time, deleted_at=now))
    draft.remember(mark)


def is_gone(draft: Draft, event: Event) -> bool:
    """Whether a deletion took an event: it happened before that, or came before it was carried out."""
    when, at = draft.deleted, draft.deleted_at
    return when is not None and (
        event.time < when or event.arrival < (when if at is None else at) or is_deletion_again(draft, event)
    )


def is_deletion_again(draft: Draft, event: Event) -> bool:
    """Whether an event is the deletion in the tombstone, which stands there for ever: it took what it had to take."""
    return event.type == "delete" and event.time == draft.deleted
