"""The campaign language: campaigns read from definition files, every mistake noted at its place."""

from collections.abc import Collection
from fractions import Fraction
from typing import Any

import msgspec

from transforms.campaigns.definitions import MAX_DELAY, PRIORITY, Campaign, Exit, Goal, Rate, Step, TriggerRule, walk
from transforms.campaigns.effects import HOLDOUT
from transforms.campaigns.grammar_steps import StepReader
from transforms.campaigns.grammar_triggers import (
    read_exits,
    read_reentry,
    read_trigger,
)
from transforms.campaigns.occurrences import moment_of
from transforms.campaigns.policies import Policies, read_quiet
from transforms.campaigns.quiet import QuietHours, length_of
from transforms.messages.scope import RESERVED, SCOPE
from transforms.messages.tracking import read_tracking
from transforms.segments.conditions import All, Condition, SegmentRef, Since
from transforms.segments.document import Document, Node, Problems
from transforms.segments.grammar import read_condition, read_filter
from transforms.segments.operators import read_duration, read_moment, read_path
from transforms.segments.values import MINUTE

__all__ = ["FIELDS", "MAX_RATE", "ON_UNKNOWN", "REQUIRED", "STATUSES", "read_campaigns"]

STATUSES = ("live", "paused", "stopped")
#: What becomes of sends of which nobody can know whether they went out.
ON_UNKNOWN = ("skip", "resend")
#: The keys of a campaign, and those that each has.
FIELDS = (
    *(
        "name",
        "owner",
        "status",
        "starts",
        "ends",
        "trigger",
        "audience",
        "holdout",
        "variants",
        "with",
        "steps",
        "exit",
    ),
    *("reenter", "consent", "transactional", "quiet_hours", "max_delay", "max_event_age", "priority", "on_unknown"),
    *("rate", "goals", "include_current", "tracking", "critical"),
)
REQUIRED = ("owner", "trigger", "steps")
#: More than any provider takes.
MAX_RATE = 1_000_000_000


def read_campaigns(
    node: Node,
    segments: Collection[str],
    messages: Collection[str],
    policies: Policies,
    problems: Problems,
) -> dict[str, Campaign]:
    """Read the `campaigns:` section.

    Args:
      segments: ids that may be referred to, also of segments with mistakes of their own.
      messages: ids of what steps may send, also with mistakes of their own.
      policies: the defaults of ages and zones.
    """
    campaigns: dict[str, Campaign] = {}
    if not isinstance(node.value, dict):
        problems.add(node, f"expected a mapping of campaigns; found {node.kind}")
        return campaigns
    for name, body in node.value.items():
        before = problems.mistakes
        fields = problems.mapping(body, FIELDS, required=REQUIRED)
        if fields is None:
            continue
        campaign = _Reader(body, fields, segments, messages, problems).read(name, policies)
        if campaign is not None and problems.mistakes == before:
            campaigns[name] = campaign
    return campaigns


class _Reader:
    """Reads one campaign, whose keys were checked."""

    def __init__(
        self, body: Node, fields: Document, segments: Collection[str], messages: Collection[str], problems: Problems
    ) -> None:
        self.body = body
        self.fields = fields
        self.segments = segments
        self.messages = messages
        self.problems = problems

    def read(self, name: str, policies: Policies) -> Campaign | None:
        """The campaign; it may be one with mistakes, which are noted."""
        problems, fields = self.problems, self.fields
        said: dict[str, Any] = {}
        said["name"] = problems.text(fields["name"]) if "name" in fields else name
        said["owner"] = problems.text(fields["owner"]) if "owner" in fields else None
        said["status"] = problems.choice(fields["status"], STATUSES) if "status" in fields else "live"
        trigger = self._trigger(policies.default_zone)
        said["starts"], said["ends"] = self._dates(trigger)
        said["variants"] = self._variants()
        said["template_events"] = self._template_events()
        said["steps"] = self._steps(said["variants"], said["template_events"], trigger)
        said["reenter"] = read_reentry(self.body, fields.get("reenter"), trigger, problems)
        said["max_event_age"] = self._duration("max_event_age", policies.max_event_age)
        if trigger is None or None in (
            said["name"],
            said["owner"],
            said["status"],
            said["reenter"],
            said["max_event_age"],
        ):
            return None
        said["consent"], said["transactional"] = self._consent()
        said["quiet"], said["max_delay"] = self._delays(policies.quiet_hours, transactional=said["transactional"])
        said["audience"] = self._audience(trigger)
        said["exits"] = self._exits(trigger)
        said["holdout"] = self._percent("holdout")
        said["priority"] = self._priority()
        said["on_unknown"] = problems.choice(fields["on_unknown"], ON_UNKNOWN) if "on_unknown" in fields else "skip"
        said["rate"] = self._rate(trigger)
        said["goals"] = self._goals()
        said["tracking"] = read_tracking(fields["tracking"], problems) if "tracking" in fields else None
        said["critical"] = "critical" in fields and bool(problems.boolean(fields["critical"]))
        if said["max_delay"] is None or said["on_unknown"] is None:
            return None
        return Campaign(name, trigger=trigger, **said)

    def _trigger(self, default_zone: str) -> TriggerRule | None:
        node = self.fields.get("trigger")
        trigger = read_trigger(node, self.segments, default_zone, self.problems) if node is not None else None
        if trigger is None or "include_current" not in self.fields:
            return trigger
        current = self.problems.boolean(self.fields["include_current"])
        if trigger.kind != "enters":
            self.problems.add(self.fields["include_current"], "`include_current` goes with `enters` only")
        return msgspec.structs.replace(trigger, include_current=trigger.include_current or bool(current))

    def _exits(self, trigger: TriggerRule) -> tuple[Exit, ...]:
        node = self.fields.get("exit")
        return read_exits(node, self.segments, trigger, self.problems) if node is not None else ()

    def _steps(
        self, variants: dict[str, float], given: dict[str, str], trigger: TriggerRule | None
    ) -> tuple[Step, ...]:
        if "steps" not in self.fields:
            return ()
        node = self.fields["steps"]
        steps = StepReader(self.messages, tuple(variants), given, trigger, self.problems).read(node)
        if steps and not any(step.kind == "send" for step in walk(steps)):
            self.problems.add(node, "no step sends anything")
        return steps

    def _duration(self, key: str, default: int) -> int | None:
        return read_duration(self.fields[key], self.problems) if key in self.fields else default

    def _dates(self, trigger: TriggerRule | None) -> tuple[Since, Since]:
        fields, problems = self.fields, self.problems
        starts, ends = (read_moment(fields[key], problems) if key in fields else None for key in ("starts", "ends"))
        first, last = moment_of(starts, "UTC"), moment_of(ends, "UTC")
        if first is not None and last is not None and first >= last:
            problems.add(fields["ends"], "is not after `starts`: nobody would ever enter")
        if trigger is not None and trigger.include_current and "starts" not in fields:
            cause = "`include_current` needs `starts`, the time at which the present members enter"
            problems.add(fields.get("include_current") or fields["trigger"].value["include_current"], cause)
        return starts, ends

    def _audience(self, trigger: TriggerRule) -> Condition | None:
        node, problems = self.fields.get("audience"), self.problems
        if node is None:
            if trigger.of_kind.broadcast:
                problems.add(self.body, "`audience` is missing: write whom it is for")
            return None
        audience = read_condition(node, problems)
        if audience is None:
            return None
        parts = audience.parts if isinstance(audience, All) else (audience,)
        if trigger.kind == "leaves" and SegmentRef(trigger.segment) in parts:
            cause = f"who leaves `{trigger.segment}` is no longer in it: this audience never holds at that instant"
            problems.add(node, cause, warning=True)
        return audience

    def _consent(self) -> tuple[str | None, bool]:
        problems, fields = self.problems, self.fields
        topic = "the topic, such as marketing"
        consent = problems.text(fields["consent"], topic) if "consent" in fields else None
        transactional = bool(problems.boolean(fields["transactional"])) if "transactional" in fields else False
        if consent == "all":
            problems.add(fields["consent"], "`all` is no topic: it stands for every topic of a channel")
        if transactional and "consent" in fields:
            problems.add(fields["consent"], "a transactional campaign asks for no consent; remove one of the two")
        if transactional and "holdout" in fields:
            problems.add(fields["holdout"], "a transactional campaign holds nobody out; remove one of the two")
        if not transactional and "consent" not in fields:
            problems.add(self.body, "`consent` is missing: write its topic, or `transactional: true`")
        return consent, transactional

    def _delays(self, default: QuietHours | None, *, transactional: bool) -> tuple[QuietHours | None, int | None]:
        """The quiet hours and how late a send may be."""
        problems, fields = self.problems, self.fields
        delay = self._duration("max_delay", MAX_DELAY)
        if transactional:
            if "quiet_hours" in fields:
                cause = "a transactional campaign sends at any hour: `quiet_hours` has no effect"
                problems.add(fields["quiet_hours"], cause, warning=True)
            return None, delay
        quiet = read_quiet(fields["quiet_hours"], problems, or_none=True) if "quiet_hours" in fields else default
        if quiet is not None and delay is not None and delay < length_of(quiet):
            minutes = length_of(quiet) // MINUTE
            least = f"{minutes}m" if minutes % 60 else f"{minutes // 60}h"
            cause = f"shorter than the quiet hours: what falls due as they begin would expire; write {least} or more"
            problems.add(fields["max_delay"], cause)
        return quiet, delay

    def _percent(self, key: str) -> float:
        return self.problems.number(self.fields[key], 0, 100) or 0 if key in self.fields else 0

    def _named(self, key: str, expected: str) -> dict[str, Node]:
        """What stands below a key, by names that are ids; empty where there is no such key."""
        node = self.fields.get(key)
        return {} if node is None else self.problems.named(node, expected)

    def _variants(self) -> dict[str, float]:
        named = self._named("variants", "variants with their percent, such as {a: 50, b: 50}")
        shares: dict[str, float] = {}
        for name, child in named.items():
            if name == HOLDOUT:
                self.problems.add(child, f"`{HOLDOUT}` is what those are called who are held out; name it otherwise")
            shares[name] = self.problems.number(child, 0, 100) or 0
        if named and (whole := sum(Fraction(str(share)) for share in shares.values())) != 100:
            self.problems.add(
                self.fields["variants"], f"variants add up to 100 percent of the treated; these are {float(whole):g}"
            )
        return shares

    def _template_events(self) -> dict[str, str]:
        """The events that `with` names."""
        given = {}
        for name, child in self._named("with", "names such as {cart: {last: Product Added}}").items():
            if name in RESERVED:
                known = ", ".join(sorted(SCOPE))
                self.problems.add(child, f"`{name}` is taken: templates know {known} already, and Liquid its own words")
            instead = f"{{last: {child.written}}}" if isinstance(child.value, str) else ""
            fields = self.problems.mapping(child, ("last",), required=("last",), instead=instead)
            if fields and (event := self.problems.text(fields["last"])):
                given[name] = event
        return given

    def _priority(self) -> int:
        if "priority" not in self.fields:
            return PRIORITY
        found = self.problems.integer(self.fields["priority"], 0, 100)
        return PRIORITY if found is None else found

    def _rate(self, trigger: TriggerRule) -> Rate | None:
        if "rate" not in self.fields:
            return None
        node, keys = self.fields["rate"], ("at_most", "per")
        fields = self.problems.mapping(node, keys, required=keys)
        if not trigger.of_kind.broadcast:
            self.problems.add(node, "`rate` is for campaigns that reach many at once: schedules and announcements")
        if fields is None or len(fields) < 2:
            return None
        at_most = self.problems.integer(fields["at_most"], 1, MAX_RATE)
        per = read_duration(fields["per"], self.problems)
        return None if at_most is None or per is None else Rate(at_most, per)

    def _goals(self) -> dict[str, Goal]:
        problems, goals = self.problems, {}
        for name, child in self._named("goals", "goals such as {ordered: {event: …, within: 3d}}").items():
            keys = ("event", "type", "where", "within", "after", "value")
            instead = f"{{event: {child.written}, within: 3d}}" if isinstance(child.value, str) else ""
            fields = problems.mapping(child, keys, required=("event", "within"), instead=instead)
            if fields is None or "event" not in fields or "within" not in fields:
                continue
            events, within = read_filter(fields, problems), read_duration(fields["within"], problems)
            after = read_duration(fields["after"], problems) if "after" in fields else 0
            value = read_path(fields["value"], problems) if "value" in fields else None
            if within is not None and after is not None:
                goals[name] = Goal(events, within, after, value)
        return goals
