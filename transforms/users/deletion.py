"""Deletion: what it takes, what it leaves, and what of a user it has taken already.

It leaves a tombstone for ever: the time of the newest deletion, and when it was carried out. Each id that was merged
into the user leaves one too, which says whose it was: its row at once (`rows.tombstone_of`), and what a job holds of it
when it is told (`OwnerDeleted`). Times are microseconds UTC.
"""

from collections.abc import Iterable

from transforms.events.event import Event
from transforms.identity.profile import Profile
from transforms.users.editor import UserEditor
from transforms.users.effects import Deleted, Forward
from transforms.users.links import linked_channels
from transforms.users.user import ANONYMOUS, Owner, OwnerDeleted, User

__all__ = ["delete", "delete_merged", "forget_past", "is_deletion_again", "is_gone"]


def delete(editor: UserEditor, event: Event, message_hash: int) -> None:
    """Forget everything but that, and when, the user was deleted."""
    editor.advance_to(event.arrival, historical=event.historical)
    now = max(editor.clock, event.arrival)
    _forget(editor, max(event.time, editor.deleted or event.time), now)
    editor.remember(message_hash)


def delete_merged(editor: UserEditor, told: OwnerDeleted) -> None:
    """Forget everything of an id that was merged into a deleted user, but that and whose it was; once.

    An id that is a user of its own again, after a circle of merges, is deleted whole: what it has from before cannot be
    told from what came since. One that began only after the deletion has nothing of it.
    """
    if editor.deleted_at is not None and editor.deleted_at >= told.arrival:
        return
    owner = editor.owner
    if owner is None and editor.created is not None and editor.created > told.arrival:
        return
    if owner is None and editor.created is None and editor.deleted is None and not editor.former:
        owner = Owner(told.user, told.arrival, told.user)  # of whom nobody knows anything
    _forget(editor, max(told.time, editor.deleted or told.time), told.arrival, owner)


def forget_past(editor: UserEditor, past: User) -> None:
    """Forget what another id hands over from before the deletion, with all that was merged into it: that was the
    user's, too, and only came late."""
    if editor.deleted is None or editor.deleted_at is None:
        return
    segments = sorted({*editor.index.order, *past.members})
    users = tuple(id_ for id_ in (past.id, *past.merged) if id_ != editor.id)
    identities = _identities(past.profile, users, editor.policies.default_region)
    editor.emit(Deleted(editor.id, editor.deleted_at, users, tuple(segments), identities, editor.deleted))
    _tell(editor, users, editor.deleted, editor.deleted_at)


def _forget(editor: UserEditor, time: int, at: int, owner: Owner | None = None) -> None:
    """Leave a tombstone of a deletion."""
    editor.clock = max(editor.clock, at)
    segments = sorted({*editor.index.order, *editor.members})
    identities = _identities(editor.profile, editor.merged, editor.policies.default_region)
    editor.leave_all("deleted")
    editor.emit(Deleted(editor.id, at, (editor.id, *editor.merged), tuple(segments), identities, time))
    _tell(editor, editor.merged, time, at)
    editor.load(User(editor.id, clock=editor.clock, owner=owner, deleted=time, deleted_at=at))


def _tell(editor: UserEditor, merged: Iterable[str], time: int, at: int) -> None:
    """Have ids that were merged leave tombstones too, of what a job holds of them."""
    for id_ in merged:
        editor.emit(Forward(id_, OwnerDeleted(at, editor.id, time)))


def _identities(profile: Profile, merged: Iterable[str], region: str) -> tuple[tuple[str, str], ...]:
    identities = [("token", token) for token in profile.tokens]
    for channel, _ in linked_channels():
        identities += [("address", address) for address in profile.addresses(channel, region=region)]
    return (*identities, *(("anonymous", source.removeprefix(ANONYMOUS)) for source in merged))


def is_gone(editor: UserEditor, event: Event) -> bool:
    """Whether a deletion took an event: it happened before that, or came before it was carried out."""
    when, at = editor.deleted, editor.deleted_at
    return when is not None and (
        event.time < when or event.arrival < (when if at is None else at) or is_deletion_again(editor, event)
    )


def is_deletion_again(editor: UserEditor, event: Event) -> bool:
    """Whether an event is the deletion in the tombstone, which stands there for ever: it took what it had to take."""
    return event.type == "delete" and event.time == editor.deleted
