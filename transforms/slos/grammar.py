"""The section `slos`: service levels read from definition files, every mistake noted at its place."""

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import msgspec

from transforms.segments.document import Document, Node, Problems
from transforms.segments.operators import read_duration
from transforms.slos.bounds import BOUNDS
from transforms.slos.definitions import (
    AT_LEAST,
    CAMPAIGN_KINDS,
    KINDS,
    SERVICES,
    SINCE,
    STATUSES_OF_LEVELS,
    WINDOWS,
    Indicator,
    LevelOwner,
    ServiceLevel,
)

__all__ = [
    "LEVEL_FIELDS",
    "LEVEL_REQUIRED",
    "MILLISECONDS_FORM",
    "MOST_EVENTS",
    "TAKEN",
    "Known",
    "check_agreed",
    "read_levels",
]

LEVEL_FIELDS = ("name", "owner", "indicator", "objective", "window", "status", "at_least", "on_exhausted")
LEVEL_REQUIRED = ("owner", "indicator", "objective")
#: What `todoke slo` says already, so that no level can be called so.
TAKEN = ("calc", "check", "enforce", "export", "postmortem", "review")
#: A bound below a second.
MILLISECONDS_FORM = "[0-9]{1,9}ms"
#: `at_least` is not more.
MOST_EVENTS = 1_000_000_000
#: Freshness counts minutes; so many are in the shortest long window.
_MINUTES = 60


class Known(msgspec.Struct, frozen=True):
    """What levels refer to: owners, ids of segments, and the channels of campaigns by their ids, None where a campaign
    has mistakes.
    """

    owners: Mapping[str, LevelOwner]
    segments: frozenset[str]
    campaigns: Mapping[str, frozenset[str] | None]


def read_levels(node: Node, known: Known, problems: Problems) -> dict[str, ServiceLevel]:
    """Read the section of one file."""
    levels: dict[str, ServiceLevel] = {}
    if not isinstance(node.value, dict):
        problems.add(node, f"expected a mapping of service levels; found {node.kind}")
        return levels
    for name, body in node.value.items():
        before = problems.mistakes
        if name in TAKEN:
            problems.add(body, f"`{name}` is taken: `todoke slo {name}` means something else")
        fields = problems.mapping(body, LEVEL_FIELDS, required=LEVEL_REQUIRED)
        if fields is None:
            continue
        said = _read(fields, known, problems)
        if problems.mistakes == before:
            levels[name] = ServiceLevel(name, **said)
    return levels


def check_agreed(campaigns: Iterable[Node], levels: Iterable[Node], problems: Problems) -> None:
    """Note each critical campaign that no level names: levels are agreed when a campaign is designed."""
    named = {campaign for node in levels for campaign in _campaigns_named(node)}
    for section in campaigns:
        for name, body in section.value.items() if isinstance(section.value, dict) else ():
            critical = body.value.get("critical") if isinstance(body.value, dict) else None
            if critical is not None and critical.value is True and name not in named:
                problems.add(
                    critical,
                    "is critical, and no service level is of it: write one under `slos`, with an owner and an "
                    f"indicator such as {{success: {{campaign: {name}}}}}",
                )


def _campaigns_named(section: Node) -> Iterable[str]:
    """What stands under `campaign` in indicators, malformed ones too, so that one mistake is not reported as two."""
    for body in section.value.values() if isinstance(section.value, dict) else ():
        indicator = body.value.get("indicator") if isinstance(body.value, dict) else None
        for each in indicator.value.values() if indicator is not None and isinstance(indicator.value, dict) else ():
            campaign = each.value.get("campaign") if isinstance(each.value, dict) else None
            if campaign is not None and isinstance(campaign.value, str):
                yield campaign.value


def _read(fields: Document, known: Known, problems: Problems) -> dict[str, Any]:
    said: dict[str, Any] = {"name": problems.text(fields["name"]) or "" if "name" in fields else ""}
    if "owner" in fields:
        said["owner"] = _owner(fields["owner"], known, problems)
    if "indicator" in fields:
        said["indicator"] = _indicator(fields["indicator"], known, problems)
    if "objective" in fields:
        said["objective"] = _objective(fields["objective"], problems)
    if "window" in fields:
        said["window"] = problems.choice(fields["window"], tuple(WINDOWS))
    if "status" in fields:
        said["status"] = problems.choice(fields["status"], STATUSES_OF_LEVELS)
    minutes = said.get("indicator") is not None and said["indicator"].kind == "freshness"
    if "at_least" in fields:
        said["at_least"] = problems.integer(fields["at_least"], 1, MOST_EVENTS)
        if minutes and (said["at_least"] or 0) > _MINUTES:
            cause = f"freshness counts minutes, of which an hour has {_MINUTES}: its alert could never fire"
            problems.add(fields["at_least"], cause)
    else:
        said["at_least"] = 1 if minutes else AT_LEAST
    if "on_exhausted" in fields:
        said["hold_below"] = _on_exhausted(fields["on_exhausted"], problems)
    return said


def _owner(node: Node, known: Known, problems: Problems) -> LevelOwner | None:
    name = problems.text(node)
    if name is not None and name not in known.owners:
        offered = ", ".join(sorted(known.owners)) or "none"
        problems.add(node, f"owner `{name}`, which does not exist in `policies.owners`; there: {offered}")
    return known.owners.get(name or "")


def _objective(node: Node, problems: Problems) -> Fraction | None:
    """A share of 1, as exactly as it is written: `99.9` is 999/1000, which no float is."""
    percent = problems.number(node, 0, 100)
    if percent == 100:
        problems.add(node, "an objective of 100 leaves no budget: any failure would be too much; write less, as 99.9")
    elif percent == 0:
        problems.add(node, "an objective of 0 is always met; write more")
    return None if percent is None else Fraction(str(percent)) / 100


def _on_exhausted(node: Node, problems: Problems) -> int | None:
    if node.plain() == "warn":
        return None
    instead = "warn, or {hold_below_priority: 30}"
    fields = problems.mapping(node, ("hold_below_priority",), required=("hold_below_priority",), instead=instead)
    return problems.integer(fields["hold_below_priority"], 1, 100) if fields else None


def _indicator(node: Node, known: Known, problems: Problems) -> Indicator | None:
    if node.value in ("accounting", "correctness"):
        return Indicator(str(node.value))
    instead = "{success: {campaign: welcome}}"
    fields = problems.mapping(node, KINDS, instead=instead)
    kind = problems.one_key(node, fields, KINDS) if fields is not None else None
    if fields is None or kind is None:
        return None
    return _IndicatorReader(kind, fields[kind], known, problems).read()


class _IndicatorReader:
    """Reads what stands under one kind of indicator."""

    def __init__(self, kind: str, node: Node, known: Known, problems: Problems) -> None:
        self.kind = kind
        self.node = node
        self.known = known
        self.problems = problems

    def read(self) -> Indicator | None:
        """The indicator; it may be one with mistakes, which are noted."""
        allowed, required = self._keys()
        fields = self.problems.mapping(self.node, allowed, required=required)
        if fields is None:
            return None
        if self.kind == "freshness":
            self.problems.one_key(self.node, fields, ("segment", "job"))
        said: dict[str, Any] = {
            "start" if key == "from" else key: self._value(key, child) or "" for key, child in fields.items()
        }
        said["below"] = said.get("below") or 0
        for key in ("to", "job"):
            said.pop(key, None)
        self._check_channel(fields, said)
        return Indicator(self.kind, **said)

    def _keys(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The keys that may be there, and those that must."""
        of_service = isinstance(self.node.value, dict) and "service" in self.node.value
        if self.kind == "availability":
            return ("service",), ("service",)
        if self.kind == "latency" and of_service:
            return ("service", "below"), ("service", "below")
        if self.kind == "latency":
            return ("from", "to", "channel", "campaign", "below"), ("from", "below")
        if self.kind == "freshness":
            return ("segment", "job", "below"), ("below",)
        return ("channel", "campaign") if self.kind in CAMPAIGN_KINDS else (), ()

    def _value(self, key: str, node: Node) -> Any:
        problems = self.problems
        if key == "below":
            return _bound(node, problems)
        if key == "job":
            if node.value is not True:
                problems.add(node, f"expected true; found {node.kind}")
            return ""
        if key == "channel":
            return problems.channel(node)
        if key in ("from", "to", "service"):
            return problems.choice(node, {"from": SINCE, "to": ("handed_off",), "service": SERVICES}[key])
        name = problems.text(node)
        known = self.known.segments if key == "segment" else self.known.campaigns
        if name is not None and name not in known:
            problems.add(node, f"refers to {key} `{name}`, which does not exist")
        return name

    def _check_channel(self, fields: Document, said: Mapping[str, Any]) -> None:
        """A level of what a campaign never sends would never have an event."""
        campaign, channel = said.get("campaign"), said.get("channel")
        channels = self.known.campaigns.get(campaign) if campaign else None
        if channels is not None and channel and channel not in channels:
            by = ", ".join(sorted(channels))
            self.problems.add(fields["channel"], f"campaign `{campaign}` sends nothing by {channel}, only by {by}")


def _bound(node: Node, problems: Problems) -> int | None:
    """A bound of histograms: between two of them nobody knows how many values there are."""
    if isinstance(node.value, str) and re.fullmatch(MILLISECONDS_FORM, node.value):
        bound: int | None = 1_000 * int(node.value[:-2])
    else:
        bound = read_duration(node, problems)
    if bound is not None and bound not in BOUNDS:
        offered = (
            "1, 2, 5, 10, 20, 50, 100, 200, 500 ms, 1, 2, 5, 10, 15, 30, 60 s, 2, 5, 10, 15, 30, 60 m, 2, 6, 12, 24 h"
        )
        problems.add(node, f"`{node.value}` is no bound of the histograms: {offered}")
    return bound
