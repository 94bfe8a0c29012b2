"""Campaigns as records: what `grammar` reads of definition files, in plain data. Durations are microseconds."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from transforms.campaigns.quiet import QuietHours
from transforms.campaigns.schedule import Schedule
from transforms.messages.tracking import Tracking
from transforms.segments.conditions import Condition, EventFilter, Since
from transforms.segments.values import DAY

__all__ = [
    "ALL_VARIANTS",
    "MAX_DELAY",
    "PRIORITY",
    "TRIGGERS",
    "Campaign",
    "Exit",
    "Goal",
    "Rate",
    "Reentry",
    "Step",
    "TriggerKind",
    "TriggerRule",
    "walk",
]

#: A send expires a day after its step fell due, unless the campaign says otherwise.
MAX_DELAY = DAY
#: In the middle between 0 and 100.
PRIORITY = 50
#: The key of what holds for every variant of a campaign, and where it has none.
ALL_VARIANTS = ""


class TriggerKind(NamedTuple):
    """What holds for all triggers of one kind.

    `by_event`: it is an event, whose properties `where`, `same` and `each` may ask. `broadcast`: it reaches many at
    once, so that it needs an audience, may have a rate, and waits for no facts about somebody new. `again`: a user may
    come to it often, so that `reenter` must be said.
    """

    by_event: bool = False
    broadcast: bool = False
    again: bool = False


#: Every kind of trigger. How each is read stands in `grammar_triggers`, how it is found in `index`.
TRIGGERS: dict[str, TriggerKind] = {
    "enters": TriggerKind(),
    "leaves": TriggerKind(),
    "event": TriggerKind(by_event=True, again=True),
    "schedule": TriggerKind(broadcast=True, again=True),
    "announcement": TriggerKind(by_event=True, broadcast=True),
}


class TriggerRule(msgspec.Struct, frozen=True):
    """What lets a user in: `kind` is enters or leaves (of `segment`), event or announcement (one of `events`), or
    schedule. With `include_current` those who are in the segment when the campaign starts enter, too.
    """

    kind: str
    segment: str = ""
    events: EventFilter | None = None
    schedule: Schedule | None = None
    include_current: bool = False

    @property
    def of_kind(self) -> TriggerKind:
        """What holds for all of its kind."""
        return TRIGGERS[self.kind]


class Exit(msgspec.Struct, frozen=True):
    """What ends a journey: an event, being in a segment (`segment`) or leaving one (`leaves`).

    With `same`, the event's value at that path is the trigger's.
    """

    kind: str
    segment: str = ""
    events: EventFilter | None = None
    same: str | None = None


class Step(msgspec.Struct, frozen=True):
    """One step. Journeys remember `id`. `kind` is

    - send: the first that reaches of the messages under the user's variant, else under `ALL_VARIANTS`, of `messages`;
      not if `conditions` (`unless`) holds;
    - wait: for `length`; or until it is `minute` of the day in `zone` (that of the `user`, or one of the IANA
      database); or for one of `events`, with the trigger's value at `same`, and `length` at most;
    - if: on with `then` where `conditions` holds, else with `otherwise`;
    - set: attributes `values`, whose texts are Liquid;
    - end.

    `conditions` are by variant where they ask for it, else under `ALL_VARIANTS`.
    """

    id: str
    kind: str
    messages: dict[str, tuple[str, ...]] = {}
    conditions: dict[str, Condition] = {}
    length: int | None = None
    minute: int | None = None
    zone: str = ""
    events: EventFilter | None = None
    same: str | None = None
    then: tuple["Step", ...] = ()
    otherwise: tuple["Step", ...] = ()
    values: dict[str, Any] = {}

    def messages_for(self, variant: str | None) -> tuple[str, ...]:
        """What a send may send to users of a variant."""
        return self.messages.get(variant or ALL_VARIANTS) or self.messages.get(ALL_VARIANTS, ())

    @property
    def all_messages(self) -> tuple[str, ...]:
        """What a send may send to whomever, in the order as written."""
        return tuple(dict.fromkeys(name for names in self.messages.values() for name in names))


class Reentry(msgspec.Struct, frozen=True):
    """`never`, `always`, `after` so long since the last entry, `restart`, or `each`: once a value at that path."""

    kind: str
    after: int = 0
    each: str = ""


class Goal(msgspec.Struct, frozen=True):
    """What a journey is for: one of `events` in the window that begins `after` the entry and is `within` long.

    `value` is the path of the number that is added up; None counts only.
    """

    events: EventFilter
    within: int
    after: int = 0
    value: str | None = None


class Rate(msgspec.Struct, frozen=True):
    """At most so many sends in each `per`."""

    at_most: int
    per: int


class Campaign(msgspec.Struct, frozen=True):
    """A campaign as written.

    `consent` is the topic and `quiet` the hours in which nothing is sent; both are None for transactional ones.
    `starts` is inclusive, `ends` exclusive. `holdout` is percent; `variants` are percent of those who are not held out,
    100 in all. `template_events` are events by the names under which templates see the newest of them. `name` is for
    people, the id where none is written. `tracking` is None where the policy holds. A `critical` one has a service
    level.
    """

    id: str
    owner: str
    status: str
    trigger: TriggerRule
    steps: tuple[Step, ...]
    reenter: Reentry
    max_event_age: int
    audience: Condition | None = None
    exits: tuple[Exit, ...] = ()
    consent: str | None = None
    transactional: bool = False
    quiet: QuietHours | None = None
    max_delay: int = MAX_DELAY
    starts: Since = None
    ends: Since = None
    holdout: float = 0
    variants: dict[str, float] = {}
    template_events: dict[str, str] = {}
    priority: int = PRIORITY
    on_unknown: str = "skip"
    rate: Rate | None = None
    goals: dict[str, Goal] = {}
    name: str = ""
    tracking: Tracking | None = None
    critical: bool = False

    @property
    def every_step(self) -> tuple[Step, ...]:
        """All steps, also those inside others, in the order as written."""
        return tuple(walk(self.steps))


def walk(steps: tuple[Step, ...]) -> Iterator[Step]:
    """Steps with those inside them, in the order as written."""
    for step in steps:
        yield step
        yield from walk(step.then)
        yield from walk(step.otherwise)
