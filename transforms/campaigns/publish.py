"""How a publication makes the next release: which leaves go on, which are new and since when, which revisions stay."""

import msgspec

from transforms.campaigns.index import asker_of
from transforms.campaigns.load import Definitions, compiled
from transforms.campaigns.release import MOST_REVISIONS, Activation, Release, Revision, Texts
from transforms.events.times import write_time
from transforms.segments.values import SECOND

__all__ = ["AHEAD", "LEAST_AHEAD", "ActivationRefused", "Changes", "next_release"]

#: How long after its publication a new leaf begins to count, in microseconds, and how long at least: every process
#: looks at the pointer twice in that time.
AHEAD, LEAST_AHEAD = 90 * SECOND, 60 * SECOND


class ActivationRefused(ValueError):
    """A time at which new leaves cannot begin to count; the message says why."""


class Changes(msgspec.Struct, frozen=True):
    """What a publication changes.

    `new`, `kept` and `dropped` are the leaves on events, by key. `activation` (microseconds UTC, None without new
    leaves) is since when the new ones count; until their seeds come, older conditions answer for the segments and
    campaigns that are `changed`, and none for those that are `added`.
    """

    release: Release
    new: tuple[int, ...]
    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    activation: int | None
    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


def next_release(
    before: Release | None, texts: Texts, now: int, activate: int | None = None, *, swapped: int | None = None
) -> Changes | None:
    """The release that a publication of `texts` makes; None if they are published already.

    In a first release nothing is new, unless a time is given: it is for a job without users, or with the definitions
    that its users were judged by.

    Args:
      before: the release that is published now.
      now: microseconds UTC.
      activate: since when new leaves count; default: `AHEAD` from now, in whole seconds.
      swapped: since when they count if one process alone judges users, and knows the release before it applies
        anything that arrived then or later.

    Raises:
      DefinitionsError: with every mistake.
      ActivationRefused: the time is too near, or not later than that of an earlier publication.
    """
    definitions = compiled(texts)
    if before is not None and before.revisions[0].definitions_hash == definitions.definitions_hash:
        return None
    known = compiled(before) if before is not None else None
    # What the running job keeps up to date goes on: also what it asks for older revisions only.
    counted = set(known.index.leaves) if known is not None else set() if activate else set(definitions.event_leaves)
    new = tuple(leaf for leaf in definitions.event_leaves if leaf not in counted)
    at = None
    if new:
        at = _activation(before, now, activate) if swapped is None else max(swapped, _newest(before) + 1)
    revisions = _revisions(before, known, definitions, texts, now)
    number = before.number + 1 if before is not None else 1
    activations = _still_asked(before, revisions, set(new)) if before is not None else ()
    if at is not None:
        activations = (*activations, Activation(number, at, new))
    release = Release(number, revisions, activations)
    dropped = set(known.event_leaves) - set(definitions.event_leaves) if known is not None else set()
    kept = tuple(leaf for leaf in definitions.event_leaves if leaf in counted)
    changes = Changes(release, new, kept, tuple(sorted(dropped)), at)
    return changes if at is None else _with_waiting(changes, at)


def _activation(before: Release | None, now: int, activate: int | None) -> int:
    at = -(-(now + AHEAD) // SECOND) * SECOND if activate is None else activate
    if at < now + LEAST_AHEAD:
        raise ActivationRefused(
            f"{write_time(at)} is less than {LEAST_AHEAD // SECOND} seconds ahead: not every process would know the "
            "new definitions by then"
        )
    newest = _newest(before)
    if at <= newest:
        if activate is None:
            return newest + SECOND
        raise ActivationRefused(f"an earlier publication counts from {write_time(newest)}: name a later time")
    return at


def _newest(before: Release | None) -> int:
    return max((each.at for each in before.activations), default=0) if before is not None else 0


def _revisions(
    before: Release | None, known: Definitions | None, definitions: Definitions, texts: Texts, now: int
) -> tuple[Revision, ...]:
    """The newest revision and those that may still answer: one that asks the same takes the place of the last."""
    newest = Revision(definitions.definitions_hash, texts, now)
    if before is None or known is None:
        return (newest,)
    older = before.revisions[1:] if known.asked == definitions.asked else before.revisions
    return (newest, *older)[:MOST_REVISIONS]


def _still_asked(before: Release, revisions: tuple[Revision, ...], new: set[int]) -> tuple[Activation, ...]:
    """The activations of leaves that some revision asks still, and that do not begin anew."""
    asked = {leaf for revision in revisions for leaf in compiled(revision.texts).event_leaves} - new
    left = [
        msgspec.structs.replace(each, leaves=tuple(leaf for leaf in each.leaves if leaf in asked))
        for each in before.activations
    ]
    return tuple(each for each in left if each.leaves)


def _with_waiting(changes: Changes, at: int) -> Changes:
    versions = compiled(changes.release).index.wordings
    waiting = {
        name: found
        for known in (versions.segments, versions.campaigns)
        for name, found in known.items()
        if at in found[0].waits
    }
    owners = {name: asker_of(name) for name in waiting}
    added = {owners[name] for name, found in waiting.items() if len(found) == 1}
    changed = set(owners.values()) - added
    return msgspec.structs.replace(changes, changed=tuple(sorted(changed)), added=tuple(sorted(added)))
