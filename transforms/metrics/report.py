"""The report of a run, made from summed tallies."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from transforms.campaigns.load import Definitions
from transforms.events.times import write_time
from transforms.storage.rows import MetricRow
from transforms.users.effects import OUTCOMES
from transforms.users.measures import METRICS
from transforms.users.tally import MILLION, Tally, TallyKey, saturated, series_for

__all__ = ["Summary", "accounts_add_up", "report_json"]


class Summary(msgspec.Struct):
    """The summed tallies of a run, and the time as of which users were settled."""

    as_of: int
    counts: dict[TallyKey, int]

    @classmethod
    def of(cls, as_of: int, tallies: Iterable[Tally]) -> "Summary":
        """Sum tallies."""
        counts: dict[TallyKey, int] = {}
        for key, count in tallies:
            counts[key] = counts.get(key, 0) + count
        return cls(as_of, counts)

    def total(self, metric: str, **labels: str) -> int:
        """The sum of a metric, or of what has these labels."""
        wanted = labels.items()
        return sum(count for found, _, count in self._of(metric) if wanted <= found.items())

    def by_label(self, metric: str, label: str) -> dict[str, int]:
        """The sums of a metric by one label, sorted."""
        sums: dict[str, int] = {}
        for labels, _, count in self._of(metric):
            sums[labels[label]] = sums.get(labels[label], 0) + count
        return dict(sorted(sums.items()))

    def by_labels(self, metric: str, label: str, further: str) -> dict[str, dict[str, int]]:
        """The sums of a metric by one label, then by another one, sorted."""
        sums: dict[str, dict[str, int]] = {}
        for labels, _, count in self._of(metric):
            inner = sums.setdefault(labels[label], {})
            inner[labels[further]] = inner.get(labels[further], 0) + count
        return {name: dict(sorted(inner.items())) for name, inner in sorted(sums.items())}

    def by_day(self, metric: str, *names: str) -> dict[str, dict[int, int]]:
        """The sums of a metric by labels (`push: handed_off`), then day (its start in microseconds UTC), sorted."""
        sums: dict[str, dict[int, int]] = {}
        for labels, day, count in self._of(metric):
            inner = sums.setdefault(": ".join(labels[name] for name in names), {})
            inner[day] = inner.get(day, 0) + count
        return {name: dict(sorted(inner.items())) for name, inner in sorted(sums.items())}

    def campaign_rows(self) -> list[MetricRow]:
        """What was counted of campaigns, as rows of the table of metrics, by day."""
        return [
            MetricRow(series_for(metric, values), window, saturated(count))
            for (metric, values, window), count in sorted(self.counts.items())
            if count and metric in METRICS and "campaign" in METRICS[metric].labels
        ]

    def _of(self, metric: str) -> Iterator[tuple[dict[str, str], int, int]]:
        """The labels, day and count of each tally of a metric."""
        names = METRICS[metric].labels
        for (name, values, day), count in self.counts.items():
            if name == metric:
                yield dict(zip(names, values, strict=True)), day, count


def report_json(summary: Summary, definitions: Definitions, elapsed_s: float) -> dict[str, Any]:
    """What `--report` writes (docs/reference/report.md).

    Args:
      definitions: those of the run, whose segments and goals are there even where they are empty.
      elapsed_s: how long the run took, in seconds.
    """
    accounts = summary.by_label("accounts", "outcome")
    members = summary.by_labels("members", "known", "segment").get("users", {})
    return {
        "read": summary.total("read"),
        "applied": accounts.get("applied", 0),
        "duplicates": accounts.get("duplicate", 0),
        "deleted": accounts.get("deleted", 0),
        "dead_letters": accounts.get("dead_letter", 0),
        "later": accounts.get("later", 0),
        "users": summary.total("users"),
        "entries": summary.total("entries"),
        "sends": summary.by_labels("sends", "channel", "state"),
        "suppressed": summary.by_label("suppressed", "reason"),
        "truncated": summary.by_label("truncated", "kind"),
        "rebuilt": summary.by_label("rebuilt", "how"),
        "internal": summary.by_label("internal", "kind"),
        "segments": {name: members.get(name, 0) for name in sorted(definitions.segments)},
        "waiting": summary.total("waiting"),
        "goals": _goals(summary, definitions),
        "as_of": write_time(summary.as_of) if summary.as_of else None,
        "elapsed_s": round(elapsed_s, 3),
    }


def _goals(summary: Summary, definitions: Definitions) -> list[dict[str, Any]]:
    """What came of entries: by campaign, goal and arm how many there were, how many reached it, and what that is worth.

    The arm of those who were held out is `holdout`; a campaign without variants has the arm `treated` beside it.
    """
    entries = summary.by_labels("entries", "campaign", "arm")
    return [
        {
            "campaign": name,
            "goal": goal,
            "arm": arm or "treated",
            "entries": count,
            "conversions": summary.total("conversions", campaign=name, goal=goal, arm=arm),
            "value": _amount(summary.total("value", campaign=name, goal=goal, arm=arm)),
        }
        for name, campaign in sorted(definitions.campaigns.items())
        for goal in sorted(campaign.goals)
        for arm, count in entries.get(name, {}).items()
    ]


def _amount(millionths: int) -> float | int:
    """What so many millionths are; in whole numbers where that is more than a float can hold."""
    try:
        return millionths / MILLION
    except OverflowError:
        return millionths // MILLION


def accounts_add_up(report: Mapping[str, Any]) -> bool:
    """Invariant 1: every message read ended as exactly one of the outcomes."""
    names = {"duplicate": "duplicates", "dead_letter": "dead_letters"}
    ended = sum(int(report[names.get(outcome, outcome)]) for outcome in OUTCOMES)
    return ended == int(report["read"])
