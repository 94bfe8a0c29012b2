"""What campaigns did, from what was counted: who entered, what became of messages, why others got none, and the effect.

Nothing here reads a user. Times are microseconds UTC, days are UTC dates.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime

import msgspec

from transforms.metrics.by_user import GoalByUser
from transforms.metrics.counts import INSTANCE, Counts, WindowCount, counts_in, histograms_of, summed
from transforms.metrics.effect import Balance, GoalEffect, effect_of
from transforms.metrics.units import Cohort, Units, read_units
from transforms.segments.values import DAY
from transforms.storage.rows import LedgerState
from transforms.storage.series import label_value
from transforms.users.measures import HISTOGRAM, METRICS, sum_of

__all__ = [
    "EVERYTHING",
    "CampaignReport",
    "StepRow",
    "StoppedEntry",
    "Timing",
    "arm_label",
    "programme_report",
    "report_of",
]

#: Every metric that has campaigns, and the sums of its histograms.
_NAMES = tuple(
    name
    for each, metric in METRICS.items()
    if "campaign" in metric.labels
    for name in ((each, sum_of(each)) if metric.kind == HISTOGRAM else (each,))
)
#: What readers do, and what is counted of a step.
_RESPONSES = ("opened", "clicked", "unsubscribed", "complained")
_COUNTED = ("decided", *_RESPONSES, "machine_opened", "machine_clicked")


class StepRow(msgspec.Struct, frozen=True):
    """What became of the messages of one step in one arm; opens and clicks by people, and by machines.

    `sends` has how many are in each state: handed_off, confirmed, failed, expired, unknown. One that is confirmed was
    handed off before.
    """

    step: str
    arm: str
    channel: str
    decided: int = 0
    sends: dict[str, int] = {}
    opened: int = 0
    clicked: int = 0
    machine_opened: int = 0
    machine_clicked: int = 0
    unsubscribed: int = 0
    complained: int = 0

    @property
    def handed_off(self) -> int:
        """How many a provider has taken, those that it has confirmed since too."""
        return sum(self.sends.get(state, 0) for state in (LedgerState.HANDED_OFF, LedgerState.CONFIRMED))


class StoppedEntry(msgspec.Struct, frozen=True):
    """How often nothing was sent for one reason at one step; of a refused entry the step is empty."""

    reason: str
    step: str
    count: int


class Timing(msgspec.Struct, frozen=True):
    """How long messages of a channel took: bounds in seconds that so large a share does not exceed, as text."""

    channel: str
    since: str
    to: str
    count: int
    half: str
    most: str
    nearly_all: str


class CampaignReport(msgspec.Struct, frozen=True):
    """A campaign as of a time. `entries` and `units` (first entries) are by arm, `by_day` entries by day, then arm.

    `by_user` is what only a look at each user can say, where it was asked for.
    """

    campaign: str
    as_of: int
    entries: dict[str, int]
    units: dict[str, int]
    by_day: dict[str, dict[str, int]]
    steps: tuple[StepRow, ...]
    refusals: tuple[StoppedEntry, ...]
    timing: tuple[Timing, ...]
    cohorts: tuple[Cohort, ...]
    balance: Balance
    effects: tuple[GoalEffect, ...]
    ended: bool = False
    by_user: tuple[GoalByUser, ...] = ()

    @property
    def by_reason(self) -> dict[str, int]:
        """Refusals of all steps by reason, the most frequent first."""
        sums = Counter[str]()
        for each in self.refusals:
            sums[each.reason] += each.count
        return dict(sums.most_common())


#: The name of all campaigns together; no campaign has it.
EVERYTHING = "*"


def programme_report(units: Units, as_of: int) -> CampaignReport:
    """All campaigns together, of units of the global holdout and of all others."""
    came = {each.arm: each.units for each in units.arrivals}
    balance, effects = effect_of(units, _date(as_of))
    return CampaignReport(EVERYTHING, as_of, {}, came, {}, (), (), (), units.cohorts, balance, effects)


def report_of(
    reader: Counts, as_of: int, campaigns: Collection[str] = (), ended: Collection[str] = ()
) -> dict[str, CampaignReport]:
    """What campaigns did, by id.

    Args:
      reader: of the store.
      as_of: units that are complete by then are compared.
      campaigns: their ids; all of which anything was counted, if none is named.
      ended: those whose end was declared, and has passed.

    Raises:
      StoreError: the store cannot be read.
    """
    found: dict[str, list[WindowCount]] = {}
    for count in _counts(reader):
        found.setdefault(count.labels.get("campaign", ""), []).append(count)
    wanted = {label_value(each): each for each in campaigns} or {each: each for each in sorted(found) if each}
    return {name: _report(name, found.get(label, []), as_of, name in ended) for label, name in wanted.items()}


def _counts(reader: Counts) -> Iterator[WindowCount]:
    """The counts of all campaigns, by day: a live job's minutes are added up, so that no more than that is kept."""
    for name in _NAMES:
        days: dict[tuple[tuple[tuple[str, str], ...], int], int] = {}
        for prefix in (f"{name}{{", f"{name}/"):
            for count in counts_in(reader, prefix):
                labels = tuple(sorted(label for label in count.labels.items() if label[0] != INSTANCE))
                key = labels, count.window - count.window % DAY
                days[key] = days.get(key, 0) + count.count
        yield from (WindowCount(name, dict(labels), day, count) for (labels, day), count in days.items())


def _report(campaign: str, counts: list[WindowCount], as_of: int, ended: bool) -> CampaignReport:
    entries, by_day = Counter[str](), dict[str, Counter[str]]()
    refusals = Counter[tuple[str, str]]()
    for count in counts:
        if count.name == "entries":
            arm = count.labels.get("arm", "")
            entries[arm] += count.count
            by_day.setdefault(_date(count.window), Counter())[arm] += count.count
        elif count.name == "suppressed":
            refusals[count.labels.get("reason", ""), count.labels.get("step", "")] += count.count
    units = read_units(counts)
    came = Counter[str]()
    for each in units.arrivals:
        came[each.arm] += each.units
    balance, effects = effect_of(units, _date(as_of), ended=ended)
    return CampaignReport(
        campaign,
        as_of,
        dict(sorted(entries.items())),
        dict(sorted(came.items())),
        {day: dict(sorted(by_day[day].items())) for day in sorted(by_day)},
        _steps(counts),
        tuple(StoppedEntry(*key, number) for key, number in refusals.most_common() if number),
        _timing(counts),
        units.cohorts,
        balance,
        effects,
        ended,
    )


def _steps(counts: Iterable[WindowCount]) -> tuple[StepRow, ...]:
    """The funnel by step, arm and channel."""
    sums: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    states: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for count in counts:
        said = count.labels
        place = said.get("step", ""), said.get("variant", ""), said.get("channel", "")
        if count.name == "decided":
            sums[place]["decided"] += count.count
        elif count.name == "sends":
            states[place][said.get("state", "")] += count.count
        elif count.name == "responses" and said.get("kind") in _RESPONSES:
            machine = said.get("by") == "machine" and said["kind"] in ("opened", "clicked")
            sums[place][f"machine_{said['kind']}" if machine else said["kind"]] += count.count
    counted = {place: {name: sums[place][name] for name in _COUNTED} for place in {*sums, *states}}
    return tuple(
        msgspec.structs.replace(StepRow(*place, sends=dict(states[place])), **counted[place])
        for place in sorted(counted)
    )


def _timing(counts: Iterable[WindowCount]) -> tuple[Timing, ...]:
    found = histograms_of(summed(each for each in counts if each.name in ("latency", sum_of("latency"))), "latency")
    rows = []
    for labels, histogram in found.items():
        said = dict(labels)
        bounds = (histogram.quantile(share) for share in (0.5, 0.95, 0.99))
        rows.append(Timing(said.get("channel", ""), said.get("from", ""), said.get("to", ""), histogram.count, *bounds))
    return tuple(rows)


def arm_label(arm: str) -> str:
    """An arm as people read it: a campaign without variants has the arm `treated` beside the holdout."""
    return arm or "treated"


def _date(at: int) -> str:
    return datetime.fromtimestamp(at // 1_000_000, UTC).date().isoformat()
