"""The report of a run, made from summed tallies."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from transforms.campaigns.load import Definitions
from transforms.events.times import write_time
from transforms.users.effects import OUTCOMES
from transforms.users.tally import MILLION, Tally, TallyKey

__all__ = ["Summary", "accounts_add_up", "report_json"]


class Summary(msgspec.Struct):
    """The summed tallies of a run, by (series, label, detail, day), and the time as of which users were settled."""

    as_of: int
    counts: dict[TallyKey, int]

    @classmethod
    def of(cls, as_of: int, tallies: Iterable[Tally]) -> "Summary":
        """Sum tallies."""
        counts: dict[TallyKey, int] = {}
        for key, count in tallies:
            counts[key] = counts.get(key, 0) + count
        return cls(as_of, counts)

    def total(self, series: str, label: str | None = None) -> int:
        """The sum of a series, or of one label of it."""
        return sum(
            count for (name, first, _, _), count in self.counts.items() if name == series and label in (None, first)
        )

    def by_label(self, series: str) -> dict[str, int]:
        """The sums of a series by its first label, sorted."""
        sums: dict[str, int] = {}
        for (name, label, _, _), count in sorted(self.counts.items()):
            if name == series:
                sums[label] = sums.get(label, 0) + count
        return sums

    def by_labels(self, series: str) -> dict[str, dict[str, int]]:
        """The sums of a series by its first, then its second label, sorted."""
        sums: dict[str, dict[str, int]] = {}
        for (name, label, detail, _), count in sorted(self.counts.items()):
            if name == series:
                inner = sums.setdefault(label, {})
                inner[detail] = inner.get(detail, 0) + count
        return sums

    def by_day(self, series: str) -> dict[str, dict[int, int]]:
        """The sums of a series by its first label, then day (its start in microseconds UTC), sorted."""
        sums: dict[str, dict[int, int]] = {}
        for (name, label, _, day), count in sorted(self.counts.items()):
            if name == series:
                inner = sums.setdefault(label, {})
                inner[day] = inner.get(day, 0) + count
        return sums


def report_json(summary: Summary, definitions: Definitions, elapsed_s: float) -> dict[str, Any]:
    """What `--report` writes (docs/reference/report.md).

    Args:
      definitions: those of the run, whose segments and goals are there even where they are empty.
      elapsed_s: how long the run took, in seconds.
    """
    accounts = summary.by_label("accounts")
    members = summary.by_label("members of users")
    return {
        "read": summary.total("read"),
        "applied": accounts.get("applied", 0),
        "duplicates": accounts.get("duplicate", 0),
        "deleted": accounts.get("deleted", 0),
        "dead_letters": accounts.get("dead_letter", 0),
        "later": accounts.get("later", 0),
        "users": summary.total("users"),
        "entries": summary.total("entries"),
        "sends": summary.by_labels("sends"),
        "suppressed": summary.by_label("suppressed"),
        "truncated": summary.by_label("truncated"),
        "rebuilt": summary.by_label("rebuilt"),
        "internal": summary.by_label("internal"),
        "segments": {name: members.get(name, 0) for name in sorted(definitions.segments)},
        "waiting": summary.total("waiting"),
        "goals": _goals(summary, definitions),
        "as_of": write_time(summary.as_of),
        "elapsed_s": round(elapsed_s, 3),
    }


def _goals(summary: Summary, definitions: Definitions) -> list[dict[str, Any]]:
    """What came of entries: by campaign, goal and arm how many there were, how many reached it, and what that is worth.

    The arm of those who were held out is `holdout`; a campaign without variants has the arm `treated` beside it.
    """
    entries, reached, values = (summary.by_labels(series) for series in ("entries", "conversions", "value"))
    return [
        {
            "campaign": name,
            "goal": goal,
            "arm": arm or "treated",
            "entries": count,
            "conversions": reached.get(name, {}).get(f"{goal}/{arm}", 0),
            "value": _amount(values.get(name, {}).get(f"{goal}/{arm}", 0)),
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
