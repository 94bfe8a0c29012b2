"""advance(user, input, definitions) -> (user', effects): the whole meaning of the product, without clock, network or
chance.

Both Beam shells call the same code: the bounded one folds many inputs into one editor, the unbounded one an input at a
time. The answer is the same, since an editor brings about a user's own deadlines before each input.
"""

from collections.abc import Iterable

import msgspec

from transforms.campaigns.load import Definitions
from transforms.campaigns.trigger import Trigger
from transforms.events.event import RECEIPT, Event
from transforms.users.accounts import account, account_control, close_send, makes_known
from transforms.users.archive import token_lost
from transforms.users.deletion import delete, delete_merged
from transforms.users.editor import UserEditor
from transforms.users.effects import Account, Effect, Forward, ProfileChanged, Recorded, Redeliver
from transforms.users.links import link, link_again
from transforms.users.merging import (
    apply_alias,
    apply_merge,
    ask_first,
    asks_first,
    check_release,
    gives_up,
    hand_over_again,
    identify,
    message_hash_of,
    pass_on,
)
from transforms.users.rate_limit import refuse_hot
from transforms.users.seen import hash_message
from transforms.users.user import (
    ANONYMOUS,
    Announcement,
    Input,
    Merge,
    OwnerDeleted,
    Seed,
    TokenReassigned,
    User,
    Wake,
    by_arrival,
)

__all__ = ["advance", "advance_anonymous", "apply", "fold"]


def advance(user: User, item: Input, definitions: Definitions) -> tuple[User, list[Effect]]:
    """Apply one input to the user with a user id that it belongs to.

    Raises:
      OlderDefinitions: the user, or the input, was judged by newer ones.
    """
    return fold(user, (item,), definitions)


def advance_anonymous(user: User, item: Input, definitions: Definitions) -> tuple[User, list[Effect]]:
    """Apply one input to an anonymous id: the same, but once the id is identified everything goes on to its owner."""
    return fold(user, (item,), definitions)


def fold(user: User, inputs: Iterable[Input], definitions: Definitions) -> tuple[User, list[Effect]]:
    """Apply inputs one after another. An id that starts with `~` is anonymous, see `advance_anonymous`."""
    editor = UserEditor(user, definitions)
    apply_one = _apply_anonymous if user.id.startswith(ANONYMOUS) else apply
    for item in inputs:
        apply_one(editor, item)
    return editor.close(), editor.effects


def apply(editor: UserEditor, item: Input) -> None:
    """Apply one input to the open user with a user id."""
    if isinstance(item, Wake):
        _apply_wake(editor, item)
    elif isinstance(item, OwnerDeleted):
        delete_merged(editor, item)
        account_control(editor, item)
    elif (owner := editor.lineage.owner) is not None:
        pass_on(editor, item, owner)
    elif isinstance(item, Event):
        _apply_event(editor, item)
    elif isinstance(item, Merge):
        apply_merge(editor, item)
    elif isinstance(item, TokenReassigned):
        _apply_reassigned(editor, item)
    elif isinstance(item, Seed):
        _apply_seed(editor, item)
    else:
        _apply_announcement(editor, item)


def _apply_anonymous(editor: UserEditor, item: Input) -> None:
    if not isinstance(item, Event) or item.type == RECEIPT:
        apply(editor, item)
    elif editor.rate_limit.name(item.user):
        refuse_hot(item, editor)
    elif item.user is not None:
        identify(editor, item, item.user)
    elif (owner := editor.lineage.owner) is None:
        _apply_event(editor, item)
    elif hash_message(item.id) in editor.seen:
        account(editor, item, "duplicate")
    else:
        editor.emit(Forward(owner.at(by_arrival(item)), item))


def _apply_event(editor: UserEditor, event: Event) -> None:
    """Find out whether an event counts, and for what."""
    message_hash, tombstone = message_hash_of(editor, event), editor.tombstone
    if message_hash in editor.seen or tombstone.is_for(event):
        link_again(editor, event)
        close_send(editor, event)
        account(editor, event, "duplicate")
    elif (tombstone.deleted is not None and tombstone.took(event)) or (
        editor.lineage.created is None and not makes_known(event)
    ):
        account(editor, event, "deleted")
    elif editor.lineage.former and asks_first(editor, event):
        ask_first(editor, event)
    elif editor.rate_limit.count(event):
        refuse_hot(event, editor)
    elif gives_up(editor, event):
        apply_alias(editor, event, message_hash)
    elif event.type == "delete":
        delete(editor, event, message_hash)
        account(editor, event, "applied")
    else:
        _count(editor, event, message_hash)
        account(editor, event, "applied")


def _count(editor: UserEditor, event: Event, message_hash: int) -> None:
    """Let an event count."""
    if event.previous is not None and event.type != "alias":  # it was asked for, see `asks_first`
        event = msgspec.structs.replace(event, previous=None)
    editor.come_to(event.arrival, historical=event.historical)
    editor.seen.add(message_hash, editor.clock)
    if editor.warming:
        editor.seeds.note_early(event.arrival, editor)
    close_send(editor, event)
    begun = editor.begin() if editor.lineage.created is None else None
    editor.emit(Recorded(editor.id, event))
    facts = editor.profile.apply(event)
    if facts:
        editor.emit(ProfileChanged(editor.id, editor.clock, tuple(facts)))
        link(editor, event, facts)
    if editor.policies.sessions is not None:
        editor.sessions.add(event, editor.clock)
    editor.apply_event(event, message_hash, facts, begun)


def _apply_wake(editor: UserEditor, wake: Wake) -> None:
    """Let time pass. A user who was merged has no deadlines: the owner has them."""
    if wake.again:
        for send in editor.sends.by_id.values():
            editor.emit(Redeliver(send))  # one that expired, too: Deliver says so, and the receipt closes it
        hand_over_again(editor)
    if editor.lineage.owner is None:
        editor.come_to(wake.arrival, historical=wake.historical)
    account_control(editor, wake)


def _apply_reassigned(editor: UserEditor, token: TokenReassigned) -> None:
    """Give up a token. That triggers nothing, since somebody else did it."""
    editor.come_to(token.arrival)
    stamp = token.time, token.id
    if facts := editor.profile.release(token.token, stamp):
        editor.emit(token_lost(editor.id, token.token, stamp, editor.clock))
        editor.emit(ProfileChanged(editor.id, editor.clock, tuple(facts)))
        editor.memberships.resolve(editor.leaves.update_facts(facts, editor), editor, Trigger("token"))
        editor.decide()
    account_control(editor, token)


def _apply_announcement(editor: UserEditor, announcement: Announcement) -> None:
    """Tell a known user of an event that concerns no user, once."""
    message_hash = hash_message(announcement.id)
    if editor.lineage.created is not None and message_hash not in editor.seen:
        editor.come_to(announcement.arrival)
        editor.seen.add(message_hash, editor.clock)
        editor.apply_announcement(announcement.event)
    account_control(editor, announcement)


def _apply_seed(editor: UserEditor, seed: Seed) -> None:
    """Join the history before an activation, once; that triggers nothing, since it is history."""
    check_release(editor, seed.release)
    known = editor.lineage.created is not None
    outcome, cause = editor.seeds.outcome(seed, editor) if known else ("deleted", "")  # a seed makes nobody known
    if outcome == "applied":
        editor.come_to(seed.arrival)
        editor.join_seed(seed)
    editor.emit(Account(outcome, seed.id, cause, control=True))
