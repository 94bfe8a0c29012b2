"""A user being changed: the working copy that `advance` opens from one immutable `User` and closes into the next.

A draft keeps two things right at every instant: leaves with a deadline are judged again exactly when it comes, and a
change of a leaf's truth reaches segments, and from there journeys, before anything later is looked at.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from transforms.campaigns.caps import join_cap_history
from transforms.campaigns.effects import Send
from transforms.campaigns.goals import Goals
from transforms.campaigns.journeys import Journeys
from transforms.campaigns.load import Definitions
from transforms.campaigns.occurrences import Occurrences
from transforms.campaigns.recent import Recent
from transforms.campaigns.release import OlderDefinitions
from transforms.campaigns.user_view import Trigger, trigger_of
from transforms.events.event import Event
from transforms.identity.profile import newest
from transforms.segments.leaf_facts import IDENTIFIED
from transforms.segments.leaf_states import LeafStates
from transforms.segments.leaves import EventLeaf, LeafState
from transforms.users.archive import attributes_set
from transforms.users.effects import Effect, ProfileChanged, Recorded, SegmentEntered, SegmentLeft
from transforms.users.judging import Judging
from transforms.users.seeds import seeds_of
from transforms.users.seen import Seen, hash_message
from transforms.users.sessions import ended, join_sessions
from transforms.users.user import ANONYMOUS, Seed, SeedState, User, pack_members, read_members, warming_of

__all__ = ["UserEditor"]


class UserEditor(Judging):
    """The working copy of one user. `effects` collects what happens to it, in order.

    Raises:
      OlderDefinitions: the user was judged by newer ones.
    """

    # One is made for each input, which takes less time with slots.
    __slots__ = (*User.__struct_fields__, "definitions", "_members", "effects", "index", "policies")

    def __init__(self, user: User, definitions: Definitions) -> None:
        if user.release > definitions.release:
            raise OlderDefinitions(user.release, definitions.release)
        self.id = user.id
        self.version = user.version
        self.definitions = definitions
        self.index = definitions.index
        self.policies = definitions.policies
        self.effects: list[Effect] = []
        self.load(user)
        judged = user.definitions_hash == definitions.definitions_hash and user.release == definitions.release
        if not judged and user.created is not None and user.owner is None:
            self._redefine()

    def load(self, user: User) -> None:
        """Take the content of a user, on copies."""
        self.clock = user.clock
        self.created = user.created
        self.profile = user.profile.copy()
        self.leaves = LeafStates(user.leaves, self.index.leaves)
        self._members: dict[str, int] | msgspec.Raw = user.packed_members
        self.journeys = Journeys(dict(user.journeys), dict(user.entries), self, self.definitions)
        self.goals = Goals(user.goals, self.definitions.routes, self.emit)
        self.occurrences = Occurrences(user.occurrences, user.next_occurrence, self.definitions.routes)
        self.cap_history = user.cap_history
        self.latest_events = dict(user.latest_events)
        self.recent = Recent(user.recent, self.definitions.routes.recent)
        self.former = user.former
        self.first = user.first
        self.seen = Seen(user.seen)
        self.merged = user.merged
        self.owner = user.owner
        self.deleted = user.deleted
        self.sends = dict(user.sends)
        self.deleted_at = user.deleted_at
        self.truncated = user.truncated
        self.rate_window = user.rate_window
        self.owners = user.owners
        self.release = user.release
        self.seeds = dict(user.seeds)
        self.early = dict(user.early)
        self.session = user.session if self.policies.sessions is not None else None
        self.warming = warming_of(self.seeds)
        self._tests = self.index.tests_while(self.warming)
        self._zone: str | None = None

    @property
    def members(self) -> dict[str, int]:
        """Segment to since; read when first asked for, and to be changed in place."""
        if isinstance(self._members, msgspec.Raw):
            self._members = read_members(self._members)
        return self._members

    @property
    def settled(self) -> int:
        """Until when facts about the user may come late: from the first arrival under a user id of theirs on."""
        first = self.created if self.first is None else self.first
        return 0 if first is None else first + self.policies.settling

    def close(self) -> User:
        """The user after all changes."""
        return User(
            self.id,
            self.version + 1,
            self.clock,
            self.created,
            self.definitions.definitions_hash,
            self.profile,
            self.leaves.pack(),
            # A copy does not hold on to all of the state that was read.
            members.copy() if isinstance(members := self._members, msgspec.Raw) else pack_members(members),
            self.journeys.active,
            self.journeys.entries,
            self.seen.pack(),
            self.merged,
            self.owner,
            self.deleted,
            dict(self.sends),
            self.deleted_at,
            self.truncated,
            self.rate_window,
            self.owners,
            self.release,
            self.seeds,
            self.session,
            self.goals.after(self.clock) if self.goals.open else {},
            self.cap_history,
            self.latest_events,
            self.occurrences.kept,
            self.occurrences.next,
            self.first,
            self.recent.kept,
            self.early,
            self.former,
        )

    def end(self) -> tuple[User, list[Effect]]:
        """The user after all changes, and the effects; nothing can be done with the draft then.

        It and its journeys and goals refer to each other. Left to the collector of garbage, that costs a fifth of an
        event.
        """
        user, effects = self.close(), self.effects
        del self.journeys, self.goals
        return user, effects

    def emit(self, effect: Effect) -> None:
        """Report an effect; a send stays open until a receipt comes."""
        if effect.__class__ is Send:
            self.sends[effect.id] = effect
        self.effects.append(effect)

    # What inputs do.

    def advance_to(self, until: int, *, historical: bool = False) -> None:
        """Bring about, in order, what time alone changes up to and including `until`; a session ends as an event."""
        while (session := self.session) is not None and session.end <= until:
            self._pass_time(session.end, historical=historical)
            self.session, self.clock = None, max(self.clock, session.end)
            event = ended(session, self.id)
            self.emit(Recorded(self.id, event))
            self.apply_event(event, hash_message(event.id))
        self._pass_time(until, historical=historical)

    def _pass_time(self, until: int, *, historical: bool) -> None:
        cause = Trigger("historical" if historical else "time")
        while (due := self._next()) is not None and due <= until:
            leaves = self.leaves.pop_due(due) if self.leaves.first == due else ()
            journeys = self.journeys.due_at(due) if self.journeys.active else ()
            runs = self.occurrences.next == due
            if not leaves and not journeys and not runs:
                continue
            now = self.clock = max(due, self.clock)
            changed = [key for key in leaves if self._evaluate(key, now)]
            for key in leaves:
                self.leaves.plan(key)
            self.resolve(changed, cause, now)
            if journeys:
                self.journeys.resume(journeys, due)
            if runs:
                for run in self.occurrences.due(due, self.zone, self.journeys.concerns):
                    self.journeys.on_time(run, cause)
                self.occurrences.plan(max(now, self.definitions.published))
            self.journeys.decide(now)

    def _next(self) -> int | None:
        """No leaf, no journey and no run is due earlier."""
        first, planned = self.leaves.first, self.occurrences.next
        if planned is not None and (first is None or planned < first):
            first = planned
        if not self.journeys.active:  # nearly always, and asked for every input
            return first
        journeys = self.journeys.first
        return journeys if first is None else min(first, journeys)

    def remember(self, message_hash: int) -> None:
        """Note that a message is applied now."""
        self.seen.add(message_hash, self.clock)

    def apply_event(
        self, event: Event, message_hash: int, facts: Collection[str] = (), begun: Iterable[int] | None = None
    ) -> None:
        """Let an event, with the facts that it changed, count. `begun`: what `begin` returned, for a user's first."""
        cause = trigger_of(event)
        changed = [*(begun or ()), *self.update_leaves(event, message_hash, facts)]
        if event.name:
            self.recent.add(event)
            self.journeys.on_event(event, self.clock)
            self.goals.on_event(event, self.id)
            if event.name in self.definitions.routes.remembered:
                written = (event.time, event.id, event.properties)
                self.latest_events[event.name] = newest(self.latest_events.get(event.name), written)
        self.resolve(changed, cause, self.clock, first=begun is not None)
        if event.name:
            self.journeys.on_triggers(event, cause)
        self.journeys.decide(self.clock)

    def apply_announcement(self, event: Event) -> None:
        """Let an event that concerns no user trigger campaigns."""
        self.journeys.on_announcement(event, Trigger("historical" if event.historical else "event", event))
        self.journeys.decide(self.clock)

    def set_attributes(self, values: Mapping[str, Any], name: str, now: int) -> None:
        """Write attributes as of `now`; `name` is that of the write. What changes by it triggers nothing."""
        facts = self.profile.write(values, (now, name))
        self.emit(attributes_set(self.id, values, (now, name)))
        if facts:
            self.emit(ProfileChanged(self.id, now, tuple(facts)))
            self.resolve(self.update_leaves_of_facts(facts), Trigger("step"), now)

    def begin(self) -> list[int]:
        """Make a user known; returns the leaves that this changes."""
        self.created = self.clock
        self.release = self.definitions.release
        self.occurrences.plan(max(self.clock, self.definitions.published))
        if self.definitions.awaited:
            self._await(seeds_of(User(self.id, clock=self.clock, created=self.clock), self.definitions))
        return self.update_leaves_of_facts((IDENTIFIED,))

    def resolve(
        self, changed: Iterable[int], cause: Trigger, now: int, *, first: bool = False, warmed: bool = False
    ) -> None:
        """Carry changed leaves to segments, in dependency order, and changed segments to journeys.

        With `first`, memberships start from those of a user about whom nothing is known. With `warmed`, other versions
        of conditions may answer than before.
        """
        index = self.index
        queue = sorted({rank for key in changed for rank in index.dependents.get(key, ())})
        if warmed:
            queue = sorted({*queue, *index.may_warm})
        if not queue and not first:  # most inputs, and then nobody has to read the memberships
            return
        members = self.members
        if first:
            members.update((index.order[rank], now) for rank in index.at_first)
        entered, left = index.update(members, self.leaves.opened, self._tests, queue, now)
        if first:
            entered, left = sorted(members, key=index.rank.__getitem__), []
        self._report(entered, left, cause, now)
        if entered or left:
            self.journeys.on_segments(entered, left, cause, now)

    def _report(self, entered: Iterable[str], left: Iterable[str], cause: Trigger, now: int) -> None:
        for name in entered:
            self.emit(SegmentEntered(name, self.id, now, cause.kind))
        for name in left:
            self.emit(SegmentLeft(name, self.id, now, cause.kind))

    def leave_all(self, cause: str) -> None:
        """Leave every segment because this user ceases to be one of its own."""
        for name in sorted(self.members, key=self.index.rank.__getitem__):
            self.emit(SegmentLeft(name, self.id, self.clock, cause))
        self._members = {}

    def snapshot(self, clock: int) -> User:
        """What a merge carries: the user as it was at `clock`, without what only this draft knows."""
        own: dict[str, Any] = {"owner": None, "sends": {}, "truncated": 0, "rate_window": (0, 0), "owners": ()}
        own |= {"packed_members": pack_members({}), "next_occurrence": None, "former": ""}
        return msgspec.structs.replace(self.close(), version=0, clock=clock, **own)

    def revive(self) -> None:
        """Be a user of one's own again, after having been merged in a circle."""
        assert self.owner is not None
        self.former, self.owner = self.owner.latest, None
        if self.created is not None:
            self._redefine("merge")

    def join(self, other: User, arrival: int) -> None:
        """Take over another user's history: the union of everything, so that repeating it changes nothing.

        Where it came (at `arrival`) before an activation, the seed of this user speaks for it too; else it has one of
        its own.
        """
        theirs = seeds_of(other, self.definitions)
        mine = {at: {self.id: SeedState.AWAITED} for at in warming_of(theirs)}
        # A seed of this user's that was whole cannot have had what comes now.
        whole = {at for at, states in self.seeds.items() if states.get(self.id) is SeedState.WHOLE}
        own = {at for at in theirs if arrival >= at or at in whole}
        for at in own & other.early.keys():
            self.early[at] = other.early[at] | self.early.get(at, {})
        warmed = self._await({at: states if at in own else mine.get(at, {}) for at, states in theirs.items()})
        self.note_early(arrival)
        facts = self.profile.join(other.profile)
        if self.policies.sessions is not None:
            self.session = join_sessions(self.session, other.session)
        changed = self.update_leaves_of_facts(facts)
        for key, their_state in LeafStates(other.leaves).items():
            leaf = self.index.leaves.get(key)
            if isinstance(leaf, EventLeaf):
                changed += self._join_leaf(leaf, their_state, other.id)
        self.seen.join(Seen(other.seen))
        self.merged = tuple(sorted({*self.merged, *other.merged, other.id} - {self.id}))
        self.goals.join(other.goals)
        self.cap_history = join_cap_history(self.cap_history, other.cap_history)
        for name, written in other.latest_events.items():
            self.latest_events[name] = newest(self.latest_events.get(name), written)
        self.occurrences.join(other.occurrences, self.clock)
        self.recent.join(other.recent)
        self._note_first(other)
        self.resolve(changed, Trigger("merge"), self.clock, warmed=warmed)
        self.journeys.adopt(other.journeys, other.entries, self.clock)
        self.journeys.decide(self.clock)

    def _note_first(self, other: User) -> None:
        """Another user id of this user may have been heard of earlier; a visitor does not count."""
        theirs = other.created if other.first is None else other.first
        mine = self.created if self.first is None else self.first
        if not other.id.startswith(ANONYMOUS) and theirs is not None and mine is not None and theirs < mine:
            self.first = theirs

    def join_seed(self, seed: Seed) -> None:
        """Take what came before an activation; with the last seed of it the new conditions answer."""
        activations, changed = self.definitions.activations, []
        for key, evidence in seed.leaves.items():
            leaf = self.index.leaves.get(key)
            if isinstance(leaf, EventLeaf) and activations.get(key) == seed.before:
                changed += self._join_leaf(leaf, LeafState(truth=False, evidence=evidence, source=seed.name), seed.user)
        if seed.version >= 0 and seed.user == self.id:
            self._count_early(seed.before)
        come = SeedState.COME if seed.version < 0 else SeedState.WHOLE
        warmed = self._await({seed.before: {seed.user: come}})
        self.resolve(changed, Trigger("seed"), self.clock, warmed=warmed)
        self.journeys.decide(self.clock)

    def _redefine(self, cause: str = "definition") -> None:
        """Judge a user anew, by other definitions than the last ones; triggers nothing, and reports the cause."""
        index, before = self.index, self.members
        known = User(self.id, clock=self.clock, created=self.created, release=self.release, seeds=self.seeds)
        self.seeds = seeds_of(known, self.definitions)
        self.release = self.definitions.release
        self._note_warming()
        self.leaves = self.leaves.only(index.leaves)
        self.recent.only(self.definitions.routes.recent_keys)
        published = max(self.clock, self.definitions.published)
        self.occurrences.replan(self.clock, published)
        for key, leaf in index.leaves.items():
            if isinstance(leaf, EventLeaf):
                if leaf.zoned and key in self.leaves:  # the zone of who names none may be another now
                    self._evaluate(key, self.clock)
            else:
                # What a new leaf would have said before it was published is history, and must not trigger anything.
                self._evaluate(key, self.clock if key in self.leaves else published)
        self._members = {}
        for name, test in zip(index.order, self._tests, strict=True):
            if test(self.leaves.opened, self.members):
                self.members[name] = before.get(name, self.clock)
        entered = [name for name in self.members if name not in before]
        left = [name for name in before if name not in self.members]
        self._report(entered, left, Trigger(cause), self.clock)
