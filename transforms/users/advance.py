"""advance(user, input, definitions) -> (user', effects): all that the product means; no clock, network or chance.

Both Beam shells call the same code: the bounded one folds many inputs into one draft, the unbounded one an input at a
time. The answer is the same, since a draft settles a user's own deadlines before each input.
"""

from collections.abc import Iterable

import msgspec

from transforms.campaigns.caps import FAILED, given_back
from transforms.campaigns.load import Definitions
from transforms.campaigns.release import OlderDefinitions
from transforms.campaigns.user_view import Trigger
from transforms.events.event import RECEIPT, Event
from transforms.users.archive import token_lost
from transforms.users.deletion import delete, delete_merged, forget_past, is_deletion_again, is_gone
from transforms.users.editor import UserEditor
from transforms.users.effects import Account, Effect, Forward, Linked, Merged, ProfileChanged, Recorded, Redeliver
from transforms.users.links import link, link_again, link_tokens
from transforms.users.rate_limit import is_shared, is_too_fast
from transforms.users.seen import hash_message
from transforms.users.sessions import with_event
from transforms.users.user import (
    ANONYMOUS,
    Announcement,
    Input,
    Merge,
    Owner,
    OwnerDeleted,
    Seed,
    SeedState,
    TokenReassigned,
    User,
    Wake,
    by_arrival,
)

__all__ = ["accounts_of", "advance", "advance_anonymous", "apply", "fold"]


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
    """Apply inputs one after another; for an id that starts with `~` as `advance_anonymous` does."""
    editor = UserEditor(user, definitions)
    take = _apply_anonymous if user.id.startswith(ANONYMOUS) else apply
    for item in inputs:
        take(editor, item)
    return editor.end()


def apply(editor: UserEditor, item: Input) -> None:
    """Apply one input to the open draft of a user with a user id."""
    if editor.owner is not None:
        _pass_on(editor, item, editor.owner)
    elif isinstance(item, Event):
        _apply_event(editor, item)
    elif isinstance(item, Merge):
        _apply_merge(editor, item)
    elif isinstance(item, TokenReassigned):
        _apply_taken(editor, item)
    elif isinstance(item, Seed):
        _apply_seed(editor, item)
    elif isinstance(item, Announcement):
        _apply_announcement(editor, item)
    elif isinstance(item, OwnerDeleted):
        _apply_owner_deleted(editor, item)
    else:
        _apply_wake(editor, item)


def _apply_wake(editor: UserEditor, wake: Wake) -> None:
    if wake.again:
        for send in editor.sends.values():
            editor.emit(Redeliver(send))  # one that expired, too: Deliver says so, and the receipt closes it
    if editor.owner is None:
        editor.advance_to(wake.arrival, historical=wake.historical)
        editor.clock = max(editor.clock, wake.arrival)
    _account_control(editor, wake)


def _apply_taken(editor: UserEditor, taken: TokenReassigned) -> None:
    """Give up a token; that triggers nothing, since it was somebody else who did something."""
    editor.advance_to(taken.arrival)
    editor.clock = max(editor.clock, taken.arrival)
    stamp = taken.time, taken.id
    if facts := editor.profile.release(taken.token, stamp):
        editor.emit(token_lost(editor.id, taken.token, stamp, editor.clock))
        editor.emit(ProfileChanged(editor.id, editor.clock, tuple(facts)))
        editor.resolve(editor.update_leaves_of_facts(facts), Trigger("token"), editor.clock)
        editor.journeys.decide(editor.clock)
    _account_control(editor, taken)


def _apply_owner_deleted(editor: UserEditor, told: OwnerDeleted) -> None:
    delete_merged(editor, told)
    _account_control(editor, told)


def _apply_announcement(editor: UserEditor, announcement: Announcement) -> None:
    """Let a known user hear of an event that concerns no user, once."""
    message_hash = hash_message(announcement.id)
    if editor.created is not None and message_hash not in editor.seen:
        editor.advance_to(announcement.arrival)
        editor.clock = max(editor.clock, announcement.arrival)
        editor.remember(message_hash)
        editor.apply_announcement(announcement.event)
    _account_control(editor, announcement)


def _pass_on(editor: UserEditor, item: Input, owner: Owner) -> None:
    """An input of a user who was merged into another one: it is that one's now."""
    if isinstance(item, Wake):
        _apply_wake(editor, item)
    elif isinstance(item, Announcement):
        _account_control(editor, item)  # the owner hears of it, too
    elif isinstance(item, OwnerDeleted):
        _apply_owner_deleted(editor, item)
    elif isinstance(item, Merge):
        _pass_past_on(editor, item, owner)
    elif isinstance(item, Event) and is_gone(editor, item):
        _account(editor, item, "duplicate" if is_deletion_again(editor, item) else "deleted")
    elif isinstance(item, Event) and _gives_up(editor, item) and item.user == owner.latest:
        _alias_again(editor, item, owner)
    elif isinstance(item, Event) and _hash_of(editor, item) in editor.seen:
        # It is in the past that was handed over, and would count twice if it overtook that.
        _account(editor, item, "duplicate")
    elif isinstance(item, Event):
        _close_send(editor, item)
        alias = _gives_up(editor, item)  # one that now concerns the user who survived
        if item.type != "alias":  # which adds nothing up
            editor.remember(_passed_hash(editor, item))
        editor.emit(Forward(owner.latest, msgspec.structs.replace(item, previous=owner.latest) if alias else item))
        if editor.created is None:
            # Events do not say whom they passed, and would go round in a circle for ever: a past finds it.
            editor.emit(Forward(owner.latest, _past_of(editor, owner)))
    elif isinstance(item, Seed):
        editor.emit(Forward(owner.first, item))  # who has the past
    else:
        editor.emit(Forward(owner.latest, item))


def _pass_past_on(editor: UserEditor, merge: Merge, owner: Owner) -> None:
    """A past that comes by a second time was merged into a circle of users: the one with the least id stays."""
    trail = (merge.user.id, *merge.path)
    if trail[0] == editor.id and trail[1:2] != (owner.latest,):
        # Handed over before a circle ended here; what has become of it since then is with the owner.
        _account_control(editor, merge)
        return
    if editor.id in trail:
        circle = trail[len(trail) - 1 - trail[::-1].index(editor.id) :]
        if editor.id == min(circle) and circle[1:2] == (owner.latest,):
            editor.revive()
            _apply_merge(editor, merge)
            return
    editor.emit(Forward(owner.latest, msgspec.structs.replace(merge, path=(*merge.path, editor.id))))


def _past_of(editor: UserEditor, owner: Owner) -> Merge:
    """What a user hands over: the same at every time."""
    return Merge(owner.since, editor.snapshot(owner.since), historical=owner.historical)


def _close_send(editor: UserEditor, event: Event) -> None:
    """Forget an open send of which a receipt has come; one that certainly failed counts for no frequency cap."""
    if event.type == RECEIPT:
        send = str(event.properties.get("send"))
        editor.sends.pop(send, None)
        if event.properties.get("kind") in FAILED:
            editor.cap_history = given_back(editor.cap_history, send)


def _account_control(editor: UserEditor, item: Wake | Merge | TokenReassigned | Announcement | OwnerDeleted) -> None:
    """Say how a message of the control topic ended."""
    if item.control:
        editor.emit(Account("applied", item.id, control=True))


def _apply_event(editor: UserEditor, event: Event) -> None:
    message_hash = _hash_of(editor, event)
    if _refused(editor, event, message_hash) or _asks_first(editor, event) or is_too_fast(editor, event):
        return
    if _gives_up(editor, event):
        _apply_alias(editor, event, message_hash)
        return
    if event.type == "delete":
        delete(editor, event, message_hash)
        _account(editor, event, "applied")
        return
    if event.previous is not None and event.type != "alias":  # it was asked for, see `_asks_first`
        event = msgspec.structs.replace(event, previous=None)
    editor.advance_to(event.arrival, historical=event.historical)
    editor.clock = max(editor.clock, event.arrival)
    editor.remember(message_hash)
    if editor.warming:
        editor.note_early(event.arrival)
    _close_send(editor, event)
    begun = editor.begin() if editor.created is None else None
    editor.emit(Recorded(editor.id, event))
    facts = editor.profile.apply(event)
    if facts:
        editor.emit(ProfileChanged(editor.id, editor.clock, tuple(facts)))
        link(editor, event, facts)
    if (gap := editor.definitions.policies.sessions) is not None:
        editor.session = with_event(editor.session, event, gap, editor.clock)
    editor.apply_event(event, message_hash, facts, begun)
    _account(editor, event, "applied")


def _refused(editor: UserEditor, event: Event, message_hash: int) -> bool:
    """Whether an event is from before a deletion or was applied already; it is accounted for then."""
    if message_hash in editor.seen or is_deletion_again(editor, event):
        link_again(editor, event)
        _close_send(editor, event)
        _account(editor, event, "duplicate")
    elif is_gone(editor, event) or (event.type == RECEIPT and editor.created is None):
        _account(editor, event, "deleted")  # what became of a send makes nobody known
    else:
        return False
    return True


def _asks_first(editor: UserEditor, event: Event) -> bool:
    """Whether an event goes on to whom this user was merged into once more, after a circle ended here.

    Another copy of it went there while this user was merged, and may count there: then this one is a duplicate, which
    only they can tell. If they do not know it, it comes back with this user's id in it, and counts here.
    """
    if not editor.former or event.previous is not None or _passed_hash(editor, event) not in editor.seen:
        return False
    editor.emit(Forward(editor.former, msgspec.structs.replace(event, previous=editor.id)))
    return True


def _passed_hash(editor: UserEditor, event: Event) -> int:
    """What is remembered of an event that was passed on: this user has not applied it."""
    return hash_message(f"{event.id}\x00passed by {editor.id}")


def _gives_up(editor: UserEditor, event: Event) -> bool:
    """Whether an event is an alias by which this user goes on as another one."""
    return event.type == "alias" and event.previous == editor.id != event.user


def _hash_of(editor: UserEditor, event: Event) -> int:
    """The hash of a message; of an alias both halves may come to one user, and are two."""
    return hash_message(f"{event.id}\x00previous" if _gives_up(editor, event) else event.id)


def accounts_of(user: str, event: Event, outcome: str, cause: str = "") -> tuple[Account, ...]:
    """What a user says of how a message ended; of an alias, which goes to two, only the one with the previous id."""
    if event.type == "alias" and event.previous not in (user, event.user):
        return ()
    return (Account(outcome, event.id, cause, event if cause else None, control=event.type == RECEIPT),)


def _account(editor: UserEditor, event: Event, outcome: str, cause: str = "") -> None:
    for account in accounts_of(editor.id, event, outcome, cause):
        editor.emit(account)


def _apply_alias(editor: UserEditor, event: Event, message_hash: int) -> None:
    """An alias, at its previous id: this user goes on as the other one, who gets the past and what comes now."""
    assert event.user is not None
    editor.advance_to(event.arrival, historical=event.historical)
    editor.clock = max(editor.clock, event.arrival)
    editor.remember(message_hash)
    if event.user not in editor.merged:
        editor.leave_all("merge")
        editor.owner = Owner(event.user, editor.clock, event.user, event.historical)
        if editor.created is not None:
            editor.emit(Forward(event.user, _past_of(editor, editor.owner)))
    _account(editor, event, "applied")


def _alias_again(editor: UserEditor, event: Event, owner: Owner) -> None:
    """An alias that says again whom this user was merged into."""
    if editor.created is not None:
        editor.emit(Forward(owner.latest, _past_of(editor, owner)))
    message_hash = _hash_of(editor, event)
    seen = message_hash in editor.seen
    _account(editor, event, "duplicate" if seen else "applied")
    if not seen:
        editor.remember(message_hash)


def _apply_seed(editor: UserEditor, seed: Seed) -> None:
    """Join the history before an activation, once; that triggers nothing, since it is history."""
    _check_release(editor, seed.release)
    outcome, cause = _seed_outcome(editor, seed)
    if outcome == "applied":
        editor.advance_to(seed.arrival)
        editor.clock = max(editor.clock, seed.arrival)
        editor.join_seed(seed)
    editor.emit(Account(outcome, seed.id, cause, control=True))


def _seed_outcome(editor: UserEditor, seed: Seed) -> tuple[str, str]:
    """How a seed ends, and why."""
    if editor.created is None:  # a seed makes nobody known
        return "deleted", ""
    state = editor.seeds.get(seed.before, {}).get(seed.user)
    if state is not None and state >= SeedState.COME:
        return "duplicate", ""
    if 0 <= seed.version < editor.early.get(seed.before, {}).get(seed.user, 0):
        return "again", ""
    if state is SeedState.MISSED:
        return "duplicate", "missed"
    if state is None and (seed.user == editor.id or seed.before not in editor.definitions.activations.values()):
        return "duplicate", "not_awaited"
    return "applied", ""


def _check_release(editor: UserEditor, release: int) -> None:
    if release > editor.definitions.release:
        raise OlderDefinitions(release, editor.definitions.release)


def _apply_merge(editor: UserEditor, merge: Merge) -> None:
    _check_release(editor, merge.user.release)
    _account_control(editor, merge)
    if merge.user.id in editor.merged:
        link_tokens(editor, merge)
        return
    if merge.user.id == editor.id or merge.user.created is None:
        return
    if editor.deleted_at is not None and merge.arrival <= editor.deleted_at:
        forget_past(editor, merge.user)
        return
    editor.advance_to(merge.arrival, historical=merge.historical)
    editor.clock = max(editor.clock, merge.arrival)
    if editor.created is None:
        editor.resolve(editor.begin(), Trigger("merge"), editor.clock, first=True)
    editor.join(merge.user, merge.arrival)
    link_tokens(editor, merge)
    editor.emit(Merged(editor.id, merge.user.id, editor.clock))


def _apply_anonymous(editor: UserEditor, item: Input) -> None:
    if not isinstance(item, Event) or item.type == RECEIPT:
        apply(editor, item)
    elif is_shared(editor, item):
        return
    elif item.user is not None:
        _identify(editor, item, item.user)
    elif editor.owner is None:
        _apply_event(editor, item)
    elif hash_message(item.id) in editor.seen:
        _account(editor, item, "duplicate")
    else:
        editor.emit(Forward(editor.owner.at(by_arrival(item)), item))


def _identify(editor: UserEditor, event: Event, owner: str) -> None:
    """Give the anonymous id to a user: the first gets its past, each time the same; the latest gets what comes then."""
    whose = editor.owner
    if whose is None:
        editor.advance_to(event.arrival, historical=event.historical)
        editor.clock = max(editor.clock, event.arrival)
        editor.leave_all("merge")
        whose = Owner(owner, editor.clock, owner, event.historical)
    elif event.arrival >= editor.clock:
        whose = whose.after(by_arrival(event), owner)
    editor.owner, editor.clock = whose, max(editor.clock, event.arrival)
    anonymous = editor.id.removeprefix(ANONYMOUS)
    if not is_gone(editor, event):  # and the link with it
        editor.emit(Linked("anonymous", anonymous, whose.latest, event.arrival))
    if whose.first == owner and editor.created is not None:
        editor.emit(Forward(owner, _past_of(editor, whose)))
    if event.type == "alias" and event.previous not in (None, owner):
        # Two halves: the user who survives must not take it for one that ends them, should it come round to them.
        editor.emit(Forward(event.previous, event))
        said = {"previousId": event.previous}  # for the archive
        event = msgspec.structs.replace(event, previous=None, properties=said)
    editor.emit(Forward(owner, event))
