"""Journeys of one user: who enters a campaign, how its steps are walked, what ends it.

Decisions are in event time: `now` is the instant decided at, in microseconds UTC. Every refusal is a `Suppressed` with
its reason. What falls due at one instant waits until all of it is known, and is decided in the order of priority, then
campaign.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from transforms.campaigns.definitions import PRIORITY, Campaign, Step
from transforms.campaigns.effects import CampaignEntered, Suppressed
from transforms.campaigns.entry import (
    EACH_KEPT,
    Entry,
    arm_of,
    digest,
    each_of,
    is_held,
    joined,
    last_of,
    too_early,
)
from transforms.campaigns.load import Definitions
from transforms.campaigns.local_time import next_time_of_day
from transforms.campaigns.person import Cause, Person
from transforms.campaigns.planned import Due
from transforms.campaigns.schedule import EACH_USER
from transforms.campaigns.sending import Sending, Subject
from transforms.campaigns.setting import values_of
from transforms.events.event import Event
from transforms.segments.warming import nobody

__all__ = ["Journey", "Journeys"]


class Journey(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A journey that waits.

    `user` is the id at entry, `entered` the instant of entry, `since` the time from which on an event ends the journey.
    `waiting` is the id of the wait that began, or of the send that quiet hours hold back; `due` is when it ends, `rest`
    the ids of the steps behind it. `event` holds the trigger's properties. `held` is when a send that is held back fell
    due, None in a wait. `each` tells journeys of one campaign apart (see `each_of`). `begun` is since when events can
    end a wait for one, else None.
    """

    entry: str
    campaign: str
    user: str
    entered: int
    since: int
    waiting: str
    due: int
    rest: tuple[str, ...]
    event: dict[str, Any]
    held: int | None = None
    variant: str | None = None
    each: str = ""
    begun: int | None = None

    @property
    def next_step(self) -> str:
        """The id of the step that is decided next, empty where none is left."""
        if self.held is not None:
            return self.waiting
        return self.rest[0] if self.rest else ""

    @property
    def subject(self) -> Subject:
        """What its sends are part of."""
        return Subject(self.entry, self.user, self.variant, self.event)


class _Task(NamedTuple):
    """Something that falls due now, for a campaign; those of a lower `rank` go first."""

    rank: tuple[int, str, int]
    run: Callable[[int], None]


class Journeys:
    """The journeys and last entries of one user, being changed."""

    def __init__(
        self, active: dict[str, Journey], entries: dict[str, Entry], person: Person, definitions: Definitions
    ) -> None:
        self.active = active
        self.entries = entries
        self.person = person
        self.definitions = definitions
        self.routes = definitions.routes
        self.sending = Sending(person, definitions)
        self._tasks: list[_Task] = []

    def on_event(self, event: Event, now: int) -> None:
        """End the journeys, and the waits, that an event ends."""
        for journey in self._sorted():
            ways = self.routes.exits.get(journey.campaign, ())
            if event.time >= journey.since and any(awaited(event, journey.event) for awaited in ways):
                self._end(journey, "exit", now)
            elif journey.begun is not None and event.time >= journey.begun:
                awaited = self.routes.waits.get((journey.campaign, journey.waiting))
                if awaited is not None and awaited(event, journey.event):
                    self._resume_later(journey, now)

    def on_triggers(self, event: Event, cause: Cause) -> None:
        """Let an event trigger campaigns."""
        for campaign in self.routes.triggered(event):
            self._enter_later(campaign, event.id, cause)

    def on_announcement(self, event: Event, cause: Cause) -> None:
        """Let an event that concerns no user reach this one, as far as they are in the audience."""
        for campaign in self.routes.announced(event):
            if cause.kind == "event" and self.concerns(campaign):  # history has told nobody
                self._enter_later(campaign, event.id, cause)

    def on_time(self, due: Due, cause: Cause) -> None:
        """Let a run of a scheduled campaign reach this user, if it was planned for them or they are in the audience;
        or let the campaign start, if they are in its segment. A run in history reaches nobody.
        """
        campaign = due.campaign
        if cause.kind != "time":
            return
        if due.local is None:
            if campaign.trigger.segment in self.person.members:
                self._enter_later(campaign, "@starts", cause)
        elif due.planned or self.concerns(campaign):
            self._enter_later(campaign, f"@{due.local}", cause)

    def on_segments(self, entered: Iterable[str], left: Iterable[str], cause: Cause, now: int) -> None:
        """End journeys by `exit`, and let changes of membership trigger campaigns."""
        left = list(left)
        for journey in self._sorted():
            campaign = self.definitions.campaigns.get(journey.campaign)
            if campaign is not None and self._exits(campaign, left):
                self._end(journey, "exit", now)
        if cause.kind not in ("event", "time", "historical"):
            return
        for segments, triggered in ((entered, self.routes.entering), (left, self.routes.leaving)):
            for segment in segments:
                for campaign in triggered.get(segment, ()):
                    self._enter_later(campaign, f"{segment}@{now}", cause)

    @property
    def first(self) -> int:
        """When the first wait of those that are active is over."""
        return min(journey.due for journey in self.active.values())

    def due_at(self, due: int) -> set[str]:
        """The entries of the journeys whose wait is over at a time."""
        return {entry for entry, journey in self.active.items() if journey.due == due}

    def resume(self, entries: Container[str], due: int) -> None:
        """Let these journeys go on, as far as their wait is still one until `due`."""
        for journey in self._sorted():
            if journey.entry in entries and journey.due == due and journey.entry in self.active:
                self._resume_later(journey, due)

    def decide(self, now: int) -> None:
        """Decide what fell due, in its order."""
        while self._tasks:
            tasks, self._tasks = sorted(self._tasks, key=lambda task: task.rank), []
            for task in tasks:
                task.run(now)

    def adopt(self, active: Mapping[str, Journey], entries: Mapping[str, Entry], now: int) -> None:
        """Take over a merged user's journeys; of two in one campaign the earlier goes on."""
        for name, entry in entries.items():
            self.entries[name] = joined(self.entries.get(name), entry)
        for theirs in active.values():
            journey, place = theirs, (theirs.campaign, theirs.each)
            twin = next((mine for mine in self.active.values() if (mine.campaign, mine.each) == place), None)
            # Two that began at one instant have one entry, and are two: their sends are named by the user at entry.
            if twin is not None and twin != theirs:
                journey, second = sorted((twin, theirs), key=lambda each: (each.entered, each.entry, each.user))
                self.active.pop(second.entry, None)
                self._suppress(second.campaign, "merged", now, second.entry, second.next_step)
            self.active[journey.entry] = journey
            campaign = self.definitions.campaigns.get(journey.campaign)
            if campaign is not None and self._exits(campaign, ()):
                self._end(journey, "exit", now)

    def give_up(self, entry: str, now: int) -> None:
        """End a journey for which the user's state has no room."""
        self._end(self.active[entry], "truncated", now)

    def concerns(self, campaign: Campaign) -> bool:
        """Whether a campaign that reaches many at once concerns this user: only then it tells what it decides."""
        return self._outside(campaign) != "audience"

    # Entry.

    def _enter_later(self, campaign: Campaign, trigger: str, cause: Cause) -> None:
        self._later(campaign, lambda now: self._enter(campaign, trigger, cause, now))

    def _enter(self, campaign: Campaign, trigger: str, cause: Cause, now: int) -> None:
        each = each_of(campaign, cause) if campaign.reenter.kind == "each" else ""
        entry, last = digest(campaign.id, trigger), last_of(campaign, each or "", self.entries)
        reason = self._refusal(campaign, cause, last, each, now)
        if reason is None and last is not None and last.id == entry:
            reason = "reentry"
        if reason is not None or each is None:
            self._suppress(campaign.id, reason or "", now, entry)
            return
        arm = arm_of(campaign, self.person.id, self.entries.get(campaign.id))
        self._note(campaign, each, Entry(now, entry, now, arm.variant, arm.control))
        event = cause.event
        since = event.time if event is not None else now
        self.person.emit(CampaignEntered(campaign.id, self.person.id, entry, now, arm.variant, arm.control))
        self.person.goals.begin(campaign, entry, self.person.id, since, variant=arm.variant, control=arm.control)
        if arm.control:
            self._suppress(campaign.id, "holdout", now, entry)
            return
        for other in self._sorted() if campaign.reenter.kind == "restart" else ():
            if other.campaign == campaign.id:
                self._end(other, "restarted", now)
        properties = event.properties if event is not None else {}
        begun = (entry, campaign.id, self.person.id, now, since, "", now, (), properties)
        self._walk(campaign, Journey(*begun, variant=arm.variant, each=each), campaign.steps, now, now)

    def _note(self, campaign: Campaign, each: str, entry: Entry) -> None:
        """Remember an entry, of the values of `each` the newest; the arm is that of the first."""
        self.entries[campaign.id] = joined(self.entries.get(campaign.id), entry)
        if not each:
            return
        self.entries[f"{campaign.id}/{each}"] = Entry(entry.at, entry.id)
        mine = [name for name in self.entries if name.startswith(f"{campaign.id}/")]
        for name in sorted(mine, key=lambda name: (self.entries[name].at, name))[:-EACH_KEPT]:
            del self.entries[name]

    def _refusal(self, campaign: Campaign, cause: Cause, last: Entry | None, each: str | None, now: int) -> str | None:
        if (reason := too_early(campaign, self.person, now)) is not None:
            return reason
        if cause.kind == "historical":
            return "historical"
        if cause.age > campaign.max_event_age:
            return "too_old"
        return self._outside(campaign) or self._entered_before(campaign, last, each, now) or self._unreached(campaign)

    def _entered_before(self, campaign: Campaign, last: Entry | None, each: str | None, now: int) -> str | None:
        """Why an earlier entry keeps a user out."""
        if each is None:
            return "no_value"
        kind, after = campaign.reenter.kind, campaign.reenter.after
        if last is not None and (kind in ("never", "each") or (kind == "after" and now - last.at < after)):
            return "reentry"
        mine = (journey for journey in self.active.values() if journey.campaign == campaign.id)
        return "in_journey" if kind != "restart" and any(journey.each == each for journey in mine) else None

    def _unreached(self, campaign: Campaign) -> str | None:
        """Why no step would reach a user, or none may."""
        sends = [step for step in campaign.every_step if step.kind == "send"]
        reasons = [self.sending.choose(campaign, step.all_messages)[1] for step in sends]
        if None not in reasons:
            return min(reason for reason in reasons if reason is not None)
        held = not campaign.transactional and is_held(self.definitions.policies.global_holdout, self.person.id)
        return "global_holdout" if held else None

    def _outside(self, campaign: Campaign) -> str | None:
        """Why a user is not in a campaign's audience, None for those who are."""
        audience = self.definitions.index.answer(campaign.id, self.person.warming)
        if audience is nobody:
            return "warming"
        return None if audience is None or audience(self.person.leaves.opened, self.person.members) else "audience"

    # The walk.

    def _resume_later(self, journey: Journey, due: int) -> None:
        def run(now: int) -> None:
            if self.active.get(journey.entry) is journey:  # nothing else of this instant has ended or moved it
                self._resume(journey, due, now)

        self._later(self.definitions.campaigns.get(journey.campaign), run)

    def _resume(self, journey: Journey, due: int, now: int) -> None:
        campaign = self.definitions.campaigns.get(journey.campaign)
        if campaign is None or campaign.status == "stopped":
            self._end(journey, "stopped", now)
            return
        ways = self.routes.ways[campaign.id]
        if journey.waiting not in ways:
            steps = next((ways[step] for step in journey.rest if step in ways), ())
        elif journey.held is not None:
            steps, due = ways[journey.waiting], journey.held
        else:
            steps = ways[journey.waiting][1:]
        self._walk(campaign, journey, steps, due, now)

    def _walk(self, campaign: Campaign, journey: Journey, steps: tuple[Step, ...], due: int, now: int) -> None:
        """Take steps, the first of which fell due at `due`, until one waits or none is left."""
        self.active[journey.entry] = journey
        while steps:
            step, rest = steps[0], steps[1:]
            if step.kind == "end":
                break
            if step.kind == "if":
                holds = self.sending.answer(campaign, step, journey.variant)
                rest = (*(step.then if holds else step.otherwise), *rest)
            elif step.kind == "set":
                self._set(campaign, journey, step, now)
                if journey.entry not in self.active:  # what it changed has ended the journey
                    return
            elif (until := self._until(campaign, journey, step, due, now)) is None:
                return
            elif until > now:
                self._pause(journey, steps, until, due, now)
                return
            else:
                due = now
            steps = rest
        del self.active[journey.entry]

    def _until(self, campaign: Campaign, journey: Journey, step: Step, due: int, now: int) -> int | None:
        """Until when a wait, or a send in quiet hours, holds a journey up; None where the journey has ended."""
        if step.kind == "wait":
            if step.minute is None:
                return now + (step.length or 0)
            zone = self.person.zone if step.zone == EACH_USER else step.zone
            return next_time_of_day(step.minute, zone, now)
        if self._exits(campaign, ()):
            del self.active[journey.entry]
            self._suppress(campaign.id, "exit", now, journey.entry, step.id)
            return None
        decision = self.sending.decide(campaign, journey.subject, step, due, now)
        if decision.reason is not None:
            self._suppress(campaign.id, decision.reason, now, journey.entry, step.id)
        return decision.until

    def _pause(self, journey: Journey, steps: tuple[Step, ...], until: int, due: int, now: int) -> None:
        """Wait at the first of these steps, which fell due at `due`."""
        waiting, *rest = (each.id for each in steps)
        held = due if steps[0].kind == "send" else None
        begun = now if steps[0].events is not None else None
        changed = {"waiting": waiting, "due": until, "rest": tuple(rest), "held": held, "begun": begun}
        self.active[journey.entry] = msgspec.structs.replace(journey, **changed)

    def _set(self, campaign: Campaign, journey: Journey, step: Step, now: int) -> None:
        if campaign.status == "paused":
            self._suppress(campaign.id, "paused", now, journey.entry, step.id)
            return
        try:
            values = values_of(
                step, journey.subject, self.person, now, campaign=campaign.id, given=self.sending.given(campaign)
            )
        except ValueError:
            self._suppress(campaign.id, "render_error", now, journey.entry, step.id)
            return
        self.person.set_attributes(values, digest(campaign.id, journey.user, journey.entry, step.id), now)

    def _exits(self, campaign: Campaign, left: Iterable[str]) -> bool:
        """Whether being in a segment, or having left one, ends journeys of a campaign."""
        return any(
            way.segment in (self.person.members if way.kind == "segment" else left)
            for way in campaign.exits
            if way.kind != "event"
        )

    def _end(self, journey: Journey, reason: str, now: int) -> None:
        del self.active[journey.entry]
        self._suppress(journey.campaign, reason, now, journey.entry, journey.next_step)

    def _suppress(self, campaign: str, reason: str, now: int, entry: str, step: str = "") -> None:
        self.person.emit(Suppressed(campaign, self.person.id, reason, now, step, entry))

    def _later(self, campaign: Campaign | None, run: Callable[[int], None]) -> None:
        priority, name = (PRIORITY, "") if campaign is None else (campaign.priority, campaign.id)
        self._tasks.append(_Task((-priority, name, len(self._tasks)), run))

    def _sorted(self) -> list[Journey]:
        if len(self.active) < 2:  # almost always, and asked at every event
            return list(self.active.values())
        return sorted(self.active.values(), key=lambda journey: (journey.campaign, journey.entry))
