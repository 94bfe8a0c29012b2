"""Tallies: counts that are elements of the pipeline, committed with their bundles, unlike Beam's counters.

A tally is ((series, label, label, window), count); `window` is the start of its UTC day in microseconds, or of its
minute where a live job decided it, and 0 for what has no time of its own. Sums of tallies make the accounts, the report
and the plots.
"""

from collections.abc import Iterable, Iterator

from transforms.campaigns.effects import HOLDOUT, CampaignEntered, Converted, Send, Suppressed
from transforms.segments.leaf_totals import MICRO, micros
from transforms.segments.values import DAY
from transforms.users.effects import Account, Effect, Faulted, Merged, SegmentEntered, SegmentLeft, Truncated
from transforms.users.user import ANONYMOUS, User

__all__ = ["MILLION", "Tallies", "Tally", "TallyKey", "arm_name"]

#: A tuple, since a union is made anew each time that it is asked.
_FLOWS = (SegmentEntered, SegmentLeft)

#: Values of goals are counted in millionths, since tallies are whole numbers; one of 1.8e302, too.
MILLION = MICRO

TallyKey = tuple[str, str, str, int]
Tally = tuple[TallyKey, int]


class Tallies:
    """Counts of one bundle, by windows of so many microseconds."""

    def __init__(self, window: int = DAY) -> None:
        self._window = window
        self._counts: dict[TallyKey, int] = {}

    def count(self, series: str, label: str = "", detail: str = "", at: int = 0, by: int = 1) -> None:
        """Add to a series, in the window of `at` (microseconds UTC)."""
        counts, key = self._counts, (series, label, detail, at - at % self._window)
        counts[key] = counts.get(key, 0) + by

    def effects(self, effects: Iterable[Effect]) -> None:
        """Count what `advance` decided. Memberships are those of users with a user id."""
        for effect in effects:
            if isinstance(effect, Account):
                self.count("control" if effect.control else "accounts", effect.outcome, effect.cause)
            elif isinstance(effect, _FLOWS):
                if not effect.user.startswith(ANONYMOUS):
                    series = "entered" if isinstance(effect, SegmentEntered) else "left"
                    self.count(series, effect.segment, effect.cause, effect.at)
            elif isinstance(effect, CampaignEntered):
                self.count("entries", effect.campaign, arm_name(effect), effect.at)
            elif isinstance(effect, Converted):
                goal = f"{effect.goal}/{arm_name(effect)}"
                self.count("conversions", effect.campaign, goal, effect.at, int(effect.first))
                self.count("value", effect.campaign, goal, effect.at, micros(effect.value))
            elif isinstance(effect, Send):
                self.count("decided", effect.campaign, effect.channel, effect.decided_at)
            elif isinstance(effect, Suppressed):
                self.count("suppressed", effect.reason, effect.campaign, effect.at)
            elif isinstance(effect, Merged):
                self.count("merged", at=effect.at)
            elif isinstance(effect, Truncated):
                self.count("truncated", effect.kind, "", effect.at, effect.count)
            elif isinstance(effect, Faulted):
                self.count("internal", effect.what, "", effect.at)

    def join(self, other: "Tallies") -> None:
        """Add what another one counted."""
        counts = self._counts
        for key, count in other._counts.items():
            counts[key] = counts.get(key, 0) + count

    def final(self, user: User, by: int = 1) -> None:
        """Count a user as a bounded run leaves it; with `by` -1 take back that it was counted."""
        if user.created is None or user.owner is not None:
            return
        known = "anonymous" if user.id.startswith(ANONYMOUS) else "users"
        self.count(known, by=by)
        self.count("waiting", by=by * sum(not journey.is_pending for journey in user.journeys.values()))
        for segment in user.members:
            self.count(f"members of {known}", segment, by=by)

    def drain(self) -> Iterator[Tally]:
        """Give out what was counted, and begin anew."""
        counts, self._counts = self._counts, {}
        yield from counts.items()


def arm_name(effect: CampaignEntered | Converted) -> str:
    """The arm of an entry: `HOLDOUT`, the variant, or nothing where the campaign has none."""
    return HOLDOUT if effect.held_out else effect.variant or ""
