"""All segments compiled together: which leaves an event can change, and which segments those leaves can change.

The cost of an event follows what it touches: `events` leads from an event's name to leaves, `facts` from an
attribute's name to leaves, `dependents` from a leaf to segments. Segments stand in dependency order (their rank), so
that one pass upward settles segments that refer to segments.
"""

from collections.abc import Callable, Collection, Iterable
from graphlib import CycleError, TopologicalSorter

import msgspec

from transforms.segments.conditions import (
    ANY,
    All,
    Any_,
    Condition,
    EventCondition,
    FactCondition,
    Not,
    SegmentRef,
)
from transforms.segments.document import Node, Problems
from transforms.segments.grammar import read_condition
from transforms.segments.leaf_facts import ZONE_NAMES
from transforms.segments.leaves import AttributeLeaf, EventLeaf, Leaf, LeafState, compile_leaf, leaf_key

__all__ = [
    "Segment",
    "SegmentIndex",
    "Test",
    "atoms",
    "check_circles",
    "check_references",
    "read_segments",
    "references",
]

#: Whether a condition holds, from the states of leaves and the memberships (segment id to since) of one user.
Test = Callable[[dict[int, LeafState], dict[str, int]], bool]


class Segment(msgspec.Struct, frozen=True):
    """A segment as written."""

    id: str
    name: str
    owner: str
    members: Condition
    place: Node


class SegmentIndex:
    """Segments and further conditions (audiences of campaigns), compiled.

    `events` maps an event's name to its leaves, those of all events among them, and `anything` holds the latter alone,
    for every other name; `facts` maps an attribute's name (or `#identified`, `#reachable`,
    `#consent`) to leaves; `leaves` maps a key to its leaf. `order` holds the segments' ids by rank, `tests` their
    tests, `dependents` the ranks that a leaf's truth can change, `referrers` the ranks that refer to the segment of a
    rank, `at_first` the ranks that hold for a user about whom nothing is known.
    """

    def __init__(self, segments: Iterable[Segment], audiences: Iterable[Condition] = ()) -> None:
        by_id = {segment.id: segment for segment in segments}
        graph = {segment.id: sorted(references(segment.members)) for segment in by_id.values()}
        self.order = tuple(TopologicalSorter({name: graph[name] for name in sorted(graph)}).static_order())
        self.rank = {name: rank for rank, name in enumerate(self.order)}
        self.leaves: dict[int, Leaf] = {}
        self.tests = tuple(self.compile(by_id[name].members) for name in self.order)
        dependents: dict[int, list[int]] = {}
        referrers: list[list[int]] = [[] for _ in self.order]
        for rank, name in enumerate(self.order):
            for leaf in atoms(by_id[name].members):
                dependents.setdefault(leaf_key(leaf), []).append(rank)
            for other in graph[name]:
                referrers[self.rank[other]].append(rank)
        for audience in audiences:
            self.compile(audience)
        self.dependents = {key: tuple(sorted(set(ranks))) for key, ranks in dependents.items()}
        self.referrers = tuple(tuple(ranks) for ranks in referrers)
        self._index_leaves()
        members: dict[str, int] = {}
        for name, test in zip(self.order, self.tests, strict=True):
            if test({}, members):
                members[name] = 0
        self.at_first = tuple(self.rank[name] for name in members)

    def compile(self, condition: Condition) -> Test:
        """A test of a condition; its leaves join the index."""
        match condition:
            case All(parts):
                tests = [self.compile(part) for part in parts]
                return lambda leaves, members: all(test(leaves, members) for test in tests)
            case Any_(parts):
                tests = [self.compile(part) for part in parts]
                return lambda leaves, members: any(test(leaves, members) for test in tests)
            case Not(part):
                test = self.compile(part)
                return lambda leaves, members: not test(leaves, members)
            case SegmentRef(segment):
                return lambda _leaves, members: segment in members
        return self._compile_atom(condition)

    def _compile_atom(self, condition: EventCondition | FactCondition) -> Test:
        key = leaf_key(condition)
        leaf = self.leaves.get(key)
        if leaf is None:
            leaf = self.leaves[key] = compile_leaf(condition)
        unseen = leaf.unseen

        def test(leaves: dict[int, LeafState], _members: dict[str, int]) -> bool:
            return leaves.get(key, unseen).truth

        return test

    def _index_leaves(self) -> None:
        events: dict[str, list[EventLeaf]] = {}
        facts: dict[str, list[Leaf]] = {}
        for leaf in self.leaves.values():
            if isinstance(leaf, AttributeLeaf):
                for name in leaf.names:
                    facts.setdefault(name, []).append(leaf)
                continue
            for name in leaf.names:
                events.setdefault(name, []).append(leaf)
            for name in ZONE_NAMES if leaf.zoned else ():
                facts.setdefault(name, []).append(leaf)
        anything = events.pop(ANY, [])
        self.anything = tuple(anything)
        self.events = {
            name: tuple({leaf.key: leaf for leaf in (*leaves, *anything)}.values()) for name, leaves in events.items()
        }
        self.facts = {name: tuple(leaves) for name, leaves in facts.items()}


def read_segments(node: Node, problems: Problems) -> dict[str, Segment]:
    """Read the `segments:` section; those with mistakes are left out after the mistakes were noted."""
    segments: dict[str, Segment] = {}
    if not isinstance(node.value, dict):
        problems.add(node, f"expected a mapping of segments; found {node.kind}")
        return segments
    for name, body in node.value.items():
        fields = problems.mapping(body, ("name", "owner", "members"), required=("owner", "members"))
        if fields is None:
            continue
        title = problems.text(fields["name"]) if "name" in fields else name
        owner = problems.text(fields["owner"]) if "owner" in fields else None
        members = read_condition(fields["members"], problems) if "members" in fields else None
        if title and owner and members is not None:
            segments[name] = Segment(name, title, owner, members, fields["members"])
    return segments


def check_references(node: Node, known: Collection[str], problems: Problems) -> None:
    """Note references to unknown segments anywhere below a node, also beside other mistakes."""
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            if key == "segment" and isinstance(child.value, str) and child.value not in known:
                problems.add(child, f"refers to segment `{child.value}`, which does not exist")
            check_references(child, known, problems)
    elif isinstance(node.value, list):
        for child in node.value:
            check_references(child, known, problems)


def check_circles(segments: dict[str, Segment], problems: Problems) -> None:
    """Note segments that refer to each other in a circle, once a circle."""
    graph = {
        segment.id: {name for name in references(segment.members) if name in segments} for segment in segments.values()
    }
    for _ in graph:  # each round takes one reference out of one more circle
        try:
            TopologicalSorter({name: sorted(graph[name]) for name in sorted(graph)}).prepare()
        except CycleError as error:
            circle = error.args[1][::-1]
            # A circle is shown from its first segment on, so that it reads the same wherever it was entered.
            start = circle.index(min(circle))
            circle = [*circle[start:-1], *circle[:start], circle[start]]
            cause = f"segments refer to each other in a circle: {' → '.join(circle)}"
            problems.add(segments[circle[0]].place, cause)
            graph[circle[0]].remove(circle[1])
        else:
            return


def atoms(condition: Condition) -> list[EventCondition | FactCondition]:
    """The atomic conditions inside a condition, without references to segments."""
    match condition:
        case All(parts) | Any_(parts):
            return [atom for part in parts for atom in atoms(part)]
        case Not(part):
            return atoms(part)
        case SegmentRef():
            return []
    return [condition]


def references(condition: Condition) -> set[str]:
    """The segments that a condition refers to."""
    match condition:
        case All(parts) | Any_(parts):
            return {name for part in parts for name in references(part)}
        case Not(part):
            return references(part)
        case SegmentRef(segment):
            return {segment}
    return set()
