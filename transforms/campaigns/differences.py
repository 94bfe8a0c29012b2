"""What changes between two definitions: conditions, who is a member, what needs a backfill, and campaigns.

Conditions are compared by what they mean: a segment that is referred to counts as its own condition, so that a segment
changes with those that it refers to, and no name does.
"""

from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from transforms.campaigns.definitions import Campaign
from transforms.campaigns.index import conditions_of
from transforms.campaigns.load import Definitions
from transforms.campaigns.policies import FIELDS
from transforms.segments.conditions import All, Any_, Condition, EventCondition, FactCondition, Not, SegmentRef
from transforms.segments.index import Segment
from transforms.segments.leaves import leaf_key
from transforms.segments.warming import atoms, references
from transforms.segments.written import condition_text

__all__ = [
    "UNTIL_SEEDED",
    "CampaignChange",
    "Differences",
    "LeafChange",
    "LevelChange",
    "SegmentChange",
    "counted_text",
    "differences",
]

#: What answers for users known before, by the word for it, as `todoke diff` and `todoke publish` say it.
UNTIL_SEEDED = {
    "old": "until a seed comes the condition as it was answers",
    "no": "until a seed comes it answers no",
}

#: The fields of a campaign that definition files call otherwise.
_WRITTEN = {"exits": "exit", "quiet": "quiet_hours", "template_events": "with"}


class LeafChange(msgspec.Struct, frozen=True):
    """A condition: `added`, `removed` or `kept`. `backfill`: users known before have no history for it."""

    kind: str
    key: int
    text: str
    backfill: bool


class SegmentChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A segment: `added`, `removed`, `changed` (its members will), `renamed` (only), or `unchanged`.

    `was` is the former id of a renamed one, and `fields` are those beside the members that changed. `warming` says
    what answers until seeds come: `old` (the condition as it was) or `no`.
    """

    id: str
    kind: str
    was: str | None = None
    fields: tuple[str, ...] = ()
    warming: str | None = None


class CampaignChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A campaign: `added`, `removed`, `changed` in these `fields`, or `unchanged`; `warming` as for segments.

    The field `messages` stands for what it sends, and `audience` for whom that takes in.
    """

    id: str
    kind: str
    fields: tuple[str, ...] = ()
    warming: str | None = None


class LevelChange(msgspec.Struct, frozen=True):
    """A service level: `added`, `removed` or `changed`, in what it says or in who its owner is."""

    id: str
    kind: str


class Differences(msgspec.Struct, frozen=True):
    """All differences; leaves by text, the others by id. `policies` are the names of those that changed.

    `counted` are how many conditions on events are new, kept, and dropped: a publication says the same numbers.
    """

    leaves: tuple[LeafChange, ...]
    segments: tuple[SegmentChange, ...]
    campaigns: tuple[CampaignChange, ...]
    policies: tuple[str, ...] = ()
    counted: tuple[int, int, int] = (0, 0, 0)
    slos: tuple[LevelChange, ...] = ()


def counted_text(new: int, kept: int, dropped: int) -> str:
    """What becomes of conditions on events, in a line."""
    return f"conditions on events: {new} new, {kept} kept, {dropped} dropped"


def differences(old: Definitions, new: Definitions) -> Differences:
    """What changes from `old` to `new`. What an old release still counts for its older revisions needs no backfill."""
    sides = _Side(old), _Side(new)
    needed = set(new.event_leaves) - set(old.index.leaves)
    dropped = set(old.event_leaves) - set(new.event_leaves)
    counted = len(needed), len(new.event_leaves) - len(needed), len(dropped)
    policies = tuple(name for name in FIELDS if getattr(old.policies, name) != getattr(new.policies, name))
    found = _leaves(*sides, needed), _segments(*sides, needed), _campaigns(*sides, needed)
    return Differences(*found, policies, counted, _levels(old, new))


def _levels(old: Definitions, new: Definitions) -> tuple[LevelChange, ...]:
    """The service levels that are not the same; names alone, since each says little."""
    changed = sorted(name for name in {**old.slos, **new.slos} if old.slos.get(name) != new.slos.get(name))
    kinds = {(False, True): "added", (True, False): "removed", (True, True): "changed"}
    return tuple(LevelChange(name, kinds[name in old.slos, name in new.slos]) for name in changed)


class _Side:
    """One of the two definitions, with the meanings of its segments."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.atoms = {
            leaf_key(atom): atom
            for known in (definitions.asked.segments, definitions.asked.campaigns)
            for condition in known.values()
            for atom in atoms(condition)
        }
        self.meanings: dict[str, str] = {}
        self.leaves: dict[str, frozenset[int]] = {}
        for name in definitions.index.order:  # those that are referred to stand first
            condition = definitions.segments[name].members
            self.meanings[name] = self.meaning(condition)
            self.leaves[name] = self.leaves_of(condition)

    def meaning(self, condition: Condition) -> str:
        """A hash, the same for conditions that have the same members."""
        match condition:
            case All(parts):
                return self._joined("all", parts)
            case Any_(parts):
                return self._joined("any", parts)
            case Not(part):
                return _hash(["not", self.meaning(part)])
            case SegmentRef(segment):
                return self.meanings[segment]
        return f"{leaf_key(condition):016x}"

    def leaves_of(self, condition: Condition) -> frozenset[int]:
        """The leaves of a condition, with those of the segments that it refers to."""
        own = frozenset(leaf_key(atom) for atom in atoms(condition))
        return own.union(*(self.leaves[name] for name in references(condition)))

    def _joined(self, form: str, parts: Iterable[Condition]) -> str:
        meanings = sorted({self.meaning(part) for part in parts})
        return meanings[0] if len(meanings) == 1 else _hash([form, *meanings])


def _hash(parts: list[str]) -> str:
    return blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


def _leaves(old: _Side, new: _Side, needed: set[int]) -> tuple[LeafChange, ...]:
    found = []
    known: dict[int, EventCondition | FactCondition] = {**old.atoms, **new.atoms}
    for key, atom in known.items():
        kind = "removed" if key not in new.atoms else "kept" if key in old.atoms else "added"
        found.append(LeafChange(kind, key, condition_text(atom), key in needed))
    return tuple(sorted(found, key=lambda leaf: (leaf.text, leaf.key)))


def _segments(old: _Side, new: _Side, needed: set[int]) -> tuple[SegmentChange, ...]:
    before, after = old.definitions.segments, new.definitions.segments
    gone: dict[str, list[str]] = {}
    for name in sorted(before.keys() - after.keys(), reverse=True):
        gone.setdefault(old.meanings[name], []).append(name)
    found = []
    for name, segment in sorted(after.items()):
        was = name
        if name not in before:
            former = gone.get(new.meanings[name])
            was = former.pop() if former else ""
        waits = not needed.isdisjoint(new.leaves[name])
        warming = None if not waits else "old" if name in before else "no"
        if not was:
            found.append(SegmentChange(name, "added", warming=warming))
            continue
        said = _descriptive(before[was])
        fields = tuple(field for field, value in _descriptive(segment).items() if said[field] != value)
        if new.meanings[name] != old.meanings[was]:
            found.append(SegmentChange(name, "changed", None, fields, warming))
        elif was != name or fields:
            found.append(SegmentChange(name, "renamed", was if was != name else None, fields, warming))
        else:
            found.append(SegmentChange(name, "unchanged", warming=warming))
    found += [SegmentChange(name, "removed") for names in gone.values() for name in names]
    return tuple(sorted(found, key=lambda segment: segment.id))


def _descriptive(segment: Segment) -> dict[str, str | None]:
    """What is said beside the members; a name that is only the id is none."""
    return {"name": None if segment.name == segment.id else segment.name, "owner": segment.owner}


def _campaigns(old: _Side, new: _Side, needed: set[int]) -> tuple[CampaignChange, ...]:
    before, after = old.definitions.campaigns, new.definitions.campaigns
    found = []
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            found.append(CampaignChange(name, "removed"))
            continue
        was, now = (conditions_of({name: side[name]} if name in side else {}) for side in (before, after))
        waiting = [key for key, asked in now.items() if not needed.isdisjoint(new.leaves_of(asked))]
        warming = None if not waiting else "old" if was.keys() >= set(waiting) else "no"
        if name not in before:
            found.append(CampaignChange(name, "added", warming=warming))
            continue
        fields = _fields(old, before[name], new, after[name])
        found.append(CampaignChange(name, "changed" if fields else "unchanged", fields, warming))
    return tuple(found)


def _fields(old: _Side, was: Campaign, new: _Side, now: Campaign) -> tuple[str, ...]:
    names = [field for field in Campaign.__struct_fields__ if field != "audience"]
    fields = [_WRITTEN.get(field, field) for field in names if getattr(was, field) != getattr(now, field)]
    whom = [
        None if campaign.audience is None else side.meaning(campaign.audience)
        for side, campaign in ((old, was), (new, now))
    ]
    sent = {message for step in now.every_step for message in step.all_messages}
    texts, others = new.definitions.messages, old.definitions.messages
    if whom[0] != whom[1]:
        fields.append("audience")
    if any(name in others and texts[name] != others[name] for name in sent):
        fields.append("messages")
    return tuple(sorted(fields))
