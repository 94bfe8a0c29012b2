"""advance(user, input, definitions) -> (user', effects): all that the product means; no clock, network or chance.

Both Beam shells call the same code: the bounded one folds many inputs into one draft, the unbounded one an input at a
time. The answer is the same, since a draft settles a user's own deadlines before each input.
"""

from collections.abc import Iterable

import msgspec

from transforms.campaigns.caps import FAILED, given_back
from transforms.campaigns.load import Definitions
from transforms.campaigns.person import Cause
from transforms.campaigns.release import OlderDefinitions
from transforms.events.event import RECEIPT, Event
from transforms.users.archive import token_lost
from transforms.users.deletion import delete, delete_merged, forget_past, is_deletion_again, is_gone
from transforms.users.draft import Draft
from transforms.users.effects import Account, Again, Effect, Forward, Linked, Merged, ProfileChanged, Recorded
from transforms.users.hot import is_shared, is_too_fast
from transforms.users.links import link, link_again, link_tokens
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
    TokenTaken,
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
    draft = Draft(user, definitions)
    take = _apply_anonymous if user.id.startswith(ANONYMOUS) else apply
    for item in inputs:
        take(draft, item)
    return draft.end()


def apply(draft: Draft, item: Input) -> None:
    """Apply one input to the open draft of a user with a user id."""
    if draft.owner is not None:
        _pass_on(draft, item, draft.owner)
    elif isinstance(item, Event):
        _apply_event(draft, item)
    elif isinstance(item, Merge):
        _apply_merge(draft, item)
    elif isinstance(item, TokenTaken):
        _apply_taken(draft, item)
    elif isinstance(item, Seed):
        _apply_seed(draft, item)
    elif isinstance(item, Announcement):
        _apply_announcement(draft, item)
    elif isinstance(item, OwnerDeleted):
        _apply_owner_deleted(draft, item)
    else:
        _apply_wake(draft, item)


def _apply_wake(draft: Draft, wake: Wake) -> None:
    if wake.again:
        for send in draft.sends.values():
            draft.emit(Again(send))  # one that expired, too: Deliver says so, and the receipt closes it
    if draft.owner is None:
        draft.settle(wake.arrival, historical=wake.historical)
        draft.clock = max(draft.clock, wake.arrival)
    _account_control(draft, wake)


def _apply_taken(draft: Draft, taken: TokenTaken) -> None:
    """Give up a token; that triggers nothing, since it was somebody else who did something."""
    draft.settle(taken.arrival)
    draft.clock = max(draft.clock, taken.arrival)
    stamp = taken.time, taken.id
    if facts := draft.profile.release(taken.token, stamp):
        draft.emit(token_lost(draft.id, taken.token, stamp, draft.clock))
        draft.emit(ProfileChanged(draft.id, draft.clock, tuple(facts)))
        draft.resolve(draft.touch_facts(facts), Cause("token"), draft.clock)
        draft.journeys.decide(draft.clock)
    _account_control(draft, taken)


def _apply_owner_deleted(draft: Draft, told: OwnerDeleted) -> None:
    delete_merged(draft, told)
    _account_control(draft, told)


def _apply_announcement(draft: Draft, announcement: Announcement) -> None:
    """Let a known user hear of an event that concerns no user, once."""
    message_hash = hash_message(announcement.id)
    if draft.created is not None and message_hash not in draft.seen:
        draft.settle(announcement.arrival)
        draft.clock = max(draft.clock, announcement.arrival)
        draft.remember(message_hash)
        draft.hear(announcement.event)
    _account_control(draft, announcement)


def _pass_on(draft: Draft, item: Input, owner: Owner) -> None:
    """An input of a user who was merged into another one: it is that one's now."""
    if isinstance(item, Wake):
        _apply_wake(draft, item)
    elif isinstance(item, Announcement):
        _account_control(draft, item)  # the owner hears of it, too
    elif isinstance(item, OwnerDeleted):
        _apply_owner_deleted(draft, item)
    elif isinstance(item, Merge):
        _pass_past_on(draft, item, owner)
    elif isinstance(item, Event) and is_gone(draft, item):
        _account(draft, item, "duplicate" if is_deletion_again(draft, item) else "deleted")
    elif isinstance(item, Event) and _gives_up(draft, item) and item.user == owner.latest:
        _alias_again(draft, item, owner)
    elif isinstance(item, Event) and _hash_of(draft, item) in draft.seen:
        # It is in the past that was handed over, and would count twice if it overtook that.
        _account(draft, item, "duplicate")
    elif isinstance(item, Event):
        _close_send(draft, item)
        alias = _gives_up(draft, item)  # one that now concerns the user who survived
        if item.type != "alias":  # which adds nothing up
            draft.remember(_passed_hash(draft, item))
        draft.emit(Forward(owner.latest, msgspec.structs.replace(item, previous=owner.latest) if alias else item))
        if draft.created is None:
            # Events do not say whom they passed, and would go round in a circle for ever: a past finds it.
            draft.emit(Forward(owner.latest, _past_of(draft, owner)))
    elif isinstance(item, Seed):
        draft.emit(Forward(owner.first, item))  # who has the past
    else:
        draft.emit(Forward(owner.latest, item))


def _pass_past_on(draft: Draft, merge: Merge, owner: Owner) -> None:
    """A past that comes by a second time was merged into a circle of users: the one with the least id stays."""
    trail = (merge.user.id, *merge.path)
    if trail[0] == draft.id and trail[1:2] != (owner.latest,):
        # Handed over before a circle ended here; what has become of it since then is with the owner.
        _account_control(draft, merge)
        return
    if draft.id in trail:
        circle = trail[len(trail) - 1 - trail[::-1].index(draft.id) :]
        if draft.id == min(circle) and circle[1:2] == (owner.latest,):
            draft.revive()
            _apply_merge(draft, merge)
            return
    draft.emit(Forward(owner.latest, msgspec.structs.replace(merge, path=(*merge.path, draft.id))))


def _past_of(draft: Draft, owner: Owner) -> Merge:
    """What a user hands over: the same at every time."""
    return Merge(owner.since, draft.snapshot(owner.since), historical=owner.historical)


def _close_send(draft: Draft, event: Event) -> None:
    """Forget an open send of which a receipt has come; one that certainly failed counts for no frequency cap."""
    if event.type == RECEIPT:
        send = str(event.properties.get("send"))
        draft.sends.pop(send, None)
        if event.properties.get("kind") in FAILED:
            draft.counted = given_back(draft.counted, send)


def _account_control(draft: Draft, item: Wake | Merge | TokenTaken | Announcement | OwnerDeleted) -> None:
    """Say how a message of the control topic ended."""
    if item.control:
        draft.emit(Account("applied", item.id, control=True))


def _apply_event(draft: Draft, event: Event) -> None:
    message_hash = _hash_of(draft, event)
    if _refused(draft, event, message_hash) or _asks_first(draft, event) or is_too_fast(draft, event):
        return
    if _gives_up(draft, event):
        _apply_alias(draft, event, message_hash)
        return
    if event.type == "delete":
        delete(draft, event, message_hash)
        _account(draft, event, "applied")
        return
    if event.previous is not None and event.type != "alias":  # it was asked for, see `_asks_first`
        event = msgspec.structs.replace(event, previous=None)
    draft.settle(event.arrival, historical=event.historical)
    draft.clock = max(draft.clock, event.arrival)
    draft.remember(message_hash)
    if draft.warming:
        draft.note_early(event.arrival)
    _close_send(draft, event)
    begun = draft.begin() if draft.created is None else None
    draft.emit(Recorded(draft.id, event))
    facts = draft.profile.apply(event)
    if facts:
        draft.emit(ProfileChanged(draft.id, draft.clock, tuple(facts)))
        link(draft, event, facts)
    if (gap := draft.definitions.policies.sessions) is not None:
        draft.session = with_event(draft.session, event, gap, draft.clock)
    draft.happen(event, message_hash, facts, begun)
    _account(draft, event, "applied")


def _refused(draft: Draft, event: Event, message_hash: int) -> bool:
    """Whether an event is from before a deletion or was applied already; it is accounted for then."""
    if message_hash in draft.seen or is_deletion_again(draft, event):
        link_again(draft, event)
        _close_send(draft, event)
        _account(draft, event, "duplicate")
    elif is_gone(draft, event) or (event.type == RECEIPT and draft.created is None):
        _account(draft, event, "deleted")  # what became of a send makes nobody known
    else:
        return False
    return True


def _asks_first(draft: Draft, event: Event) -> bool:
    """Whether an event goes on to whom this user was merged into once more, after a circle ended here.

    Another copy of it went there while this user was merged, and may count there: then this one is a duplicate, which
    only they can tell. If they do not know it, it comes back with this user's id in it, and counts here.
    """
    if not draft.former or event.previous is not None or _passed_hash(draft, event) not in draft.seen:
        return False
    draft.emit(Forward(draft.former, msgspec.structs.replace(event, previous=draft.id)))
    return True


def _passed_hash(draft: Draft, event: Event) -> int:
    """What is remembered of an event that was passed on: this user has not applied it."""
    return hash_message(f"{event.id}\x00passed by {draft.id}")


def _gives_up(draft: Draft, event: Event) -> bool:
    """Whether an event is an alias by which this user goes on as another one."""
    return event.type == "alias" and event.previous == draft.id != event.user


def _hash_of(draft: Draft, event: Event) -> int:
    """The hash of a message; of an alias both halves may come to one user, and are two."""
    return hash_message(f"{event.id}\x00previous" if _gives_up(draft, event) else event.id)


def accounts_of(user: str, event: Event, outcome: str, cause: str = "") -> tuple[Account, ...]:
    """What a user says of how a message ended; of an alias, which goes to two, only the one with the previous id."""
    if event.type == "alias" and event.previous not in (user, event.user):
        return ()
    return (Account(outcome, event.id, cause, event if cause else None, control=event.type == RECEIPT),)


def _account(draft: Draft, event: Event, outcome: str, cause: str = "") -> None:
    for account in accounts_of(draft.id, event, outcome, cause):
        draft.emit(account)


def _apply_alias(draft: Draft, event: Event, message_hash: int) -> None:
    """An alias, at its previous id: this user goes on as the other one, who gets the past and what comes now."""
    assert event.user is not None
    draft.settle(event.arrival, historical=event.historical)
    draft.clock = max(draft.clock, event.arrival)
    draft.remember(message_hash)
    if event.user not in draft.merged:
        draft.leave_all("merge")
        draft.owner = Owner(event.user, draft.clock, event.user, event.historical)
        if draft.created is not None:
            draft.emit(Forward(event.user, _past_of(draft, draft.owner)))
    _account(draft, event, "applied")


def _alias_again(draft: Draft, event: Event, owner: Owner) -> None:
    """An alias that says again whom this user was merged into."""
    if draft.created is not None:
        draft.emit(Forward(owner.latest, _past_of(draft, owner)))
    message_hash = _hash_of(draft, event)
    seen = message_hash in draft.seen
    _account(draft, event, "duplicate" if seen else "applied")
    if not seen:
        draft.remember(message_hash)


def _apply_seed(draft: Draft, seed: Seed) -> None:
    """Join the history before an activation, once; that triggers nothing, since it is history."""
    _check_serial(draft, seed.serial)
    outcome, cause = _seed_outcome(draft, seed)
    if outcome == "applied":
        draft.settle(seed.arrival)
        draft.clock = max(draft.clock, seed.arrival)
        draft.join_seed(seed)
    draft.emit(Account(outcome, seed.id, cause, control=True))


def _seed_outcome(draft: Draft, seed: Seed) -> tuple[str, str]:
    """How a seed ends, and why."""
    if draft.created is None:  # a seed makes nobody known
        return "deleted", ""
    state = draft.seeds.get(seed.before, {}).get(seed.user)
    if state is not None and state >= SeedState.COME:
        return "duplicate", ""
    if 0 <= seed.revision < draft.early.get(seed.before, {}).get(seed.user, 0):
        return "again", ""
    if state is SeedState.MISSED:
        return "duplicate", "missed"
    if state is None and (seed.user == draft.id or seed.before not in draft.definitions.activations.values()):
        return "duplicate", "not_awaited"
    return "applied", ""


def _check_serial(draft: Draft, serial: int) -> None:
    if serial > draft.definitions.serial:
        raise OlderDefinitions(serial, draft.definitions.serial)


def _apply_merge(draft: Draft, merge: Merge) -> None:
    _check_serial(draft, merge.user.serial)
    _account_control(draft, merge)
    if merge.user.id in draft.merged:
        link_tokens(draft, merge)
        return
    if merge.user.id == draft.id or merge.user.created is None:
        return
    if draft.deleted_at is not None and merge.arrival <= draft.deleted_at:
        forget_past(draft, merge.user)
        return
    draft.settle(merge.arrival, historical=merge.historical)
    draft.clock = max(draft.clock, merge.arrival)
    if draft.created is None:
        draft.resolve(draft.begin(), Cause("merge"), draft.clock, first=True)
    draft.join(merge.user, merge.arrival)
    link_tokens(draft, merge)
    draft.emit(Merged(draft.id, merge.user.id, draft.clock))


def _apply_anonymous(draft: Draft, item: Input) -> None:
    if not isinstance(item, Event) or item.type == RECEIPT:
        apply(draft, item)
    elif is_shared(draft, item):
        return
    elif item.user is not None:
        _identify(draft, item, item.user)
    elif draft.owner is None:
        _apply_event(draft, item)
    elif hash_message(item.id) in draft.seen:
        _account(draft, item, "duplicate")
    else:
        draft.emit(Forward(draft.owner.at(by_arrival(item)), item))


def _identify(draft: Draft, event: Event, owner: str) -> None:
    """Give the anonymous id to a user: the first gets its past, each time the same; the latest gets what comes then."""
    whose = draft.owner
    if whose is None:
        draft.settle(event.arrival, historical=event.historical)
        draft.clock = max(draft.clock, event.arrival)
        draft.leave_all("merge")
        whose = Owner(owner, draft.clock, owner, event.historical)
    elif event.arrival >= draft.clock:
        whose = whose.after(by_arrival(event), owner)
    draft.owner, draft.clock = whose, max(draft.clock, event.arrival)
    anonymous = draft.id.removeprefix(ANONYMOUS)
    if not is_gone(draft, event):  # and the link with it
        draft.emit(Linked("anonymous", anonymous, whose.latest, event.arrival))
    if whose.first == owner and draft.created is not None:
        draft.emit(Forward(owner, _past_of(draft, whose)))
    if event.type == "alias" and event.previous not in (None, owner):
        # Two halves: the user who survives must not take it for one that ends them, should it come round to them.
        draft.emit(Forward(event.previous, event))
        said = {"previousId": event.previous}  # for the archive
        event = msgspec.structs.replace(event, previous=None, properties=said)
    draft.emit(Forward(owner, event))
