"""Seeds: which users wait for what came before an activation, and how new the definitions must be that judge a user.

A leaf that came with a later release counts from its activation on. A user known before then has a history that the
leaf has not seen. Seeds bring it, one for each id of the user. Until then the leaf is warming.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from transforms.campaigns.load import Definitions
from transforms.campaigns.part import Part
from transforms.campaigns.trigger import Trigger
from transforms.segments.index import SegmentIndex
from transforms.segments.values import DAY
from transforms.users.user import Input, Merge, Seed, Seeds, SeedState, User, warming_of

if TYPE_CHECKING:
    from transforms.users.editor import UserEditor

__all__ = ["AwaitedSeeds", "newest_release", "seeds_of"]

#: How long it is remembered that a seed has come. One that comes again so late finds that nobody waits for it.
REMEMBERED = 30 * DAY


class AwaitedSeeds(Part):
    """What is known of a user's seeds, being changed: `seeds` and `early` (see `User`).

    `warming` are the activations of which one is still to come, and `tests` those of segments that answer meanwhile.
    `warmed` says that others answer than before, while much was being joined.
    """

    fields = lasting = ("seeds", "early")
    given = ("definitions.index",)
    __slots__ = ("_index", "early", "seeds", "tests", "warmed", "warming")

    def __init__(self, seeds: Seeds, early: dict[int, dict[str, int]], index: SegmentIndex) -> None:
        self.seeds = dict(seeds)
        self.early = dict(early)
        self.warmed = False
        self.warming = warming_of(seeds)
        self._index = index
        self.tests = index.tests_while(self.warming)

    def begin(self, user: "UserEditor") -> None:
        """Note the activations that somebody who is new has to wait for."""
        if user.definitions.awaited:
            self._note(seeds_of(User(user.id, clock=user.clock, created=user.clock), user.definitions))
            self.warmed = False  # who is new has been asked nothing before

    def note_early(self, arrival: int, user: "UserEditor") -> None:
        """Note that something that arrived at a time is applied now: a seed that was made earlier lacks it."""
        for at in self.warming:
            if arrival < at:
                self.early[at] = self.early.get(at, {}) | {user.id: user.version + 1}

    def outcome(self, seed: Seed, user: "UserEditor") -> tuple[str, str]:
        """How a seed ends for a known user, and why."""
        state = self.seeds.get(seed.before, {}).get(seed.user)
        known = state is not None or (seed.user != user.id and seed.before in user.definitions.activations.values())
        if state is not None and state >= SeedState.COME:
            outcome = "duplicate", ""
        elif 0 <= seed.version < self.early.get(seed.before, {}).get(seed.user, 0):
            outcome = "again", ""
        elif state is SeedState.MISSED:
            outcome = "duplicate", "missed"
        else:
            outcome = ("applied", "") if known else ("duplicate", "not_awaited")
        return outcome

    def note_come(self, seed: Seed) -> None:
        """Note that a seed was joined."""
        come = SeedState.COME if seed.version < 0 else SeedState.WHOLE
        self._note({seed.before: {seed.user: come}})

    def redefine(self, user: "UserEditor", _trigger: Trigger) -> None:
        """Wait for what the definitions ask of the past that the user was not judged by."""
        created = user.lineage.created
        known = User(user.id, clock=user.clock, created=created, release=user.release, seeds=self.seeds)
        self.seeds = seeds_of(known, user.definitions)
        self._note_warming()
        self.warmed = False  # all is asked anew

    def join(self, theirs: User, user: "UserEditor", arrival: int) -> None:
        """If the other past came before an activation, the seed of this user covers it; else it has a seed of
        its own.
        """
        seeds = seeds_of(theirs, user.definitions)
        mine = {at: {user.id: SeedState.AWAITED} for at in warming_of(seeds)}
        # A seed of this user's that was whole cannot have had what comes now.
        whole = {at for at, states in self.seeds.items() if states.get(user.id) is SeedState.WHOLE}
        own = {at for at in seeds if arrival >= at or at in whole}
        for at in own & theirs.early.keys():
            self.early[at] = theirs.early[at] | self.early.get(at, {})
        self._note({at: states if at in own else mine.get(at, {}) for at, states in seeds.items()})
        self.note_early(arrival, user)

    def _note(self, seeds: Seeds) -> None:
        """Note what is known of seeds."""
        for at, states in seeds.items():
            mine = self.seeds.get(at, {})
            if states:
                self.seeds[at] = mine | {name: max(state, mine.get(name, state)) for name, state in states.items()}
        self._note_warming()

    def _note_warming(self) -> None:
        before, self.warming = self.warming, warming_of(self.seeds)
        for at in self.early.keys() - self.warming:
            del self.early[at]
        self.tests = self._index.tests_while(self.warming)
        self.warmed = self.warmed or before != self.warming


def newest_release(user: User, inputs: Iterable[Input]) -> int:
    """The release that the definitions need at least, to apply these inputs to this user."""
    release = user.release
    for item in inputs:
        if isinstance(item, Seed):
            release = max(release, item.release)
        elif isinstance(item, Merge):
            release = max(release, item.user.release)
    return release


def seeds_of(user: User, definitions: Definitions) -> Seeds:
    """What is known of a user's seeds, with those of activations that the user was not judged by yet."""
    if definitions.awaited is None:
        return dict(user.seeds)
    times = {activation.at for activation in definitions.awaited}
    seeds = {at: states for at, states in user.seeds.items() if at in times and not _is_old(at, states, user.clock)}
    for activation in definitions.awaited:
        at = activation.at
        if activation.release > user.release and user.created is not None and user.created < at:
            state = SeedState.AWAITED if user.clock < at else SeedState.MISSED
            seeds[at] = seeds.get(at, {}) | {user.id: state}
    return seeds


def _is_old(at: int, states: dict[str, SeedState], clock: int) -> bool:
    return at < clock - REMEMBERED and all(state >= SeedState.COME for state in states.values())
