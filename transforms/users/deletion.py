"""Deletion: what it takes, what it leaves, and what of a user it has taken already.

It leaves a tombstone for ever: the time of the newest deletion, and when it was carried out. Each id that was merged
into the user leaves one too, which says whose it was: its row at once (`rows.tombstone_of`), and what a job holds of it
when it is told (`OwnerDeleted`). Times are microseconds UTC.
"""

from collections.abc import Iterable

from transforms.events.event import Event
from transforms.identity.profile import Profile
from transforms.users.draft import Draft
from transforms.users.effects import Deleted, Forward
from transforms.users.links import linked_channels
from transforms.users.user import ANONYMOUS, Owner, OwnerDeleted, User

__all__ = ["delete", "delete_merged", "forget_past", "is_deletion_again", "is_gone"]


def delete(draft: Draft, event: Event, message_hash: int) -> None:
    """Forget everything but that, and when, the user was deleted."""
    draft.settle(event.arrival, historical=event.historical)
    now = max(draft.clock, event.arrival)
    _forget(draft, max(event.time, draft.deleted or event.time), now)
    draft.remember(message_hash)


def delete_merged(draft: Draft, told: OwnerDeleted) -> None:
    """Forget everything of an id that was merged into a deleted user, but that and whose it was; once.

    An id that is a user of its own again, after a circle of merges, is deleted whole: what it has from before cannot be
    told from what came since. One that began only after the deletion has nothing of it.
    """
    if draft.deleted_at is not None and draft.deleted_at >= told.arrival:
        return
    owner = draft.owner
    if owner is None and draft.created is not None and draft.created > told.arrival:
        return
    if owner is None and draft.created is None and draft.deleted is None and not draft.former:
        owner = Owner(told.user, told.arrival, told.user)  # of whom nobody knows anything
    _forget(draft, max(told.time, draft.deleted or told.time), told.arrival, owner)


def forget_past(draft: Draft, past: User) -> None:
    """Forget what another id hands over from before the deletion, with all that was merged into it: that was the
    user's, too, and only came late."""
    if draft.deleted is None or draft.deleted_at is None:
        return
    segments = sorted({*draft.index.order, *past.members})
    users = tuple(id_ for id_ in (past.id, *past.merged) if id_ != draft.id)
    identities = _identities(past.profile, users, draft.policies.default_region)
    draft.emit(Deleted(draft.id, draft.deleted_at, users, tuple(segments), identities, draft.deleted))
    _tell(draft, users, draft.deleted, draft.deleted_at)


def _forget(draft: Draft, time: int, at: int, owner: Owner | None = None) -> None:
    """Leave a tombstone of a deletion."""
    draft.clock = max(draft.clock, at)
    segments = sorted({*draft.index.order, *draft.members})
    identities = _identities(draft.profile, draft.merged, draft.policies.default_region)
    draft.leave_all("deleted")
    draft.emit(Deleted(draft.id, at, (draft.id, *draft.merged), tuple(segments), identities, time))
    _tell(draft, draft.merged, time, at)
    draft.load(User(draft.id, clock=draft.clock, owner=owner, deleted=time, deleted_at=at))


def _tell(draft: Draft, merged: Iterable[str], time: int, at: int) -> None:
    """Have ids that were merged leave tombstones too, of what a job holds of them."""
    for id_ in merged:
        draft.emit(Forward(id_, OwnerDeleted(at, draft.id, time)))


def _identities(profile: Profile, merged: Iterable[str], region: str) -> tuple[tuple[str, str], ...]:
    identities = [("token", token) for token in profile.tokens]
    for channel, _ in linked_channels():
        identities += [("address", address) for address in profile.addresses(channel, region=region)]
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
