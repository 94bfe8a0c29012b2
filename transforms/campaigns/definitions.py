"""The campaign language: campaigns read from definition files, every mistake noted at its place."""

import re

import msgspec

from transforms.campaigns.quiet import MINUTE, QuietHours, length_of
from transforms.messages.definitions import Message
from transforms.segments.conditions import All, Condition, EventFilter, SegmentRef
from transforms.segments.document import Document, Node, Problems
from transforms.segments.grammar import read_condition, read_filter
from transforms.segments.operators import read_duration
from transforms.segments.values import DAY

__all__ = [
    "EXITS",
    "LOCAL_TIME_FORM",
    "MAX_DELAY",
    "ON_UNKNOWN",
    "REENTRIES",
    "STATUSES",
    "STEPS",
    "TRIGGERS",
    "Campaign",
    "Exit",
    "Reentry",
    "Step",
    "Trigger",
    "read_campaigns",
]

#: A send expires a day after its step fell due, unless the campaign says otherwise.
MAX_DELAY = DAY

_FIELDS = (
    *("owner", "status", "trigger", "audience", "steps", "exit", "reenter", "consent", "transactional"),
    *("quiet_hours", "max_delay"),
)
_LATER = ("starts", "ends", "holdout", "variants", "priority", "goals", "with", "rate", "include_current")
_LATER_WAITS = ("until", "zone", "for", "at_most")
STATUSES = ("live", "paused", "stopped")
#: What the courier may do with sends of which nobody can know whether they went out.
ON_UNKNOWN = ("skip",)
#: The kinds of triggers, of exits, of steps, and of re-entry but for {after: D}.
TRIGGERS = ("enters", "leaves", "event")
EXITS = ("event", "segment", "leaves")
STEPS = ("send", "wait")
REENTRIES = ("never", "always")

_STEP_ID = re.compile(r"[a-z][a-z0-9_]*")
#: How a local time is written.
LOCAL_TIME_FORM = r"([01][0-9]|2[0-3]):([0-5][0-9])"
_LOCAL_TIME = re.compile(LOCAL_TIME_FORM)


class Trigger(msgspec.Struct, frozen=True):
    """What lets a user in: `kind` is enters or leaves (of `segment`) or event (one of `events`)."""

    kind: str
    segment: str = ""
    events: EventFilter | None = None


class Exit(msgspec.Struct, frozen=True):
    """What ends a journey: an event, being in a segment (`segment`) or leaving one (`leaves`)."""

    kind: str
    segment: str = ""
    events: EventFilter | None = None


class Step(msgspec.Struct, frozen=True):
    """`send` one of `messages` (the first that reaches), or `wait` so many microseconds. Journeys remember `id`."""

    id: str
    kind: str
    messages: tuple[str, ...] = ()
    wait: int = 0


class Reentry(msgspec.Struct, frozen=True):
    """`never`, `always`, or `after` so many microseconds since the last entry."""

    kind: str
    after: int = 0


class Campaign(msgspec.Struct, frozen=True):
    """A campaign as written.

    `consent` is the topic and `quiet` the hours in which nothing is sent; both are None for transactional ones.
    `max_event_age` and `max_delay` are microseconds.
    """

    id: str
    owner: str
    status: str
    trigger: Trigger
    steps: tuple[Step, ...]
    reenter: Reentry
    max_event_age: int
    audience: Condition | None = None
    exits: tuple[Exit, ...] = ()
    consent: str | None = None
    transactional: bool = False
    quiet: QuietHours | None = None
    max_delay: int = MAX_DELAY


def read_campaigns(
    node: Node, segments: set[str], messages: dict[str, Message], max_event_age: int, problems: Problems
) -> dict[str, Campaign]:
    """Read the `campaigns:` section.

    Args:
      segments: ids that may be referred to, also of segments with mistakes of their own.
      messages: what steps may send.
      max_event_age: the policy's, in microseconds.
    """
    campaigns: dict[str, Campaign] = {}
    if not isinstance(node.value, dict):
        problems.add(node, f"expected a mapping of campaigns; found {node.kind}")
        return campaigns
    reader = _Reader(segments, messages, max_event_age, problems)
    for name, body in node.value.items():
        campaign = reader.campaign(name, body)
        if campaign is not None:
            campaigns[name] = campaign
    return campaigns


class _Reader:
    def __init__(
        self, segments: set[str], messages: dict[str, Message], max_event_age: int, problems: Problems
    ) -> None:
        self.segments = segments
        self.messages = messages
        self.max_event_age = max_event_age
        self.problems = problems

    def campaign(self, name: str, body: Node) -> Campaign | None:
        problems, before = self.problems, self.problems.mistakes
        allowed = (*_FIELDS, "max_event_age", "on_unknown")
        fields = problems.mapping(body, allowed, later=_LATER, required=("owner", "trigger", "steps"))
        if fields is None:
            return None
        owner = problems.text(fields["owner"]) if "owner" in fields else None
        status = problems.choice(fields["status"], STATUSES) if "status" in fields else "live"
        trigger = self._trigger(fields["trigger"]) if "trigger" in fields else None
        steps = self._steps(fields["steps"]) if "steps" in fields else ()
        audience = self._audience(fields.get("audience"), trigger)
        age = read_duration(fields["max_event_age"], problems) if "max_event_age" in fields else self.max_event_age
        if "on_unknown" in fields:
            problems.choice(fields["on_unknown"], ON_UNKNOWN, later=("resend",))
        consent, transactional = self._consent(body, fields)
        reenter = self._reenter(body, fields, trigger)
        exits = self._exits(fields["exit"]) if "exit" in fields else ()
        quiet, delay = self._delays(fields, transactional=transactional)
        if problems.mistakes > before or not (owner and status and trigger and reenter and age and delay):
            return None
        said = (audience, exits, consent, transactional, quiet, delay)
        return Campaign(name, owner, status, trigger, steps, reenter, age, *said)

    def _segment(self, node: Node, key: str) -> str:
        """The segment of `enters` or `leaves`; `segment` itself is checked wherever it stands."""
        name = self.problems.text(node) or ""
        if name and name not in self.segments and key != "segment":
            self.problems.add(node, f"refers to segment `{name}`, which does not exist")
        return name

    def _trigger(self, node: Node) -> Trigger | None:
        later = ("schedule", "announcement", "include_current")
        fields = self.problems.mapping(node, (*TRIGGERS, "type", "where"), later=later)
        kind = self.problems.one_key(node, fields, TRIGGERS) if fields is not None else None
        if fields is None or kind is None:
            return None
        if kind == "event":
            return Trigger("event", events=read_filter(fields, self.problems))
        self._only_with_event(fields)
        return Trigger(kind, self._segment(fields[kind], kind))

    def _only_with_event(self, fields: Document) -> None:
        for key in ("type", "where"):
            if key in fields:
                self.problems.add(fields[key], f"`{key}` goes with `event` only")

    def _exits(self, node: Node) -> tuple[Exit, ...]:
        items = node.value if isinstance(node.value, list) else [node]
        exits = []
        for item in items:
            fields = self.problems.mapping(item, (*EXITS, "type", "where"), later=("same",))
            kind = self.problems.one_key(item, fields, EXITS) if fields is not None else None
            if fields is None or kind is None:
                continue
            if kind == "event":
                exits.append(Exit("event", events=read_filter(fields, self.problems)))
            else:
                self._only_with_event(fields)
                exits.append(Exit(kind, self._segment(fields[kind], kind)))
        return tuple(exits)

    def _audience(self, node: Node | None, trigger: Trigger | None) -> Condition | None:
        if node is None:
            return None
        audience = read_condition(node, self.problems)
        if audience is None:
            return None
        parts = audience.parts if isinstance(audience, All) else (audience,)
        if trigger and trigger.kind == "leaves" and SegmentRef(trigger.segment) in parts:
            cause = f"who leaves `{trigger.segment}` is no longer in it: this audience never holds at that instant"
            self.problems.add(node, cause, warning=True)
        return audience

    def _consent(self, body: Node, fields: Document) -> tuple[str | None, bool]:
        problems = self.problems
        consent = problems.text(fields["consent"]) if "consent" in fields else None
        transactional = bool(problems.boolean(fields["transactional"])) if "transactional" in fields else False
        if consent == "all":
            problems.add(fields["consent"], "`all` is no topic: it stands for every topic of a channel")
        if transactional and "consent" in fields:
            problems.add(fields["consent"], "a transactional campaign asks for no consent; remove one of the two")
        if not transactional and "consent" not in fields:
            problems.add(body, "`consent` is missing: write its topic, or `transactional: true`")
        return consent, transactional

    def _delays(self, fields: Document, *, transactional: bool) -> tuple[QuietHours | None, int | None]:
        """The quiet hours and how late a send may be."""
        problems = self.problems
        delay = read_duration(fields["max_delay"], problems) if "max_delay" in fields else MAX_DELAY
        quiet = self._quiet(fields["quiet_hours"]) if "quiet_hours" in fields else None
        if transactional and "quiet_hours" in fields:
            cause = "a transactional campaign sends at any hour: `quiet_hours` has no effect"
            problems.add(fields["quiet_hours"], cause, warning=True)
            return None, delay
        if quiet is not None and delay is not None and delay < length_of(quiet):
            minutes = length_of(quiet) // MINUTE
            least = f"{minutes}m" if minutes % 60 else f"{minutes // 60}h"
            cause = f"shorter than the quiet hours: what falls due as they begin would expire; write {least} or more"
            problems.add(fields["max_delay"], cause)
        return quiet, delay

    def _quiet(self, node: Node) -> QuietHours | None:
        fields = self.problems.mapping(node, ("from", "to"), required=("from", "to"))
        times = [self._minute(fields[name]) for name in ("from", "to") if name in fields] if fields is not None else []
        begin, end = times if len(times) == 2 else (None, None)
        if begin is None or end is None:
            return None
        if begin == end:
            self.problems.add(node, "`from` and `to` are the same: these hours would be always, or never")
        return begin, end

    def _minute(self, node: Node) -> int | None:
        """A local time as minutes of the day."""
        match = _LOCAL_TIME.fullmatch(node.value) if isinstance(node.value, str) else None
        if match is None:
            cause = f'expected a local time from "00:00" to "23:59"; found {node.plain()!r}'
            self.problems.add(node, cause)
            return None
        return int(match[1]) * 60 + int(match[2])

    def _reenter(self, body: Node, fields: Document, trigger: Trigger | None) -> Reentry | None:
        if "reenter" not in fields:
            if trigger is not None and trigger.kind == "event":
                self.problems.add(body, "`reenter` is missing: an event trigger needs never, always or {after: D}")
            return Reentry("always")
        node = fields["reenter"]
        if isinstance(node.value, dict):
            inner = self.problems.mapping(node, ("after",), later=("each",), required=())
            after = read_duration(inner["after"], self.problems) if inner and "after" in inner else None
            if inner is not None and not node.value:
                self.problems.add(node, "expected {after: D}")
            return None if after is None else Reentry("after", after)
        kind = self.problems.choice(node, REENTRIES, later=("restart",))
        return None if kind is None else Reentry(kind)

    def _steps(self, node: Node) -> tuple[Step, ...]:
        steps: list[Step] = []
        for position, item in enumerate(self.problems.sequence(node, "steps") or [], start=1):
            step = self._step(item, position)
            if step is None:
                continue
            if step.id in {other.id for other in steps}:
                cause = f"step id `{step.id}` is taken: write an `id:`, since running journeys remember it"
                self.problems.add(item, cause)
            steps.append(step)
        if steps and not any(step.kind == "send" for step in steps):
            self.problems.add(node, "no step sends anything")
        return tuple(steps)

    def _step(self, node: Node, position: int) -> Step | None:
        later = ("if", "then", "else", "set", "end", "unless")
        fields = self.problems.mapping(node, ("id", *STEPS), later=later)
        kind = self.problems.one_key(node, fields, STEPS) if fields is not None else None
        if fields is None or kind is None:
            return None
        name = self.problems.text(fields["id"]) if "id" in fields else None
        if name is not None and not _STEP_ID.fullmatch(name):
            self.problems.add(fields["id"], "an id is made of a-z, 0-9 and _, and starts with a letter")
        if kind == "wait":
            return self._wait(fields["wait"], name or f"wait_{position}")
        messages = self._messages(fields["send"])
        default = messages[0] if len(messages) == 1 else f"send_{position}"
        return Step(name or default, "send", messages) if messages else None

    def _wait(self, node: Node, name: str) -> Step | None:
        if isinstance(node.value, dict) and node.value.keys() & _LATER_WAITS:
            self.problems.mapping(node, (), later=_LATER_WAITS)
            return None
        length = read_duration(node, self.problems)
        return None if length is None else Step(name, "wait", wait=length)

    def _messages(self, node: Node) -> tuple[str, ...]:
        if isinstance(node.value, dict):
            self.problems.add(node, "sending by variant is part of the language but not supported by this version")
            return ()
        names = []
        for item in node.value if isinstance(node.value, list) else [node]:
            name = self.problems.text(item)
            if name is not None and name not in self.messages:
                self.problems.add(item, f"sends message `{name}`, which does not exist")
            names.append(name)
        if not names:
            self.problems.add(node, "expected a message, or a list of them")
        return tuple(name for name in names if name is not None)
