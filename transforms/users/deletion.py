"""Deletion: what it deletes, what it leaves, and what it has deleted of a user already.

It leaves a tombstone for ever: the time of the newest deletion, and when it was carried out. Each id that was merged
into the user gets one too, which says whose it was. Its row gets it at once (`rows.tombstone_of`), and the state that a
job holds gets it by an `OwnerDeleted`. Times are microseconds UTC.
"""

from collections.abc import Iterable

from transforms.events.event import Event
from transforms.identity.profile import Profile
from transforms.users.editor import UserEditor
from transforms.users.effects import Deleted, Forward
from transforms.users.links import linked_channels
from transforms.users.user import ANONYMOUS, Owner, OwnerDeleted, User

__all__ = ["delete", "delete_merged", "forget_past"]


def delete(editor: UserEditor, event: Event, message_hash: int) -> None:
    """Forget everything except that the user was deleted, and when."""
    editor.come_to(event.arrival, historical=event.historical)
    _forget(editor, event.time, editor.clock)
    editor.seen.add(message_hash, editor.clock)


def delete_merged(editor: UserEditor, notice: OwnerDeleted) -> None:
    """Forget everything of an id that was merged into a deleted user, except its tombstone and owner; once.

    An id that is a user of its own again, after a circle of merges, is deleted entirely: its data from before cannot be
    told from later data. An id that began after the deletion has nothing of the deleted user.
    """
    lineage, tombstone = editor.lineage, editor.tombstone
    owner, created = lineage.owner, lineage.created
    again = tombstone.deleted_at is not None and tombstone.deleted_at >= notice.arrival
    if again or (owner is None and created is not None and created > notice.arrival):
        return
    if owner is None and created is None and tombstone.deleted is None and not lineage.former:
        owner = Owner(notice.user, notice.arrival, notice.user)  # of whom nobody knows anything
    _forget(editor, notice.time, notice.arrival, owner)


def forget_past(editor: UserEditor, past: User) -> None:
    """Forget what another id hands over from before the deletion, with all that was merged into it: it belonged to the
    deleted user, and only came late.
    """
    deleted, deleted_at = editor.tombstone.deleted, editor.tombstone.deleted_at
    assert deleted is not None
    assert deleted_at is not None
    segments = sorted({*editor.index.order, *past.members})
    users = tuple(id_ for id_ in (past.id, *past.merged) if id_ != editor.id)
    identities = _identities(past.profile, users, editor.policies.default_region)
    editor.emit(Deleted(editor.id, deleted_at, users, tuple(segments), identities, deleted))
    _notify_merged_ids(editor, users, deleted, deleted_at)


def _forget(editor: UserEditor, time: int, at: int, owner: Owner | None = None) -> None:
    """Leave a tombstone of a deletion."""
    merged, time = editor.lineage.merged, max(time, editor.tombstone.deleted or time)
    editor.clock = max(editor.clock, at)
    segments = sorted({*editor.index.order, *editor.members})
    identities = _identities(editor.profile, merged, editor.policies.default_region)
    editor.memberships.leave_all(editor, "deleted")
    editor.emit(Deleted(editor.id, at, (editor.id, *merged), tuple(segments), identities, time))
    _notify_merged_ids(editor, merged, time, at)
    editor.reset(editor.parts.record(editor.id, clock=editor.clock, owner=owner, deleted=time, deleted_at=at))


def _notify_merged_ids(editor: UserEditor, merged: Iterable[str], time: int, at: int) -> None:
    """Let merged ids leave tombstones too, in place of what a job holds of them."""
    for id_ in merged:
        editor.emit(Forward(id_, OwnerDeleted(at, editor.id, time)))


def _identities(profile: Profile, merged: Iterable[str], region: str) -> tuple[tuple[str, str], ...]:
    identities = [("token", token) for token in profile.tokens]
    for channel, _ in linked_channels():
        identities += [("address", address) for address in profile.addresses(channel, region=region)]
    return (*identities, *(("anonymous", source.removeprefix(ANONYMOUS)) for source in merged))
