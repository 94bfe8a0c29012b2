"""Releases of plain definitions, as `todoke publish` makes them, and seeds, as a backfill will."""

from collections.abc import Iterable
from typing import Any

from core import compile_plain, run_bounded, states_of, texts_of

from transforms.campaigns.load import Definitions, compiled
from transforms.campaigns.publish import next_release
from transforms.campaigns.release import Release
from transforms.events.event import Event
from transforms.users.user import Seed, User

__all__ = ["publish", "release_of", "seed_for", "seeds_for"]

Plain = dict[str, Any]


def release_of(plain: Plain, now: int = 0) -> Release:
    """A first release, in which nothing is new."""
    changes = next_release(None, texts_of(plain), now)
    assert changes is not None
    return changes.release


def publish(before: Release, plain: Plain, now: int, activate: int | None = None) -> Release:
    """The next release."""
    changes = next_release(before, texts_of(plain), now, activate)
    assert changes is not None
    return changes.release


def seed_for(user: User, definitions: Definitions, before: int, name: str = "backfill") -> Seed:
    """The seed of a user, as the whole history before an activation leaves it by the new definitions alone."""
    new = {leaf for leaf, at in definitions.activations.items() if at == before}
    evidence = {key: state.evidence for key, state in states_of(user).items() if key in new}
    return Seed(name, user.id, before, definitions.release, evidence)


def seeds_for(events: Iterable[Event], plain: Plain, release: Release, before: int) -> dict[str, Seed]:
    """A seed for everybody who was known before an activation, by id."""
    history = [event for event in events if event.arrival < before]
    users, _ = run_bounded(history, compile_plain(plain), before - 1)
    return {
        name: seed_for(user, compiled(release), before)
        for name, user in users.items()
        if user.created is not None and user.owner is None
    }
