"""All segments compiled together: which leaves an event can change, and which segments those leaves can change.

An event costs what it touches: `events` leads from an event's name to leaves, `facts` from an
attribute's name to leaves, `dependents` from a leaf to segments. Segments are ordered by dependency (their rank), so
that one pass upward settles segments that refer to segments.
"""

import heapq
from collections.abc import Callable, Collection, Mapping, Sequence
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
from transforms.segments.synonyms import hint
from transforms.segments.warming import AskedConditions, Test, Wordings, answering, atoms, references

__all__ = ["Segment", "SegmentIndex", "check_circles", "check_references", "read_segments"]

#: How many tables of tests are kept for users who wait for seeds; mostly there is one.
_TABLES = 64


class Segment(msgspec.Struct, frozen=True):
    """A segment as it was defined."""

    id: str
    name: str
    owner: str
    members: Condition
    place: Node


class SegmentIndex:
    """Compiled segments and conditions of campaigns, with the `older` conditions that may answer instead.

    `events` maps an event's name to its leaves, those of all events among them, and `anything` holds the latter alone,
    for every other name; `facts` maps an attribute's name (or `#identified`, `#reachable`,
    `#consent`) to leaves; `leaves` maps a key to its leaf. `order` holds the segments' ids by rank, `tests` their
    tests, `dependents` the ranks that a leaf's truth can change, `referrers` the ranks that refer to the segment of a
    rank, `at_first` the ranks that hold for a user about whom nothing is known, `may_warm` those that may have to wait
    for seeds. `activations` are the times since when new leaves count, by key.
    """

    def __init__(
        self,
        asked: AskedConditions,
        older: Sequence[AskedConditions] = (),
        activations: Mapping[int, int] | None = None,
    ) -> None:
        segments = asked.segments
        graph = {name: sorted(references(condition)) for name, condition in segments.items()}
        self.order = tuple(TopologicalSorter({name: graph[name] for name in sorted(graph)}).static_order())
        self.rank = {name: rank for rank, name in enumerate(self.order)}
        self.leaves: dict[int, Leaf] = {}
        self.tests = tuple(self.compile(segments[name]) for name in self.order)
        self.campaigns = {name: self.compile(condition) for name, condition in asked.campaigns.items()}
        self.wordings = Wordings((asked, *older), activations or {}, self.compile)
        self.may_warm = tuple(sorted(self.rank[name] for name in self.wordings.segments))
        dependents: dict[int, list[int]] = {}
        referrers: list[list[int]] = [[] for _ in self.order]
        for rank, name in enumerate(self.order):
            for leaf in atoms(segments[name]):
                dependents.setdefault(leaf_key(leaf), []).append(rank)
            for _, leaves, _ in self.wordings.segments.get(name, ()):
                for key in leaves:
                    dependents.setdefault(key, []).append(rank)
            for other in graph[name]:
                referrers[self.rank[other]].append(rank)
        self.dependents = {key: tuple(sorted(set(ranks))) for key, ranks in dependents.items()}
        self.referrers = tuple(tuple(ranks) for ranks in referrers)
        self._tests_while: dict[frozenset[int], tuple[Test, ...]] = {}
        self._index_leaves()
        members: dict[str, int] = {}
        nothing = {key: leaf.unseen for key, leaf in self.leaves.items()}
        for name, test in zip(self.order, self.tests, strict=True):
            if test(nothing, members):
                members[name] = 0
        self.at_first = tuple(self.rank[name] for name in members)

    def tests_while(self, warming: frozenset[int]) -> tuple[Test, ...]:
        """The segments' tests by rank, for users for whom the leaves of these activations are warming."""
        if not warming:
            return self.tests
        if (tests := self._tests_while.get(warming)) is None:
            wordings = self.wordings.segments
            if len(self._tests_while) >= _TABLES:
                self._tests_while.clear()
            tests = self._tests_while[warming] = tuple(
                answering(wordings[name], warming) if name in wordings else test
                for name, test in zip(self.order, self.tests, strict=True)
            )
        return tests

    def update(
        self,
        members: dict[str, int],
        leaves: Mapping[int, LeafState],
        tests: Sequence[Test],
        ranks: list[int],
        now: int,
    ) -> tuple[list[str], list[str]]:
        """Evaluate the segments of these ranks (a heap, used up), and those that refer to a segment that changed.

        `members` (segment to since) is brought up to date; returns the segments that were entered, and that were left.
        """
        entered: list[str] = []
        left: list[str] = []
        while ranks:
            rank = heapq.heappop(ranks)
            while ranks and ranks[0] == rank:
                heapq.heappop(ranks)
            name = self.order[rank]
            holds = tests[rank](leaves, members)
            if holds is (name in members):
                continue
            if holds:
                members[name] = now
                entered.append(name)
            else:
                del members[name]
                left.append(name)
            for other in self.referrers[rank]:
                heapq.heappush(ranks, other)
        return entered, left

    def answer(self, name: str, warming: frozenset[int]) -> Test | None:
        """The test of a campaign's condition; `nobody` where nothing can answer yet, None without a condition."""
        if warming and (wordings := self.wordings.campaigns.get(name)):
            return answering(wordings, warming)
        return self.campaigns.get(name)

    def waiting(self, warming: frozenset[int]) -> list[str]:
        """The segments, sorted, whose conditions cannot answer yet for users for whom these leaves are warming."""
        wordings = self.wordings.segments if warming else {}
        return sorted(name for name, (newest, *_) in wordings.items() if not newest.waits.isdisjoint(warming))

    def compile(self, condition: Condition, refer: Callable[[str], Test] | None = None) -> Test:
        """A test of a condition; its leaves join the index. `refer` gives a segment's test in place of membership."""
        match condition:
            case All(parts):
                tests = [self.compile(part, refer) for part in parts]
                return lambda leaves, members: all(test(leaves, members) for test in tests)
            case Any_(parts):
                tests = [self.compile(part, refer) for part in parts]
                return lambda leaves, members: any(test(leaves, members) for test in tests)
            case Not(part):
                test = self.compile(part, refer)
                return lambda leaves, members: not test(leaves, members)
            case SegmentRef(segment):
                if refer is not None:
                    return refer(segment)
                return lambda _leaves, members: segment in members
        return self._compile_atom(condition)

    def _compile_atom(self, condition: EventCondition | FactCondition) -> Test:
        key = leaf_key(condition)
        leaf = self.leaves.get(key)
        if leaf is None:
            leaf = self.leaves[key] = compile_leaf(condition)

        def test(leaves: Mapping[int, LeafState], _members: dict[str, int]) -> bool:
            return leaves[key].truth

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
    """Read the `segments:` section; segments with mistakes are noted and left out."""
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
    """Note references to unknown segments anywhere below a node, whatever else is wrong."""
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            if key == "segment" and isinstance(child.value, str) and child.value not in known:
                problems.add(
                    child, f"refers to segment `{child.value}`, which does not exist{hint(child.value, known)}"
                )
            check_references(child, known, problems)
    elif isinstance(node.value, list):
        for child in node.value:
            check_references(child, known, problems)


def check_circles(segments: dict[str, Segment], problems: Problems) -> None:
    """Note segments that refer to each other in a circle, once a circle."""
    graph = {
        segment.id: {name for name in references(segment.members) if name in segments} for segment in segments.values()
    }
    for _ in graph:  # each round removes one reference of one more circle
        try:
            TopologicalSorter({name: sorted(graph[name]) for name in sorted(graph)}).prepare()
        except CycleError as error:
            circle = error.args[1][::-1]
            # A circle is shown from its first segment on, so that it reads the same wherever the search began.
            start = circle.index(min(circle))
            circle = [*circle[start:-1], *circle[:start], circle[start]]
            cause = f"segments refer to each other in a circle: {' → '.join(circle)}"
            problems.add(segments[circle[0]].place, cause)
            graph[circle[0]].remove(circle[1])
        else:
            return
