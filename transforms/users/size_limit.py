"""The cap on one user's state: what does not fit is dropped, oldest first, and counted.

State crosses shuffles, and a runner holds it in memory: one value beyond some megabytes holds up a whole job
(https://github.com/apache/beam/issues/30558). What a user has lost here is outside all other promises.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from transforms.campaigns.load import Definitions
from transforms.campaigns.user_view import Trigger
from transforms.segments.evidence import Evidence, pieces, without
from transforms.segments.leaves import EventLeaf
from transforms.users.editor import UserEditor
from transforms.users.effects import Effect, Truncated
from transforms.users.user import User, encode_user

__all__ = ["SIZE_LIMIT", "enforce_size_limit"]

#: The most bytes of an encoded user. A state that is too large is cut to less, so that the next input still fits.
SIZE_LIMIT = 262_144
#: No group of things may take more than this, so that one kind does not drive out all others.
_SHARE = SIZE_LIMIT // 2
_TARGETS = (SIZE_LIMIT * 7 // 8, SIZE_LIMIT // 2, 0)

#: The groups, in the order in which they go: conditions' memory, then what is known of the user, then what is on its
#: way, then what keeps us from sending what we must not, then what a deletion has to find.
_EVIDENCE, _FACTS, _OPEN, _GUARDS, _MERGED = range(5)
#: Before all of them: sends that have expired. They have gone out to Deliver, and nothing but word of them is missing.
_EXPIRED = -1


class _Piece(NamedTuple):
    """Something that can be dropped; `time` is microseconds UTC, `size` is in bytes."""

    time: int
    group: int
    kind: str
    key: Any
    size: int


def enforce_size_limit(user: User, definitions: Definitions) -> tuple[User, bytes, list[Effect]]:
    """A user whose encoded state has at most `SIZE_LIMIT` bytes, that state, and what dropping the rest brings about.

    Leaves and memberships follow from what is left; changes are reported as `truncated`, and trigger nothing. A journey
    that is dropped is refused with that reason.
    """
    data = encode_user(user)
    if len(data) <= SIZE_LIMIT:
        return user, data, []
    editor = UserEditor(user, definitions)
    for target in _TARGETS:
        _cut(editor, len(data) - target)
        user = editor.close()
        data = encode_user(user)
        if len(data) <= SIZE_LIMIT:
            return user, data, editor.effects
    _empty(editor)
    user = editor.close()
    return user, encode_user(user), editor.effects


def _cut(editor: UserEditor, excess: int) -> None:
    """Drop things in their order until so many bytes are saved."""
    dropped = []
    for piece in _in_order(list(_pieces(editor))):
        if excess <= 0:
            break
        dropped.append(piece)
        excess -= piece.size
    _drop(editor, dropped)


def _in_order(found: list[_Piece]) -> list[_Piece]:
    """What goes first: sends that have expired; then each that is larger than a share; then what has no place in its
    group's share, where the newest comes first; then group by group, though evidence and facts go by their age alone.
    Among all of these the oldest.
    """
    found.sort(key=lambda piece: (piece.time, piece.group, piece.kind, repr(piece.key)))
    held: Counter[int] = Counter()
    rank: dict[_Piece, int] = {}
    for piece in reversed(found):
        if piece.group == _EXPIRED:
            rank[piece] = -3
        elif held[piece.group] + piece.size <= _SHARE:
            held[piece.group] += piece.size
            rank[piece] = max(piece.group, _FACTS)
        else:
            rank[piece] = -2 if piece.size > _SHARE else -1
    return sorted(found, key=rank.__getitem__)


def _pieces(editor: UserEditor) -> Iterator[_Piece]:
    profile, journeys = editor.profile, editor.journeys
    for key, state in editor.leaves.items():
        for piece in pieces(state.evidence):
            time = editor.clock if piece.time is None else piece.time
            yield _Piece(time, _EVIDENCE, "marks", (key, piece.key), _size(piece.content))
    for kind, group, found in (
        ("attributes", _FACTS, profile.attributes),
        ("tokens", _FACTS, profile.tokens),
        ("lasts", _FACTS, editor.latest_events),
        ("consent", _GUARDS, profile.consent),
        ("blocked", _GUARDS, profile.blocked),
    ):
        for name, written in found.items():
            yield _Piece(written[0], group, kind, name, _size(name, written))
    for id_, send in editor.sends.items():
        group = _OPEN if send.not_after >= editor.clock else _EXPIRED
        yield _Piece(send.decided_at, group, "sends", id_, _size(id_, send))
    for id_, journey in journeys.active.items():
        yield _Piece(journey.entered, _OPEN, "journeys", id_, _size(id_, journey))
    for key, places in editor.recent.kept.items():
        for place, newest in places.items():
            yield _Piece(newest.time, _GUARDS, "recent", (key, place), _size(place, newest))
    for id_, goal in editor.goals.open.items():
        yield _Piece(goal.begin, _OPEN, "goals", id_, _size(id_, goal))
    for campaign, occurrences in editor.occurrences.kept.items():
        yield _Piece(occurrences[0].at, _OPEN, "plans", campaign, _size(campaign, occurrences))
    for counted in editor.cap_history:
        yield _Piece(counted.at, _GUARDS, "counted", counted.sends, _size(counted))
    for campaign, entry in journeys.entries.items():
        yield _Piece(entry.at, _GUARDS, "entries", campaign, _size(campaign, entry))
    for message, at in editor.seen.items():
        yield _Piece(at, _GUARDS, "seen", message, _size(message, at))
    for id_ in editor.merged:
        yield _Piece(0, _MERGED, "merged", id_, _size(id_))


def _size(*values: Any) -> int:
    return sum(len(msgspec.msgpack.encode(value)) for value in values)


def _drop(editor: UserEditor, pieces: list[_Piece]) -> None:
    names: dict[str, set[Any]] = defaultdict(set)
    evidence: dict[int, set[Any]] = defaultdict(set)
    for piece in pieces:
        if piece.group == _EVIDENCE:
            evidence[piece.key[0]].add(piece.key[1])
        else:
            names[piece.kind].add(piece.key)
    profile, journeys = editor.profile, editor.journeys
    for kind, found in (
        ("attributes", profile.attributes),
        ("tokens", profile.tokens),
        ("consent", profile.consent),
        ("blocked", profile.blocked),
        ("lasts", editor.latest_events),
        ("sends", editor.sends),
        ("goals", editor.goals.open),
        ("plans", editor.occurrences.kept),
        ("entries", journeys.entries),
    ):
        for name in names[kind]:
            del found[name]
    editor.seen.drop(names["seen"])
    editor.recent.drop(names["recent"])
    editor.cap_history = tuple(message for message in editor.cap_history if message.sends not in names["counted"])
    editor.merged = tuple(id_ for id_ in editor.merged if id_ not in names["merged"])
    for id_ in sorted(names["journeys"]):
        journeys.give_up(id_, editor.clock)
    _count(editor, Counter(piece.kind for piece in pieces))
    facts = [*names["attributes"]]
    facts += ["#reachable"] if names["tokens"] or names["blocked"] else []
    facts += ["#consent"] if names["consent"] else []
    _forget(editor, {key: without(editor.leaves.opened[key].evidence, lost) for key, lost in evidence.items()}, facts)


def _forget(editor: UserEditor, evidence: Mapping[int, Evidence], facts: Collection[str]) -> None:
    """Judge leaves again by what is left of their evidence, and without facts that are gone; that triggers nothing."""
    changed = editor.update_leaves_of_facts(facts)
    for key, kept in evidence.items():
        state, leaf = editor.leaves.opened[key], editor.index.leaves.get(key)
        if not isinstance(leaf, EventLeaf):
            editor.leaves.put(key, msgspec.structs.replace(state, evidence=kept))
        elif editor.leaves.put(key, leaf.evaluate(state, kept, editor.clock, editor.zone)):
            changed.append(key)
    leaves = editor.index.leaves
    told = {key for key, state in editor.leaves.items() if key not in leaves or state != leaves[key].unseen}
    editor.leaves = editor.leaves.only(told)
    if editor.created is not None and editor.owner is None:
        editor.resolve(changed, Trigger("truncated"), editor.clock)


def _empty(editor: UserEditor) -> None:
    """Begin anew: what is left is too large and cannot be dropped one by one, such as memberships of very many."""
    editor.leave_all("truncated")
    _count(editor, {"state": 1})
    editor.load(
        User(
            editor.id,
            clock=editor.clock,
            owner=editor.owner,
            deleted=editor.deleted,
            deleted_at=editor.deleted_at,
            truncated=editor.truncated,
            rate_window=editor.rate_window,
            owners=editor.owners,
            release=editor.release,
            seeds=editor.seeds,
            early=editor.early,
        )
    )


def _count(editor: UserEditor, counts: dict[str, int]) -> None:
    for kind, count in sorted(counts.items()):
        editor.truncated += count
        editor.emit(Truncated(editor.id, kind, count, editor.clock))
