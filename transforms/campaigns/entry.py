"""Who may enter a campaign, and in which arm: the questions asked at entry, in their order.

Arms are hashes of the user at the first entry, of holdout and variants with salts of their own, and are kept then:
other percentages move nobody. Times are microseconds UTC.
"""

from collections.abc import Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import msgspec

from transforms.campaigns.definitions import Campaign
from transforms.campaigns.effects import Draw
from transforms.campaigns.occurrences import moment_of
from transforms.campaigns.policies import GlobalHoldout
from transforms.campaigns.recent import place_of
from transforms.campaigns.user_view import UserView
from transforms.identity.percentile import place, threshold

__all__ = [
    "EACH_KEPT",
    "Arm",
    "Entry",
    "arm_of",
    "digest",
    "draw_of",
    "each_of",
    "is_held",
    "join_entries",
    "last_of",
    "too_early",
]

#: Values of `reenter: {each: …}` that are remembered of a user for a campaign, the newest.
EACH_KEPT = 256


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last entry into a campaign, from which re-entry counts, and the arm that was fixed at the `first`.

    `first` is None in states from before there were arms; then there was one entry.
    """

    at: int
    id: str
    first: int | None = None
    variant: str | None = None
    held_out: bool = False


class Arm(msgspec.Struct, frozen=True):
    """Which variant somebody gets, and whether they are held out of it."""

    variant: str | None
    held_out: bool


def arm_of(campaign: Campaign, user: str, known: Entry | None) -> Arm:
    """The arm of a user: as fixed, else by hash. A variant that is gone is fixed anew."""
    if known is None or known.first is None:
        return Arm(_variant(campaign, user), _is_held_out(campaign, user))
    return Arm(known.variant if known.variant in campaign.variants else _variant(campaign, user), known.held_out)


def draw_of(campaign: Campaign, arm: Arm) -> Draw:
    """Under which percentages a user came into an arm just now, and how many percent of all come into it."""
    parts = [str(campaign.holdout), *(f"{name}={share}" for name, share in sorted(campaign.variants.items()))]
    percent = held = Decimal(str(campaign.holdout))
    if not arm.held_out:
        percent = 100 - held
        if arm.variant is not None:
            percent = percent * Decimal(str(campaign.variants[arm.variant])) / 100
    return Draw(digest(*parts)[:8], f"{percent.normalize():f}")


def _is_held_out(campaign: Campaign, user: str) -> bool:
    return bool(campaign.holdout) and place(f"holdout/{campaign.id}", user) < threshold(campaign.holdout)


def _variant(campaign: Campaign, user: str) -> str | None:
    if not campaign.variants:
        return None
    at, below = place(f"variant/{campaign.id}", user), 0.0
    for name, share in campaign.variants.items():
        below += share
        if at < threshold(round(below, 9)):
            return name
    return next(reversed(campaign.variants))


def is_held(holdout: GlobalHoldout | None, user: str) -> bool:
    """Whether a user gets nothing but what is transactional."""
    return holdout is not None and place(holdout.salt, user) < threshold(holdout.percent)


def too_early(campaign: Campaign, user: UserView, now: int) -> str | None:
    """Why nobody may enter a campaign now: its status, or its dates."""
    if campaign.status != "live":
        return campaign.status
    starts, ends = moment_of(campaign.starts, user.zone), moment_of(campaign.ends, user.zone)
    if starts is not None and now < starts:
        return "not_started"
    return "ended" if ends is not None and now >= ends else None


def each_of(campaign: Campaign, trigger: Mapping[str, Any]) -> str | None:
    """The hash of the trigger's value at the path of `each`; None if it has no value.

    It is empty for campaigns without `each`.
    """
    if campaign.reenter.kind != "each":
        return ""
    place = place_of(campaign.reenter.each, trigger)
    return None if place is None else digest("each", place)


def last_of(campaign: Campaign, each: str, entries: Mapping[str, Entry]) -> Entry | None:
    """The last entry, with `each` the last by that value."""
    return entries.get(f"{campaign.id}/{each}" if each else campaign.id)


def join_entries(mine: Entry | None, theirs: Entry) -> Entry:
    """One entry of two, for two ids that are one user: the last, with the arm of the first."""
    if mine is None:
        return theirs
    last = max(mine, theirs, key=lambda entry: (entry.at, entry.id))
    first = min(mine, theirs, key=_arm_place)
    return msgspec.structs.replace(last, first=first.first, variant=first.variant, held_out=first.held_out)


def _arm_place(entry: Entry) -> tuple[int, str, bool]:
    """The order of arms of one instant, so that the same one stands whatever is joined first."""
    return entry.at if entry.first is None else entry.first, entry.variant or "", entry.held_out


def digest(*parts: str) -> str:
    """A hash of several parts. The separator keeps ("a", "bc") and ("ab", "c") apart."""
    return blake2b("\x1f".join(parts).encode(), digest_size=12).hexdigest()
