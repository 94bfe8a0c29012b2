"""Seeds: who has to wait for what came before an activation, and by how new definitions a user may be judged.

A leaf that came with a later release counts from its activation on. Who was known before then has a history that the
leaf has not seen; a seed brings it, one for each id whose history it is. Until then the leaf is warming.
"""

from collections.abc import Iterable

from transforms.campaigns.load import Definitions
from transforms.segments.values import DAY
from transforms.users.user import Input, Merge, Seed, Seeds, SeedState, User

__all__ = ["newest_release", "seeds_of"]

#: How long it is remembered that a seed has come. One that comes again so late finds that nobody waits for it.
REMEMBERED = 30 * DAY


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
