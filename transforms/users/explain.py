"""Why somebody is in a segment, or is not: its tree of conditions, each with its answer, since when, and until when.

To find what time alone will change, the state machine itself lets time pass. Times are microseconds UTC.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from transforms.campaigns.load import Definitions
from transforms.events.plain import quoted
from transforms.identity.channels import attributes_of
from transforms.segments.conditions import All, Any_, Attribute, Condition, Not, Reachable, SegmentRef
from transforms.segments.evidence import pieces
from transforms.segments.leaf_states import LeafStates
from transforms.segments.leaves import LeafState, leaf_key
from transforms.segments.measured import Measured, measured
from transforms.segments.since import answer_since
from transforms.segments.values import compile_inner
from transforms.segments.warming import atoms, references
from transforms.segments.written import condition_text
from transforms.users.boundary import Failed, fold_apart
from transforms.users.editor import UserEditor
from transforms.users.parts import PARTS
from transforms.users.user import ANONYMOUS, Input, User, Wake, pack_members

__all__ = ["ConditionTree", "Explained", "decisive", "replay", "settled"]

#: A segment inside a segment inside … is shown so many deep; others are named.
_DEEPEST = 8
#: How often time may pass from one deadline to the next in search of a change. Anniversaries go on for ever.
_MOST_TURNS = 1000


class Explained(msgspec.Struct, frozen=True):
    """One condition of a tree, about one user.

    `form` is segment, all, any, not, or condition; `text` is the segment's id, or the condition as one would write it.
    `since` is when its answer became what it is, None where nobody can tell; `turns` is when it becomes the other one
    if nothing comes, None if time alone never changes it (or not within `_MOST_TURNS` deadlines). `warming`: it waits
    for a seed, and with `older` an older condition answers in its place, else it says no. `newest` is the time of the
    newest event that the state knows of, `measured` what it has found of what is asked. `value` is what the asked
    attribute has, `written` the time of the call that said so. `why` says in words why what is known of a user is no
    address of the channel that is asked for, empty where it is one, or nothing is known.
    `parts` are empty for a segment that is shown elsewhere in the tree, or lies too deep.
    """

    form: str
    text: str
    holds: bool
    since: int | None = None
    turns: int | None = None
    warming: bool = False
    older: bool = False
    newest: int | None = None
    measured: Measured | None = None
    value: Any = None
    written: int | None = None
    why: str = ""
    parts: tuple["Explained", ...] = ()


class _Node(NamedTuple):
    """A condition with its place in the list of all answers; `key` names its leaf."""

    place: int
    form: str
    text: str
    condition: Condition
    key: int
    parts: tuple["_Node", ...]


class ConditionTree:
    """The conditions of a segment, with those of the segments that it refers to.

    `failed` has what raised while it was asked.
    """

    def __init__(self, segment: str, definitions: Definitions) -> None:
        self.definitions = definitions
        self.failed = Failed()
        self._shown: set[str] = set()
        self._size = 0
        self._root = self._node(SegmentRef(segment), 0)
        self._leaves = _leaves_below(segment, definitions)

    @property
    def leaves(self) -> frozenset[int]:
        """The keys of all leaves that the answer depends on."""
        return self._leaves

    def answers(self, user: User) -> tuple[bool, ...]:
        """What each condition of the tree says about a user, as of the user's clock."""
        found = [False] * self._size
        leaves = LeafStates(user.leaves, self.definitions.index.leaves).opened
        self._ask(self._root, leaves, user.members, found)
        return tuple(found)

    def explain(self, user: User, since: Sequence[int | None] | None = None) -> Explained:
        """The tree about a user who is judged by these definitions.

        `since` has when each answer became what it is, in the order of `answers`; without it the state says what it
        can.
        """
        answers = self.answers(user)
        return self._explained(self._root, user, _Known(answers, self._turns(user, answers), since))

    @property
    def outline(self) -> list[tuple[int, str, str]]:
        """How deep each condition lies, its form and its text, in the order of `answers`."""
        found: list[tuple[int, str, str]] = []
        waiting = [(0, self._root)]
        while waiting:
            depth, node = waiting.pop()
            found.append((depth, node.form, node.text))
            waiting += [(depth + 1, part) for part in reversed(node.parts)]
        return found

    def _node(self, condition: Condition, depth: int) -> _Node:
        place, self._size = self._size, self._size + 1
        match condition:
            case All(parts):
                return _Node(place, "all", "all", condition, 0, tuple(self._node(part, depth) for part in parts))
            case Any_(parts):
                return _Node(place, "any", "any", condition, 0, tuple(self._node(part, depth) for part in parts))
            case Not(part):
                return _Node(place, "not", "not", condition, 0, (self._node(part, depth),))
            case SegmentRef(name):
                return _Node(place, "segment", name, condition, 0, self._inside(name, depth))
        return _Node(place, "condition", condition_text(condition), condition, leaf_key(condition), ())

    def _inside(self, segment: str, depth: int) -> tuple[_Node, ...]:
        if segment in self._shown or depth >= _DEEPEST:
            return ()
        self._shown.add(segment)
        return (self._node(self.definitions.asked.segments[segment], depth + 1),)

    def _ask(self, node: _Node, leaves: Mapping[int, LeafState], members: Mapping[str, int], found: list[bool]) -> bool:
        parts = [self._ask(part, leaves, members, found) for part in node.parts]
        match node.form:
            case "segment":
                holds = node.text in members
            case "all":
                holds = all(parts)
            case "any":
                holds = any(parts)
            case "not":
                holds = not parts[0]
            case _:
                holds = leaves[node.key].truth
        found[node.place] = holds
        return holds

    def _state(self, node: _Node, user: User) -> LeafState:
        return LeafStates(user.leaves, self.definitions.index.leaves).opened[node.key]

    def _zone(self, node: _Node, user: User) -> str:
        """The zone of a user; only dates need it."""
        return UserEditor(user, self.definitions).zone if getattr(node.condition, "since", None) is not None else ""

    def _turns(self, user: User, answers: Sequence[bool]) -> list[int | None]:
        """When each answer changes if nothing comes. Only the leaves that the tree asks are taken along."""
        asked = {key: state for key, state in LeafStates(user.leaves).items() if key in self._leaves}
        user = msgspec.structs.replace(user, leaves=asked, journeys={}, sends={})
        turns: list[int | None] = [None] * len(answers)
        for _ in range(_MOST_TURNS):
            due = PARTS.deadline_of(user)
            if due is None or None not in turns:
                break
            user, _ = fold_apart(user, (Wake(due),), self.definitions, Failed())
            if user.clock < due:  # no time can pass by what fails
                break
            for place, holds in enumerate(self.answers(user)):
                if turns[place] is None and holds is not answers[place]:
                    turns[place] = due
        return turns

    def _explained(self, node: _Node, user: User, known: "_Known") -> Explained:
        parts = tuple(self._explained(part, user, known) for part in node.parts)
        since = known.since[node.place] if known.since is not None else self._since(node, user)
        explained = Explained(node.form, node.text, known.answers[node.place], since, known.turns[node.place])
        more: dict[str, Any] = {"parts": parts}
        if node.form == "segment":
            more["warming"] = node.text in self.definitions.index.waiting(user.warming)
            wordings = self.definitions.index.wordings.segments.get(node.text, ())
            answers = any(wording.waits.isdisjoint(user.warming) for wording in wordings)
            more["older"] = more["warming"] and answers
        elif isinstance(node.condition, Attribute):
            more |= _attribute_value(node.condition, user)
        elif node.form == "condition":
            state, zone = self._state(node, user), self._zone(node, user)
            times = [piece.time for piece in pieces(state.evidence) if piece.time is not None]
            more["measured"] = measured(node.condition, state, user.clock, zone)
            more["newest"] = max(times, default=None)
            more["warming"] = self.definitions.activations.get(node.key) in user.warming
            if isinstance(node.condition, Reachable) and not explained.holds:
                more["why"] = _no_address(node.condition.channel, user, self.definitions)
        return msgspec.structs.replace(explained, **more)

    def _since(self, node: _Node, user: User) -> int | None:
        """Since when an answer holds, as far as the state says."""
        if node.form == "segment":
            return user.members.get(node.text)
        return answer_since(node.condition, self._state(node, user), user.clock) if node.key else None


class _Known(NamedTuple):
    """What is known of the answers of a tree, by place."""

    answers: Sequence[bool]
    turns: Sequence[int | None]
    since: Sequence[int | None] | None


def decisive(explained: Explained) -> Explained:
    """A tree with only the parts that make a difference to its answer."""
    parts = explained.parts
    if explained.form in ("all", "any") and explained.holds is (explained.form == "any"):
        parts = tuple(part for part in parts if part.holds is explained.holds)
    return msgspec.structs.replace(explained, parts=tuple(map(decisive, parts)))


def replay(tree: ConditionTree, key: str, inputs: Iterable[Input], until: int) -> tuple[User, list[int | None]]:
    """A user after all inputs, in the order of (arrival, id), and since when each answer of the tree is what it is.

    An answer that never changed has None: it also holds for a user about whom nothing is known.
    """
    index = tree.definitions.index
    user = User(key)
    unknown = tree.answers(User(key, packed_members=pack_members({index.order[rank]: 0 for rank in index.at_first})))
    answers: Sequence[bool] = unknown
    since: list[int | None] = [None] * len(unknown)
    for item in (*inputs, Wake(until)):
        for each in (*_deadlines(user, item.arrival, tree), item):
            user, _ = fold_apart(user, (each,), tree.definitions, tree.failed)
            found = unknown if user.created is None else tree.answers(user)
            turned = zip(found, answers, since, strict=True)
            since = [at if now is before else user.clock for now, before, at in turned]
            answers = found
    return user, since


def settled(user: User, until: int, definitions: Definitions, failed: Failed | None = None) -> User:
    """A user with what time alone changes up to then. What raises is left out, and noted in `failed`.

    Raises:
      OlderDefinitions: the user was judged by newer ones.
    """
    return fold_apart(user, (Wake(max(until, user.clock)),), definitions, failed or Failed())[0]


def _deadlines(user: User, until: int, tree: ConditionTree) -> Iterator[Wake]:
    """A wake at each time at which something may change without an input, up to one."""
    while user.created is not None and (due := PARTS.deadline_of(user)) is not None and due <= until:
        wake = Wake(due)
        yield wake
        user, _ = fold_apart(user, (wake,), tree.definitions, tree.failed)
        if user.clock < wake.arrival:  # no time can pass by what fails
            return


def _leaves_below(segment: str, definitions: Definitions) -> frozenset[int]:
    """The leaves of a segment and of all that it refers to, also of older conditions that answer meanwhile."""
    asked, wordings = definitions.asked.segments, definitions.index.wordings.segments
    waiting, seen = [segment], {segment}
    leaves: set[int] = set()
    while waiting:
        name = waiting.pop()
        leaves.update(leaf_key(atom) for atom in atoms(asked[name]))
        leaves.update(*(wording.leaves for wording in wordings.get(name, ())))
        found = references(asked[name]) - seen
        seen |= found
        waiting += found
    return frozenset(leaves)


def _attribute_value(condition: Attribute, user: User) -> dict[str, Any]:
    """The value of the asked attribute, and when it was said."""
    written = user.profile.attributes.get(condition.name)
    if written is None:
        return {}
    value = written[2]
    if condition.path and condition.path != condition.name and value is not None:
        found = compile_inner(condition.name, condition.path)(value)
        value = found if "[]" in condition.path else next(iter(found), None)
    return {"value": value, "written": written[0]}


def _no_address(channel: str, user: User, definitions: Definitions) -> str:
    """Why what a user said is no live address of a channel; empty if nothing was said that one could be made of."""
    profile = user.profile.copy()
    said = {name: profile.value(name) for name in attributes_of(channel)}
    said = {name: value for name, value in said.items() if value is not None}
    if not said:
        return ""
    profile.blocked = {}
    region = definitions.policies.default_region
    name = "" if user.id.startswith(ANONYMOUS) else user.id
    blocked = profile.addresses(channel, user=name, region=region)
    cause = "is blocked, after a bounce or a complaint" if blocked else f"is no address for {channel}"
    return f"{', '.join(f'{name} {quoted(value)}' for name, value in said.items())} {cause}"
