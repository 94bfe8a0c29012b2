"""Ids that are one person: an alias, a visitor who is identified, a past that is handed over, and what goes on after.

An alias goes to the previous id first. That id sets its owner and hands over its past, the same each time, so a
repetition changes nothing. If users are merged in a circle, the one with the least id stays. Times are microseconds
UTC.
"""

import msgspec

from transforms.campaigns.release import OlderDefinitions
from transforms.campaigns.trigger import Trigger
from transforms.events.event import Event
from transforms.users.accounts import account, account_control, close_send
from transforms.users.deletion import forget_past
from transforms.users.editor import UserEditor
from transforms.users.effects import Forward, Linked, Merged
from transforms.users.links import link_tokens
from transforms.users.seen import hash_message
from transforms.users.user import ANONYMOUS, Announcement, Input, Merge, Owner, Seed, by_arrival

__all__ = [
    "apply_alias",
    "apply_merge",
    "ask_first",
    "asks_first",
    "check_release",
    "gives_up",
    "hand_over_again",
    "identify",
    "message_hash_of",
    "pass_on",
]


def gives_up(editor: UserEditor, event: Event) -> bool:
    """Whether an event is an alias that merges this user into another one."""
    return event.type == "alias" and event.previous == editor.id != event.user


def message_hash_of(editor: UserEditor, event: Event) -> int:
    """The hash of a message. Both halves of an alias may come to one user; they have two hashes."""
    return hash_message(f"{event.id}\x00previous" if gives_up(editor, event) else event.id)


def check_release(editor: UserEditor, release: int) -> None:
    """Check that an input was not judged by newer definitions.

    Raises:
      OlderDefinitions: it was.
    """
    if release > editor.definitions.release:
        raise OlderDefinitions(release, editor.definitions.release)


def apply_alias(editor: UserEditor, event: Event, message_hash: int) -> None:
    """Apply an alias at its previous id: the other user gets this one's past, and what comes from now on."""
    assert event.user is not None
    editor.come_to(event.arrival, historical=event.historical)
    editor.seen.add(message_hash, editor.clock)
    if event.user not in editor.lineage.merged:
        if editor.lineage.created is None:  # no past tells the user of this id: deleting the user finds it by this
            editor.emit(Linked("user", editor.id, event.user, event.arrival))
        editor.memberships.leave_all(editor, "merge")
        editor.lineage.owner = Owner(event.user, editor.clock, event.user, event.historical)
        _hand_over(editor, editor.lineage.owner, event.user)
    account(editor, event, "applied")


def identify(editor: UserEditor, event: Event, user: str) -> None:
    """Give the anonymous id to a user: the first gets its past, each time the same; the latest gets what comes then."""
    owner = editor.lineage.owner
    if owner is None:
        editor.come_to(event.arrival, historical=event.historical)
        editor.memberships.leave_all(editor, "merge")
        owner = Owner(user, editor.clock, user, event.historical)
    elif event.arrival >= editor.clock:
        owner = owner.after(by_arrival(event), user)
    editor.lineage.owner, editor.clock = owner, max(editor.clock, event.arrival)
    if not editor.tombstone.took(event):  # and the link with it
        editor.emit(Linked("anonymous", editor.id.removeprefix(ANONYMOUS), owner.latest, event.arrival))
    if owner.first == user:
        _hand_over(editor, owner, user)
    if event.type == "alias" and event.previous not in (None, user):
        # Two halves: the user who survives must not take it for one that ends them, should it come round to them.
        editor.emit(Forward(event.previous, event))
        said = {"previousId": event.previous}  # for the archive
        event = msgspec.structs.replace(event, previous=None, properties=said)
    editor.emit(Forward(user, event))


def apply_merge(editor: UserEditor, merge: Merge) -> None:
    """Take over the past of another id, once."""
    past, deleted_at = merge.user, editor.tombstone.deleted_at
    check_release(editor, past.release)
    account_control(editor, merge)
    if past.id in editor.lineage.merged:
        link_tokens(editor, merge)
    elif past.id == editor.id or past.created is None:
        pass  # of whom nothing is known
    elif deleted_at is not None and merge.arrival <= deleted_at:
        forget_past(editor, past)
    else:
        editor.come_to(merge.arrival, historical=merge.historical)
        if editor.lineage.created is None:
            editor.memberships.resolve(editor.begin(), editor, Trigger("merge"), first=True)
        editor.join(past, merge.arrival)
        link_tokens(editor, merge)
        editor.emit(Merged(editor.id, past.id, editor.clock))


def pass_on(editor: UserEditor, item: Input, owner: Owner) -> None:
    """Pass an input of a merged user on to the owner."""
    if isinstance(item, Event):
        _pass_event_on(editor, item, owner)
    elif isinstance(item, Merge):
        _pass_past_on(editor, item, owner)
    elif isinstance(item, Announcement):
        account_control(editor, item)  # the owner hears of it, too
    elif isinstance(item, Seed):
        editor.emit(Forward(owner.first, item))  # who has the past
    else:
        editor.emit(Forward(owner.latest, item))


def _pass_event_on(editor: UserEditor, event: Event, owner: Owner) -> None:
    alias = gives_up(editor, event)
    seen = message_hash_of(editor, event) in editor.seen
    if editor.tombstone.took(event):
        account(editor, event, "duplicate" if editor.tombstone.is_for(event) else "deleted")
    elif alias and event.user == owner.latest:  # it says again whom this user was merged into
        _hand_over(editor, owner, owner.latest)
        account(editor, event, "duplicate" if seen else "applied")
        if not seen:
            editor.seen.add(message_hash_of(editor, event), editor.clock)
    elif seen:  # It is in the past that was handed over, and would count twice if it overtook that.
        account(editor, event, "duplicate")
    else:
        close_send(editor, event)
        if event.type != "alias":  # which adds nothing up
            editor.seen.add(_passed_hash(editor, event), editor.clock)
        # An alias concerns the user who survived now.
        editor.emit(Forward(owner.latest, msgspec.structs.replace(event, previous=owner.latest) if alias else event))
        if editor.lineage.created is None:
            # Events do not say whom they passed, and would go round in a circle for ever: a past finds it.
            editor.emit(Forward(owner.latest, _past_of(editor, owner)))


def _pass_past_on(editor: UserEditor, merge: Merge, owner: Owner) -> None:
    """Pass a past on. One that comes by a second time was merged in a circle: the user with the least id stays."""
    trail = (merge.user.id, *merge.path)
    circle = trail[len(trail) - 1 - trail[::-1].index(editor.id) :] if editor.id in trail else ()
    if trail[0] == editor.id and trail[1:2] != (owner.latest,):
        # Handed over before a circle ended here; what has become of it since then is with the owner.
        account_control(editor, merge)
    elif circle and editor.id == min(circle) and circle[1:2] == (owner.latest,):
        editor.revive()
        apply_merge(editor, merge)
    else:
        editor.emit(Forward(owner.latest, msgspec.structs.replace(merge, path=(*merge.path, editor.id))))


def _hand_over(editor: UserEditor, owner: Owner, user: str) -> None:
    """Give a user the past of this one, if there is any."""
    if editor.lineage.created is not None:
        editor.emit(Forward(user, _past_of(editor, owner)))


def hand_over_again(editor: UserEditor) -> None:
    """Where nobody may have seen what was given out, the owner gets the past anew, before anything that is passed on.

    Else the owner would decide without it: send what this id was sent, or against what it refused.
    """
    if (owner := editor.lineage.owner) is not None:
        _hand_over(editor, owner, owner.first)


def _past_of(editor: UserEditor, owner: Owner) -> Merge:
    """What a user hands over: the same each time."""
    return Merge(owner.since, editor.snapshot(owner.since), historical=owner.historical)


def asks_first(editor: UserEditor, event: Event) -> bool:
    """Whether an event must go once more to the user into whom this one was merged, after a circle ended here.

    Another copy of it went there while this user was merged, and may count there: then this one is a duplicate, which
    only they can tell. If they do not know it, it comes back with this user's id in it, and counts here.
    """
    return event.previous is None and _passed_hash(editor, event) in editor.seen


def ask_first(editor: UserEditor, event: Event) -> None:
    """Ask the user into whom this one was merged whether an event counts there, see `asks_first`."""
    editor.emit(Forward(editor.lineage.former, msgspec.structs.replace(event, previous=editor.id)))


def _passed_hash(editor: UserEditor, event: Event) -> int:
    """The hash that is remembered of an event that was passed on and not applied here."""
    return hash_message(f"{event.id}\x00passed by {editor.id}")
