"""Deletion: what it takes, what it leaves, and what of a user it has taken already.

It leaves a tombstone for ever: the time of the newest deletion, and when it was carried out. Each id that was merged
into the user leaves one too, which says whose it was (`rows.tombstone_of`). Times are microseconds UTC.
"""

from collections.abc import Iterable

from transforms.events.event import Event
from transforms.identity.profile import Profile
from transforms.users.draft import Draft
from transforms.users.effects import Deleted
from transforms.users.user import ANONYMOUS, User

__all__ = ["delete", "forget_past", "is_deletion_again", "is_gone"]


def delete(draft: Draft, event: Event, mark: int) -> None:
    """Forget everything but that, and when, the user was deleted."""
    draft.settle(event.arrival, historical=event.historical)
    now = draft.clock = max(draft.clock, event.arrival)
    segments = sorted({*draft.index.order, *draft.members})
    identities = _identities(draft.profile, draft.merged)
    draft.leave_all("deleted")
    time = max(event.time, draft.deleted or event.time)
    draft.emit(Deleted(draft.id, now, (draft.id, *draft.merged), tuple(segments), identities, time))
    draft.load(User(draft.id, clock=now, deleted=time, deleted_at=now))
    draft.remember(mark)


def forget_past(draft: Draft, past: User) -> None:
    """Forget what another id hands over from before the deletion, with all that was merged into it: that was the
    user's, too, and only came late."""
    if draft.deleted is None or draft.deleted_at is None:
        return
    segments = sorted({*draft.index.order, *past.members})
    users = tuple(id_ for id_ in (past.id, *past.merged) if id_ != draft.id)
    identities = _identities(past.profile, users)
    draft.emit(Deleted(draft.id, draft.deleted_at, users, tuple(segments), identities, draft.deleted))


def _identities(profile: Profile, merged: Iterable[str]) -> tuple[tuple[str, str], ...]:
    address = profile.address("email")
    identities = [("token", token) for token in profile.tokens]
    identities += [("address", address)] if address else []
    return (*identities, *(("anonymous", source.removeprefix(ANONYMOUS)) for source in merged))


def is_gone(draft: Draft, event: Event) -> bool:
    """Whether a deletion took an event: it happened before that, or came before it was carried out."""
    when, at = draft.deleted, draft.deleted_at
    return when is not None and (
        event.time < when or event.arrival < (when if at is None else at) or is_deletion_again(draft, event)
    )


def is_deletion_again(draft: Draft, event: Event) -> bool:
    """Whether an event is the deletion in the tombstone, which stands there for ever: it took what it had to take."""
    return event.type == "delete" and event.time == draft.deleted
