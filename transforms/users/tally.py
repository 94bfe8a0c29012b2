"""Tallies: counts of one bundle, which are committed with it, unlike Beam's counters.

A tally is ((metric, values of its labels, window), count), see `measures`; `window` is the start of its UTC day in
microseconds, or of its minute where a live job counts, and 0 for what has no time of its own. Sums of tallies make the
accounts, the report and the plots, and the table of metrics.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from transforms.campaigns.definitions import Campaign
from transforms.campaigns.effects import HOLDOUT, CampaignEntered, Converted, GoalUnit, Send, Suppressed
from transforms.events.event import RECEIPT, SESSION, SET, TOKEN_LOST, Event
from transforms.segments.leaf_totals import MICRO, micros
from transforms.segments.values import DAY, MINUTE
from transforms.storage.rows import MetricRow
from transforms.storage.series import series_of
from transforms.users.effects import Account, Effect, Faulted, Merged, Recorded, SegmentEntered, SegmentLeft, Truncated
from transforms.users.measures import METRICS, OTHER, bound_of, sum_of
from transforms.users.user import ANONYMOUS, User

__all__ = ["BASE", "MILLION", "Tallies", "Tally", "TallyKey", "arm_name", "saturated", "series_for"]

#: Values of goals are counted in millionths, since tallies are whole numbers; one of 1.8e302, too.
MILLION = MICRO

#: Sums and squares of what units are worth are counted by digits of this base, so that none exceeds 64 bits.
BASE = 10**9

#: Events that are ours: nobody sent them.
_OURS = frozenset((SESSION, SET, TOKEN_LOST))
#: The kinds of receipts that readers cause.
_RESPONSES = frozenset(("opened", "clicked", "complained", "unsubscribed", "resubscribed"))
#: Labels whose values are words of ours; what is none, from wherever it comes, makes no series.
_WORDS = frozenset(
    ("by", "cause", "channel", "from", "how", "kind", "known", "outcome", "reason", "state", "to", "type", "via")
)
#: The last second of 9999, for goals whose window ends beyond it.
_LAST = 253_402_300_799 * 1_000_000
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")

#: The name of a metric, the values of its labels, and the start of the window.
TallyKey = tuple[str, tuple[str, ...], int]
Tally = tuple[TallyKey, int]


class Tallies:
    """Counts of one bundle, by windows of so many microseconds."""

    def __init__(self, window: int = DAY) -> None:
        self._window = window
        self._counts: dict[TallyKey, int] = {}

    def __bool__(self) -> bool:
        """Whether anything was counted."""
        return bool(self._counts)

    def count(self, metric: str, *values: str, at: int = 0, by: int = 1) -> None:
        """Add to a metric with these values of its labels, in their order, in the window of `at` (microseconds UTC)."""
        counts, key = self._counts, (metric, values, at - at % self._window)
        counts[key] = counts.get(key, 0) + by

    def observe(self, metric: str, *values: str, micros: int, at: int = 0) -> None:
        """Add a time to a histogram. A negative one, as of clocks that differ, counts as 0."""
        micros = max(0, micros)
        self.count(metric, *values, bound_of(micros), at=at)
        self.count(sum_of(metric), *values, at=at, by=micros)

    def effects(self, effects: Iterable[Effect]) -> None:
        """Count what `advance` decided. Memberships are those of users with a user id."""
        for effect in effects:
            if (count := _COUNTED.get(effect.__class__)) is not None:
                count(self, effect)

    def live(
        self, effects: Iterable[Effect], named: Collection[str], campaigns: Mapping[str, Campaign], now: int
    ) -> None:
        """Count what only a job that keeps up with its events can measure: what comes in, and how soon it leads to a
        decision.

        Args:
          effects: what `advance` decided.
          named: the events that are told apart by name.
          campaigns: those whose responses are told apart, by step and variant.
          now: the wall clock, in microseconds UTC.
        """
        for effect in effects:
            if effect.__class__ is Recorded:
                event = effect.event
                if event.type not in _OURS:
                    name = event.name if event.name in named or not event.name else OTHER
                    self.count("events", name, event.type)
                if event.type == RECEIPT:
                    self._respond(event, campaigns)
            elif effect.__class__ is Send:
                self.send_latency(effect, "decided", now)

    def _respond(self, event: Event, campaigns: Mapping[str, Campaign]) -> None:
        """Count what a reader did with a message, apart from what machines do."""
        said = event.properties
        if (kind := said.get("kind")) in _RESPONSES:
            by = "machine" if said.get("machine") is True else "person"
            name, step, variant = (said.get(what) or "" for what in ("campaign", "step", "variant"))
            campaign = campaigns.get(name)
            if campaign is None:
                place = (OTHER if name else "", "", "")
            else:
                known = any(each.id == step for each in campaign.every_step)
                place = name, step if known else "", variant if variant in campaign.variants else ""
            self.count("responses", by, place[0], said.get("channel", ""), kind, *place[1:])

    def send_latency(self, send: Send, to: str, now: int) -> None:
        """Count how long it took until a send was `decided`, or `handed_off`."""
        for since, at in (("arrival", send.decided_at), ("trigger", send.due)):
            self.observe("latency", send.campaign, send.channel, since, to, micros=now - at)

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
            self.count("members", known, segment, by=by)

    def drain(self) -> Iterator[Tally]:
        """Give out what was counted, and begin anew."""
        counts, self._counts = self._counts, {}
        yield from counts.items()

    def rows(self, now: int) -> list[MetricRow]:
        """What was counted as rows of the table of metrics; what has no time of its own counts in the minute of `now`.

        Args:
          now: microseconds UTC.
        """
        minute, counts = now - now % MINUTE, dict[tuple[str, int], int]()
        for (metric, values, window), count in self._counts.items():
            key = series_for(metric, values), window or minute
            counts[key] = counts.get(key, 0) + count
        return [MetricRow(*key, saturated(count)) for key, count in counts.items() if count]


@lru_cache(8192)
def series_for(metric: str, values: tuple[str, ...]) -> str:
    """The series in which a tally is kept."""
    name = metric.removesuffix("_sum")
    labels = METRICS[name].labels
    if len(values) == len(labels) + 1:  # a bucket
        labels = (*labels, "le")
    return series_of(metric, zip(labels, map(_bounded, labels, values), strict=True))


def _bounded(label: str, value: str) -> str:
    return value if not value or label not in _WORDS or _WORD.fullmatch(value) else OTHER


def saturated(count: int) -> int:
    """A count as a row holds it, in 64 bits; one beyond that becomes the limit."""
    return max(-(2**63), min(count, 2**63 - 1))


def arm_name(effect: CampaignEntered | Converted) -> str:
    """The arm of an entry: `HOLDOUT`, the variant, or nothing where the campaign has none."""
    return HOLDOUT if effect.held_out else effect.variant or ""


def _account(tallies: Tallies, effect: Account) -> None:
    tallies.count("control" if effect.control else "accounts", effect.cause, effect.outcome)


def _entered(tallies: Tallies, effect: SegmentEntered) -> None:
    if not effect.user.startswith(ANONYMOUS):
        tallies.count("entered", effect.segment, effect.cause, at=effect.at)


def _left(tallies: Tallies, effect: SegmentLeft) -> None:
    if not effect.user.startswith(ANONYMOUS):
        tallies.count("left", effect.segment, effect.cause, at=effect.at)


def _entry(tallies: Tallies, effect: CampaignEntered) -> None:
    arm = arm_name(effect)
    tallies.count("entries", arm, effect.campaign, at=effect.at)
    if effect.draw is not None:
        day, at, (split, share) = _date(effect.at), _day(effect.at), (effect.draw.split, effect.draw.share)
        tallies.count("units", arm, effect.campaign, day, share, split, at=at)
        for goal, complete in effect.goals:
            tallies.count("goal_units", arm, effect.campaign, _complete(complete), day, goal, split, at=at)


def _converted(tallies: Tallies, effect: Converted) -> None:
    labels = arm_name(effect), effect.campaign, effect.goal
    tallies.count("conversions", *labels, at=effect.at, by=int(effect.first))
    tallies.count("value", *labels, at=effect.at, by=micros(effect.value))
    if effect.unit is not None:
        _unit(tallies, effect, effect.unit)


def _unit(tallies: Tallies, effect: Converted, unit: GoalUnit) -> None:
    """Count by day of entry what a first entry came to: its sum grew, and the square of its sum."""
    place, at = (arm_name(effect), effect.campaign, _complete(effect.complete), _date(unit.entered)), _day(effect.at)
    if effect.first:
        tallies.count("goal_reached", *place, effect.goal, unit.split, at=at)
    grown = {"goal_totals": unit.total - effect.before, "goal_squares": unit.total**2 - effect.before**2}
    for metric, by in grown.items():
        for digit, part in _digits(by):
            tallies.count(metric, *place, digit, effect.goal, unit.split, at=at, by=part)


def _digits(number: int) -> Iterator[tuple[str, int]]:
    """The digits of a number that are not 0, the lowest first, each with the number's sign."""
    left, sign, place = abs(number), -1 if number < 0 else 1, 0
    while left:
        left, digit = divmod(left, BASE)
        if digit:
            yield str(place), sign * digit
        place += 1


def _day(at: int) -> int:
    """The start of a day, in microseconds UTC: what is kept by day of entry needs no minutes beside it."""
    return at - at % DAY


def _date(at: int) -> str:
    """The UTC date of an instant. Before 1970 and beyond 9999 nobody enters."""
    return datetime.fromtimestamp(at // 1_000_000, UTC).date().isoformat()


def _complete(at: int) -> str:
    """The first day that begins when it is over."""
    return _date(min(at + DAY - 1, _LAST))


def _decided(tallies: Tallies, effect: Send) -> None:
    tallies.count("decided", effect.campaign, effect.channel, effect.step, effect.variant or "", at=effect.decided_at)


def _suppressed(tallies: Tallies, effect: Suppressed) -> None:
    tallies.count("suppressed", effect.campaign, "", effect.reason, effect.step, at=effect.at)


_COUNTED: dict[type, Callable[[Tallies, Any], None]] = {
    Account: _account,
    SegmentEntered: _entered,
    SegmentLeft: _left,
    CampaignEntered: _entry,
    Converted: _converted,
    Send: _decided,
    Suppressed: _suppressed,
    Merged: lambda tallies, effect: tallies.count("merged", at=effect.at),
    Truncated: lambda tallies, effect: tallies.count("truncated", effect.kind, at=effect.at, by=effect.count),
    Faulted: lambda tallies, effect: tallies.count("internal", effect.what, at=effect.at),
}
