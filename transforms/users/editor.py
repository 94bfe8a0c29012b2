"""A user being changed: the working copy that `advance` opens from one immutable `User` and closes into the next.

It holds the parts of the state, and guarantees two things. A leaf with a deadline is evaluated again exactly at that
time. A change of a leaf's truth reaches segments, and from there journeys, before anything later is looked at.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ClassVar

import msgspec

from transforms.campaigns.caps import CapHistory
from transforms.campaigns.engine import JourneyEngine
from transforms.campaigns.goals import Goals
from transforms.campaigns.journeys import Journeys
from transforms.campaigns.latest_events import LatestEvents
from transforms.campaigns.load import Definitions
from transforms.campaigns.occurrences import Occurrences
from transforms.campaigns.open_sends import OpenSends
from transforms.campaigns.part import Part
from transforms.campaigns.recent import Recent
from transforms.campaigns.release import OlderDefinitions
from transforms.campaigns.trigger import Trigger, trigger_of
from transforms.events.event import Event
from transforms.segments.leaf_facts import IDENTIFIED
from transforms.segments.leaves import LeafState
from transforms.users.archive import attributes_set
from transforms.users.effects import Effect, ProfileChanged, Recorded
from transforms.users.facts import KnownProfile, ProfileFacts
from transforms.users.leaves import Leaves
from transforms.users.lineage import Lineage
from transforms.users.memberships import Memberships
from transforms.users.parts import PARTS, PartTable
from transforms.users.rate_limit import RateLimit
from transforms.users.seeds import AwaitedSeeds
from transforms.users.seen import Seen, hash_message
from transforms.users.sessions import Sessions, ended
from transforms.users.tombstone import Tombstone
from transforms.users.truncation import Truncation
from transforms.users.user import Seed, User

__all__ = ["UserEditor"]


class UserEditor(ProfileFacts):
    """The working copy of one user. `effects` collects what happens to it, in order, which `emit` reports.

    Raises:
      OlderDefinitions: the user was judged by newer ones.
    """

    # One is made for each input, which takes less time with slots.
    __slots__ = ("clock", "definitions", "effects", "emit", "id", "index", "policies", "release", "version", *PARTS)

    parts: ClassVar[PartTable] = PARTS

    tombstone: Tombstone
    rate_limit: RateLimit
    truncation: Truncation
    sends: OpenSends
    seeds: AwaitedSeeds
    known: KnownProfile
    sessions: Sessions
    leaves: Leaves
    seen: Seen
    lineage: Lineage
    goals: Goals
    cap_history: CapHistory
    latest_events: LatestEvents
    occurrences: Occurrences
    recent: Recent
    memberships: Memberships
    journeys: Journeys

    def __init__(self, user: User, definitions: Definitions) -> None:
        if user.release > definitions.release:
            raise OlderDefinitions(user.release, definitions.release)
        self.id = user.id
        self.version = user.version
        self.definitions = definitions
        self.index = definitions.index
        self.policies = definitions.policies
        self.effects: list[Effect] = []
        self.emit: Callable[[Effect], None] = self.effects.append
        self.reset(user)
        judged = user.definitions_hash == definitions.definitions_hash and user.release == definitions.release
        if not judged and user.created is not None and user.owner is None:
            self._redefine(Trigger("definition"))

    def reset(self, stored: User) -> None:
        """Go on with another state of the same user."""
        self.clock = stored.clock
        self.release = stored.release
        self.parts.open(self, stored, self.definitions, self.effects)

    def empty(self) -> None:
        """Go on with what stays of a state that was too large."""
        stored = self.close()
        kept = {name: getattr(stored, name) for part in self.parts.values() for name in part.lasting}
        self.reset(self.parts.record(self.id, clock=self.clock, release=self.release, **kept))

    def close(self) -> User:
        """The user after all changes."""
        return self.parts.close(self)

    def snapshot(self, clock: int) -> User:
        """What a merge carries: the user as of `clock`, without private fields."""
        blank = self.parts.record(self.id)
        private = {name: getattr(blank, name) for part in self.parts.values() for name in part.private}
        return msgspec.structs.replace(self.close(), version=0, clock=clock, **private)

    # What is asked.

    @property
    def engine(self) -> JourneyEngine:
        """What moves the journeys, for the length of a call."""
        return JourneyEngine(self)

    @property
    def members(self) -> dict[str, int]:
        """Segment to since."""
        return self.memberships.now

    @property
    def truths(self) -> Mapping[int, LeafState]:
        """The states of leaves by key, each read when it is first asked for."""
        return self.leaves.states.opened

    @property
    def warming(self) -> frozenset[int]:
        """The activations of which a seed is still to come."""
        return self.seeds.warming

    @property
    def settled(self) -> int:
        """Until when facts about the user may come late, counted from the first arrival under any of their user ids."""
        first = self.lineage.heard_of
        return 0 if first is None else first + self.policies.settling

    # What is done.

    def come_to(self, arrival: int, *, historical: bool = False) -> None:
        """Bring about what time alone changes up to an arrival, and set the clock to it."""
        self.advance_to(arrival, historical=historical)
        self.clock = max(self.clock, arrival)

    def advance_to(self, until: int, *, historical: bool = False) -> None:
        """Bring about, in order, what time alone changes up to and including `until`; a session ends as an event."""
        while (session := self.sessions.session) is not None and session.end <= until:
            self._pass_time(session.end, historical=historical)
            self.sessions.session, self.clock = None, max(self.clock, session.end)
            event = ended(session, self.id)
            self.emit(Recorded(self.id, event))
            self.apply_event(event, hash_message(event.id))
        self._pass_time(until, historical=historical)

    def _pass_time(self, until: int, *, historical: bool) -> None:
        trigger = Trigger("historical" if historical else "time")
        while (due := self.parts.first_due(self)) is not None and due <= until:
            parts: list[Part] = [getattr(self, name) for name in self.parts.timed]
            taken = [(part, what) for part in parts if (what := part.take_due(due))]
            if taken:
                self.clock = max(due, self.clock)
                for part, what in taken:
                    part.come_due(what, due, self, trigger)
                self.decide()

    def apply_event(
        self, event: Event, message_hash: int, facts: Collection[str] = (), begun: Iterable[int] | None = None
    ) -> None:
        """Let an event, with the facts that it changed, count. `begun`: what `begin` returned, for a user's first."""
        trigger, journeys = trigger_of(event), self.journeys
        changed = self.leaves.update(event, message_hash, facts, self)
        if begun is not None:
            changed += begun
        if event.name:
            self.recent.add(event)
            if journeys.active:
                self.engine.on_event(event, self.clock)
            if self.goals.goals:
                self.goals.on_event(event, self.id)
            if event.name in self.definitions.routes.remembered:
                self.latest_events.add(event)
        self.memberships.resolve(changed, self, trigger, first=begun is not None)
        if event.name and (campaigns := self.definitions.routes.triggered(event)):
            self.engine.on_triggers(campaigns, event, trigger)
        self.decide()

    def apply_announcement(self, event: Event) -> None:
        """Let an event that concerns no user trigger campaigns."""
        self.engine.on_announcement(event, Trigger("historical" if event.historical else "event", event))
        self.decide()

    def set_attributes(self, values: Mapping[str, Any], name: str, now: int) -> None:
        """Write attributes as of `now`; `name` names the write. The changes trigger nothing."""
        facts = self.profile.write(values, (now, name))
        self.emit(attributes_set(self.id, values, (now, name)))
        if facts:
            self.emit(ProfileChanged(self.id, now, tuple(facts)))
            self.memberships.resolve(self.leaves.update_facts(facts, self), self, Trigger("step"))

    def begin(self) -> list[int]:
        """Make a user known; returns the leaves that this changes."""
        self.lineage.created = self.clock
        self.release = self.definitions.release
        self.occurrences.plan(max(self.clock, self.definitions.published))
        self.seeds.begin(self)
        return self.leaves.update_facts((IDENTIFIED,), self)

    def decide(self) -> None:
        """Decide what fell due in journeys, once everything of this instant is known."""
        if self.journeys.active or self.journeys.tasks:  # nearly never
            self.engine.decide(self.clock)

    def resolve(self, trigger: Trigger) -> None:
        """Carry to segments what changed when leaves and seeds were joined or cut."""
        changed, self.leaves.changed = self.leaves.changed, []
        warmed, self.seeds.warmed = self.seeds.warmed, False
        self.memberships.resolve(changed, self, trigger, warmed=warmed)

    def join(self, theirs: User, arrival: int) -> None:
        """Take over another user's history: the union of everything, so that repeating it changes nothing."""
        for name in self.parts:
            part: Part = getattr(self, name)
            part.join(theirs, self, arrival)

    def join_seed(self, seed: Seed) -> None:
        """Take what came before an activation. After its last seed the new conditions answer."""
        self.leaves.join_seed(seed, self)
        self.seeds.note_come(seed)
        self.resolve(Trigger("seed"))
        self.decide()

    def revive(self) -> None:
        """Make this a user of its own again, after merges in a circle."""
        lineage = self.lineage
        assert lineage.owner is not None
        lineage.former, lineage.owner = lineage.owner.latest, None
        if lineage.created is not None:
            self._redefine(Trigger("merge"))

    def _redefine(self, trigger: Trigger) -> None:
        """Judge the user anew, by other definitions than before. This triggers no campaign; changes have the given
        cause.
        """
        for name in self.parts:
            part: Part = getattr(self, name)
            part.redefine(self, trigger)
        self.release = self.definitions.release
