"""Who would be in a segment: how many, how that changed over the last weeks, and a few of them with the reasons.

The state machine itself runs over whole histories: the answers are those of a run over the same messages, without its
store. Times are microseconds UTC.
"""

from collections.abc import Iterator, Sequence
from heapq import heappush, heappushpop
from typing import NamedTuple

import msgspec

from transforms.campaigns.load import Definitions
from transforms.segments.evidence import hash_of
from transforms.segments.values import DAY
from transforms.users.boundary import Failed, fold_apart
from transforms.users.explain import ConditionTree, Explained, decisive, replay
from transforms.users.facts import zone_of
from transforms.users.histories import Histories
from transforms.users.parts import PARTS
from transforms.users.user import ANONYMOUS, Input, User, Wake

__all__ = ["ConditionCount", "Preview", "Reason", "Week", "preview_segment"]

WEEK = 7 * DAY


class Week(NamedTuple):
    """How many users were members at a time, and how many were known."""

    at: int
    members: int
    users: int


class ConditionCount(msgspec.Struct, frozen=True):
    """One condition, how deep it lies, and for how many of the known users it holds."""

    depth: int
    form: str
    text: str
    holds: int


class Reason(msgspec.Struct, frozen=True):
    """A member, the zone it is in, and the conditions that make it one."""

    user: str
    zone: str
    because: Explained


class Preview(msgspec.Struct, frozen=True):
    """A segment as of a time; `weeks` end there, the oldest first."""

    segment: str
    as_of: int
    members: int
    users: int
    weeks: tuple[Week, ...]
    conditions: tuple[ConditionCount, ...]
    sample: tuple[Reason, ...]


def preview_segment(
    segment: str,
    histories: Histories,
    definitions: Definitions,
    as_of: int,
    *,
    weeks: int = 12,
    sample: int = 5,
    anonymous: bool = False,
) -> Preview:
    """Ask a segment of all users at the ends of so many weeks, the last of which ends at `as_of`.

    Args:
      sample: how many members are explained: those with the least hash of their id, the same ones each time.
      anonymous: count and show users without a user id too.
    """
    definitions = definitions.only(segment)
    tree = ConditionTree(segment, definitions)
    moments = [as_of - WEEK * back for back in range(weeks - 1, -1, -1)]
    known, members, holding = [0] * weeks, [0] * weeks, [0] * len(tree.outline)
    chosen: list[tuple[int, str, list[Input]]] = []
    for key, inputs in histories.each(definitions):
        if key.startswith(ANONYMOUS) and not anonymous:
            continue
        user = None
        for number, user in _at_each(key, inputs, moments, definitions, histories.failed):
            if user.created is not None and user.owner is None:
                known[number] += 1
                members[number] += segment in user.members
        if user is None or user.created is None or user.owner is not None:
            continue
        answers = tree.answers(user)  # the first is the segment's
        holding = [many + holds for many, holds in zip(holding, answers, strict=True)]
        if sample and answers[0]:
            push = heappush if len(chosen) < sample else heappushpop
            push(chosen, (-hash_of(key), key, inputs))
    return Preview(
        segment,
        as_of,
        members[-1],
        known[-1],
        tuple(Week(*week) for week in zip(moments, members, known, strict=True)),
        tuple(ConditionCount(*place, many) for place, many in zip(tree.outline, holding, strict=True)),
        tuple(_reason(tree, key, inputs, as_of) for _, key, inputs in sorted(chosen, reverse=True)),
    )


def _at_each(
    key: str, inputs: Sequence[Input], moments: Sequence[int], definitions: Definitions, failed: Failed
) -> Iterator[tuple[int, User]]:
    """A user as of each moment from the first input on, with the number of the moment."""
    user, done = User(key), 0
    for number, moment in enumerate(moments):
        begun = done
        while done < len(inputs) and inputs[done].arrival <= moment:
            done += 1
        if not done:
            continue
        if done > begun or ((due := PARTS.deadline_of(user)) is not None and due <= moment):
            user, _ = fold_apart(user, (*inputs[begun:done], Wake(moment)), definitions, failed)
        yield number, user


def _reason(tree: ConditionTree, key: str, inputs: Sequence[Input], as_of: int) -> Reason:
    user, since = replay(tree, key, inputs, as_of)
    zone = zone_of(user.profile, tree.definitions.policies.default_zone)
    return Reason(key, zone, decisive(tree.explain(user, since)))
