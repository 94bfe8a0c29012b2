"""The report of a run, made from summed tallies."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from transforms.events.times import write_time
from transforms.users.effects import OUTCOMES
from transforms.users.tally import Tally, TallyKey

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


def report_json(summary: Summary, segments: Iterable[str], elapsed_s: float) -> dict[str, Any]:
    """What `--report` writes (docs/architecture.md, The report).

    Args:
      segments: every segment's id, so that empty ones are there too.
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
        "segments": {name: members.get(name, 0) for name in sorted(segments)},
        "waiting": summary.total("waiting"),
        "as_of": write_time(summary.as_of),
        "elapsed_s": round(elapsed_s, 3),
    }


def accounts_add_up(report: Mapping[str, Any]) -> bool:
    """Invariant 1: every message read ended as exactly one of the outcomes."""
    names = {"duplicate": "duplicates", "dead_letter": "dead_letters"}
    ended = sum(int(report[names.get(outcome, outcome)]) for outcome in OUTCOMES)
    return ended == int(report["read"])
