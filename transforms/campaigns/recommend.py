"""What is recommended to users: the section `recommend` of definition files, for couriers and for a scheduled job."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from transforms.campaigns.index import asker_of
from transforms.events.event import SESSION_ENDED
from transforms.messages.scope import RECOMMENDATIONS
from transforms.segments.conditions import Attribute, Condition, EventCondition, EventFilter, filters_of
from transforms.segments.document import Node, Problems
from transforms.segments.grammar_events import read_filter
from transforms.segments.index import Segment
from transforms.segments.operators import read_duration, read_path
from transforms.segments.values import DAY
from transforms.segments.warming import atoms, references

__all__ = [
    "AT_LEAST_USERS",
    "EXPIRES",
    "LISTED",
    "MOST_LISTED",
    "MOST_USERS",
    "RECOMMEND_FIELDS",
    "RECOMMEND_REQUIRED",
    "Recommend",
    "check_conditions",
    "read_recommend",
]

RECOMMEND_REQUIRED = ("event", "product", "within")
RECOMMEND_FIELDS = (
    *("event", "type", "where", "product", "within"),
    *("at_least", "at_most", "segments", "leave_out_owned", "expires"),
)
#: How many users a pair has at least, where nothing is said: fewer may be chance, or say what one person bought.
AT_LEAST_USERS, MOST_USERS = 5, 1_000_000
#: How many products a list has at most: where nothing is said, and in any case.
LISTED, MOST_LISTED = 10, 100
#: After so long what was counted is too old to be shown.
EXPIRES = 7 * DAY


class Recommend(msgspec.Struct, frozen=True):
    """What is counted, and how much of it is kept.

    A user has a product with one of `events` in the last `within` (microseconds) whose `product`, a path, names it.
    Pairs of products that fewer than `at_least` users have are not kept, and of a product the `at_most` best others.
    `segments` have lists of their own, in this order. Lists older than `expires` are not shown.
    """

    events: EventFilter
    product: str
    within: int
    at_least: int = AT_LEAST_USERS
    at_most: int = LISTED
    segments: tuple[str, ...] = ()
    leave_out_owned: bool = False
    expires: int = EXPIRES


def read_recommend(
    nodes: Iterable[Node],
    known: Collection[str],
    segments: Mapping[str, Segment],
    problems: Problems,
    kept: int | None = None,
) -> Recommend | None:
    """Read the one section that files may have.

    Args:
      nodes: the sections of all files.
      known: ids of segments.
      segments: those without mistakes.
      problems: to note mistakes in.
      kept: how long the archive keeps events, in microseconds; None for ever.
    """
    first: Node | None = None
    for node in nodes:
        if first is not None:
            problems.add(node, f"`recommend` is already defined at {first.file}:{first.line}")
            return None
        first = node
    if first is None:
        return None
    before = problems.mistakes
    fields = problems.mapping(first, RECOMMEND_FIELDS, required=RECOMMEND_REQUIRED)
    if fields is None:
        return None
    said: dict[str, Any] = {"events": read_filter(fields, problems)}
    if said["events"].name == SESSION_ENDED:
        problems.add(fields["event"], f"`{SESSION_ENDED}` is in no archive: name an event that comes from outside")
    for name, read in _READ.items():
        if name in fields:
            said[name] = read(fields[name], problems)
    if kept is not None and (said.get("within") or 0) > kept:
        cause = "looks back further than the archive keeps events (`policies.retention`): less, or a longer retention"
        problems.add(fields["within"], cause)
    if "segments" in fields:
        said["segments"] = _segments(fields["segments"], known, segments, problems)
    return None if problems.mistakes > before else Recommend(**said)


def check_conditions(
    conditions: Iterable[tuple[str, Condition]], places: Mapping[str, Node], problems: Problems
) -> None:
    """Note conditions that ask for recommendations: these are known where a message is made, and nowhere before."""
    for name, condition in conditions:
        for atom in atoms(condition):
            if isinstance(atom, Attribute) and atom.name == RECOMMENDATIONS:
                cause = (
                    f"`{RECOMMENDATIONS}` are known to messages alone, once a send is decided; no condition asks them"
                )
                problems.add(places[asker_of(name)], cause)


def _segments(
    node: Node, known: Collection[str], segments: Mapping[str, Segment], problems: Problems
) -> tuple[str, ...]:
    found: list[str] = []
    for item in problems.sequence(node, "segments") or []:
        name = problems.text(item)
        if name is None:
            continue
        if name not in known:
            problems.add(item, f"refers to segment `{name}`, which does not exist")
        elif name in found:
            problems.add(item, f"`{name}` is named twice")
        elif name in segments and _asks_sessions(name, segments):
            problems.add(item, f"`{name}` asks for `{SESSION_ENDED}`, which is in no archive: nobody can count by it")
        else:
            found.append(name)
    return tuple(found)


def _asks_sessions(name: str, segments: Mapping[str, Segment]) -> bool:
    """Whether a segment, or one that it refers to, asks for sessions; they end in the state machine alone."""
    waiting, seen = [name], {name}
    while waiting:
        members = segments[waiting.pop()].members
        for atom in atoms(members):
            if isinstance(atom, EventCondition) and any(each.name == SESSION_ENDED for each in filters_of(atom)):
                return True
        more = [each for each in references(members) if each in segments and each not in seen]
        seen |= {*more}
        waiting += more
    return False


_READ: dict[str, Any] = {
    "product": read_path,
    "within": read_duration,
    "at_least": lambda node, problems: problems.integer(node, 1, MOST_USERS),
    "at_most": lambda node, problems: problems.integer(node, 1, MOST_LISTED),
    "leave_out_owned": lambda node, problems: problems.boolean(node),
    "expires": read_duration,
}
