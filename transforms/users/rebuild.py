"""Changed definitions: what they ask of the past is made from the archive, as if they had counted from the first.

A user keeps of events what the definitions of that time asked. If newer ones ask more, it is made from the user's
archive, up to the user's clock. Goals, caps and sessions look ahead, and begin anew. Times are microseconds UTC.
"""

from collections.abc import Callable, Collection, Container, Iterable, Mapping
from functools import lru_cache
from itertools import groupby
from operator import attrgetter

import msgspec

from transforms.campaigns.latest_events import LatestEvents
from transforms.campaigns.load import Definitions
from transforms.campaigns.policies import Policies
from transforms.campaigns.recent import EventQuery, Recent, by_name
from transforms.events.event import Event
from transforms.segments.evidence import hash_of
from transforms.segments.index import SegmentIndex
from transforms.segments.leaf_states import LeafStates
from transforms.segments.leaves import EventLeaf, LeafState
from transforms.storage.rows import EventRow
from transforms.storage.users import Users
from transforms.users.archive import HistoryStore, archived, rows_of
from transforms.users.facts import KnownProfile, ProfileFacts
from transforms.users.seen import hash_message
from transforms.users.user import SeedState, User

__all__ = ["Judged", "asked_of", "bring_over", "counted", "versions_of"]

#: What definitions keep of events, by their hash (see `asked_of`).
Judged = Mapping[str, Collection[int]]


_NONE: frozenset[int] = frozenset()


@lru_cache(maxsize=16)
def asked_of(definitions: Definitions) -> tuple[int, ...]:
    """What definitions keep of events: the keys of leaves, and hashes of what their campaigns remember."""
    remembered = (_remembered(name) for name in definitions.routes.remembered)
    return tuple(sorted({*definitions.event_leaves, *remembered, *definitions.routes.recent_keys}))


def _remembered(event: str) -> int:
    return hash_of(f"with\x1f{event}")


def bring_over(
    store: HistoryStore, users: Mapping[str, User], definitions: Definitions, judged: Judged
) -> dict[str, User]:
    """The users for whom the definitions ask something new, with what the archive has of it. Nothing is written.

    A user who was judged by definitions that `judged` does not know is brought over as if nothing had been asked. The
    definitions must be plain or whole: with those that let leaves warm up, seeds do this.

    Raises:
      StoreError: the archive cannot be read.
    """
    asked = frozenset(asked_of(definitions))
    found: dict[str, User] = {}
    new: dict[tuple[str, int], frozenset[int]] = {}  # most users were judged by the same
    for name, user in users.items():
        if user.created is None:
            continue
        judge = user.definitions_hash, user.release
        if judge not in new:
            new[judge] = _new_to(user, definitions, asked, judged)
        seeded = user.warming
        warming = frozenset(key for key in asked if definitions.activations.get(key) in seeded) if seeded else _NONE
        wanted = warming | new[judge]
        if wanted or seeded:
            found[name] = _brought_over(store, user, definitions, wanted, warming)
    return found


def _new_to(user: User, definitions: Definitions, asked: frozenset[int], judged: Judged) -> frozenset[int]:
    """What the definitions ask and users who were judged as this one have not kept."""
    if user.definitions_hash == definitions.definitions_hash and user.release == definitions.release:
        return _NONE
    if (
        user.release and user.definitions_hash not in judged
    ):  # a live job's, and its releases say which leaves came when
        kept = definitions.event_leaves
        later = {key for each in definitions.since if each.release > user.release for key in each.leaves}
        return asked.difference(key for key in kept if key not in later)
    return asked.difference(judged.get(user.definitions_hash, ()))


def _brought_over(
    store: HistoryStore, user: User, definitions: Definitions, wanted: frozenset[int], warming: frozenset[int]
) -> User:
    """A user with what the archive has of what is wanted, judged at the user's clock. The new definitions are yet to
    judge it.
    """
    index = definitions.index
    leaves = {key: leaf for key in wanted if isinstance(leaf := index.leaves.get(key), EventLeaf)}
    names = {name for name in definitions.routes.remembered if _remembered(name) in wanted}
    fresh: dict[int, LeafState] = {}
    latest = LatestEvents(user.latest_events)
    recent = Recent(user.recent, _asked_anew(definitions, wanted))

    def tell(event: Event) -> None:
        recent.add(event)
        if event.name in names:
            latest.add(event)

    if wanted:
        rows = rows_of(store, versions_of(store, user, user.version))
        fresh = counted(rows, user.id, leaves, index, asks=lambda name: name in names or recent.asks(name), tell=tell)
    states, zone = LeafStates(user.leaves, index.leaves), _Known(user, definitions.policies).zone
    for name, leaf in leaves.items():
        made = fresh.get(name, leaf.unseen)
        if (
            name in states and name not in warming
        ):  # of definitions that nobody knows: it may know more than the archive
            made = leaf.join(states.opened[name], made)
        if name in fresh or name in states:
            states.put(name, leaf.evaluate(made, made.evidence, user.clock, zone))
    seeds = {at: dict.fromkeys(of, SeedState.WHOLE) for at, of in user.seeds.items()}
    found = {
        "leaves": states.pack(),
        "latest_events": latest.kept,
        "recent": recent.kept,
        "seeds": seeds,
        "early": {},
    }
    return msgspec.structs.replace(user, definitions_hash="", **found)


def _asked_anew(definitions: Definitions, wanted: Container[int]) -> dict[str, list[EventQuery]]:
    """Those events that exits, waits and goals ask for that are wanted."""
    return by_name(each for asked in definitions.routes.recent.values() for each in asked if each.key in wanted)


def versions_of(store: Users, user: User, version: int, without: Container[str] = ()) -> dict[str, int]:
    """The keys of all ids that ever were a user's, each with the version of its row; `version` is that of the user's
    own row.
    """
    merged = [name for name in user.merged if name not in without]
    return {user.id: version} | {name: row.version for name, row in store.read_users(merged).items()}


def counted(
    rows: Iterable[EventRow],
    person: str,
    leaves: Mapping[int, EventLeaf],
    index: SegmentIndex,
    *,
    asks: Callable[[str], bool] = lambda _: False,
    tell: Callable[[Event], None] = lambda _: None,
) -> dict[int, LeafState]:
    """What rows of the archive leave in leaves, by key, as if each id had been merged into the person; not judged.

    Args:
      rows: one id after the other.
      person: the id of who has all of them.
      leaves: those that count, by key.
      index: that has them.
      asks: whether events of a name are told as well.
      tell: is told of them, and of those that count.
    """
    found: dict[int, LeafState] = {}
    for key, its in groupby(rows, attrgetter("user")):
        own: dict[int, LeafState] = {}
        for row in its:
            asked = [leaf for leaf in index.events.get(row.name, index.anything) if leaf.key in leaves]
            if asked or asks(row.name):
                event = archived(row)
                _count(own, asked, event)
                tell(event)
        for name, state in own.items():
            theirs = key if key != person else ""
            found[name] = leaves[name].join(found.get(name, leaves[name].unseen), state, person, theirs)
    return found


def _count(states: dict[int, LeafState], asked: Iterable[EventLeaf], event: Event) -> None:
    """Let an event count for the asked leaves."""
    message_hash = hash_message(event.id)
    for leaf in asked:
        if passed := leaf.passed(event):
            state = states.get(leaf.key, leaf.unseen)
            if (evidence := leaf.add(state, event, message_hash, passed)) is not state.evidence:
                states[leaf.key] = msgspec.structs.replace(state, evidence=evidence)


class _Known(ProfileFacts):
    """A user, to ask for the zone."""

    __slots__ = ("id", "known", "policies")

    def __init__(self, user: User, policies: Policies) -> None:
        self.id, self.known, self.policies = user.id, KnownProfile(user.profile), policies
