"""Journeys of one user: who enters a campaign, how its steps are walked, what ends it.

Decisions are in event time: `now` is the instant decided at, in microseconds UTC. Every refusal is a `Suppressed` with
its reason. What falls due at one instant waits until everything of it is known. Then it is decided in the order of
priority, then campaign. What a user who is new lacks may come a moment late: such an entry is pending, and such a send
held back, until a fact lets it go on or the user is `settled`.
"""

from collections.abc import Callable, Container, Iterable, Mapping

import msgspec

from transforms.campaigns.admission import Admission
from transforms.campaigns.definitions import PRIORITY, Campaign, Step
from transforms.campaigns.effects import CampaignEntered, Suppressed
from transforms.campaigns.entry import EACH_KEPT, Entry, arm_of, digest, draw_of, each_of, join_entries
from transforms.campaigns.goals import complete_times
from transforms.campaigns.journey import Journey
from transforms.campaigns.local_time import next_time_of_day
from transforms.campaigns.occurrences import DueOccurrence
from transforms.campaigns.recent import EventQuery, Newest
from transforms.campaigns.schedule import EACH_USER
from transforms.campaigns.sending import Decision, Sending
from transforms.campaigns.setting import values_of
from transforms.campaigns.trigger import Trigger
from transforms.campaigns.user_view import UserView
from transforms.events.event import Event

__all__ = ["JourneyEngine"]


class JourneyEngine:
    """Moves the journeys of one user, for the length of a call: what it keeps stands in `Journeys`."""

    __slots__ = ("_admission", "active", "definitions", "entries", "journeys", "routes", "user")

    def __init__(self, user: UserView) -> None:
        self.user = user
        self.journeys = user.journeys
        self.active = self.journeys.active
        self.entries = self.journeys.entries
        self.definitions = user.definitions
        self.routes = user.definitions.routes
        self._admission: Admission | None = None

    @property
    def admission(self) -> Admission:
        """The rules of entry; made when first needed, which is seldom."""
        if self._admission is None:
            self._admission = Admission(self.user)
        return self._admission

    @property
    def sending(self) -> Sending:
        """Decides the sends."""
        return self.admission.sending

    def on_event(self, event: Event, now: int) -> None:
        """End the journeys, and the waits, that an event ends."""
        for journey in self._sorted():
            exits = self.routes.exits.get(journey.campaign, ())
            if event.time >= journey.since and any(awaited(event, journey.event) for awaited in exits):
                self._end(journey, "exit", now)
            elif journey.begun is not None and event.time >= journey.begun:
                awaited = self.routes.waits.get((journey.campaign, journey.waiting))
                if awaited is not None and awaited(event, journey.event):
                    self._resume_later(journey, now)

    def on_triggers(self, campaigns: Iterable[Campaign], event: Event, trigger: Trigger) -> None:
        """Let an event trigger campaigns."""
        for campaign in campaigns:
            self._enter_later(campaign, event.id, trigger)

    def on_announcement(self, event: Event, trigger: Trigger) -> None:
        """Let an event that concerns no user trigger campaigns, if this user is in their audience."""
        for campaign in self.routes.announced(event):
            if trigger.kind == "event" and self.concerns(campaign):  # history has told nobody
                self._enter_later(campaign, event.id, trigger)

    def on_time(self, due: DueOccurrence, trigger: Trigger) -> None:
        """Let an occurrence of a scheduled campaign reach this user, if it was fixed for them or they are in the
        audience; or let the campaign start, if they are in its segment. An occurrence in history reaches nobody.
        """
        campaign = due.campaign
        if trigger.kind != "time":
            return
        if due.local is None:
            if campaign.trigger.segment in self.user.members:
                self._enter_later(campaign, "@starts", trigger)
        elif due.planned or self.concerns(campaign):
            self._enter_later(campaign, f"@{due.local}{'/again' if due.again else ''}", trigger)

    def on_segments(self, entered: Iterable[str], left: Iterable[str], trigger: Trigger, now: int) -> None:
        """End journeys by `exit`, and let changes of membership trigger campaigns."""
        left = list(left)
        for journey in self._sorted():
            campaign = self.definitions.campaigns.get(journey.campaign)
            if campaign is not None and self._exits(campaign, left):
                self._end(journey, "exit", now)
        if trigger.kind not in ("event", "time", "historical"):
            return
        for segments, triggered in ((entered, self.routes.entering), (left, self.routes.leaving)):
            for segment in segments:
                for campaign in triggered.get(segment, ()):
                    self._enter_later(campaign, f"{segment}@{now}", trigger)

    def resume(self, entries: Container[str], due: int) -> None:
        """Let these journeys go on, if they still wait until `due`."""
        for journey in self._sorted():
            if journey.entry in entries and journey.due == due and journey.entry in self.active:
                self._resume_later(journey, due)

    def decide(self, now: int) -> None:
        """Decide what fell due, in its order, and what was waiting for facts that have come."""
        if self.active:
            self._reconsider_later()
        while tasks := self.journeys.take_tasks():
            for task in tasks:
                task.run(now)
            if self.journeys.wrote:
                self.journeys.wrote = False
                self._reconsider_later()

    def adopt(self, active: Mapping[str, Journey], entries: Mapping[str, Entry], now: int) -> None:
        """Take over a merged user's journeys. Of two in one campaign the earlier goes on, but one that began before one
        that is pending. Pending entries settle as long as this user does.
        """
        for name, entry in entries.items():
            self.entries[name] = join_entries(self.entries.get(name), entry)
        for theirs in active.values():
            journey, place = theirs, (theirs.campaign, theirs.each)
            there = (mine for mine in self.active.values() if (mine.campaign, mine.each) == place)
            twin = min(there, key=_precedence, default=None)  # beside one that began another may be pending
            # Two that began at one instant have one entry, and are two: their sends are named by the user at entry.
            if twin is not None and twin != theirs:
                journey, second = sorted((twin, theirs), key=_precedence)
                self.active.pop(second.entry, None)
                self._suppress(second.campaign, "merged", now, second.entry, second.next_step)
            self.active[journey.entry] = journey
            campaign = self.definitions.campaigns.get(journey.campaign)
            if campaign is not None and self._exits(campaign, ()):
                self._end(journey, "exit", now)
        for journey in self._sorted():
            exits = () if journey.is_pending else self.routes.exits.get(journey.campaign, ())
            if any(self._came_since(query, journey) for query in exits):
                self._end(journey, "exit", now)

        for journey in self._sorted():
            campaign = self.definitions.campaigns.get(journey.campaign)
            if journey.settling and campaign is not None:
                settled, latest = self.sending.settled(campaign), (journey.held or 0) + campaign.max_delay
                due = settled if journey.held is None else min(settled, latest)
                self.active[journey.entry] = msgspec.structs.replace(journey, due=due)

    def give_up(self, entry: str, now: int, reason: str = "truncated") -> None:
        """End a journey that cannot go on, such as one for which the user's state has no room."""
        self._end(self.active[entry], reason, now)

    def concerns(self, campaign: Campaign) -> bool:
        """Whether a campaign that reaches many at once concerns this user: only then it tells what it decides."""
        return self.admission.outside(campaign) != "audience"

    # Entry.

    def _enter_later(self, campaign: Campaign, occasion: str, trigger: Trigger) -> None:
        self._later(campaign, lambda now: self._enter(campaign, occasion, trigger, now))

    def _enter(self, campaign: Campaign, occasion: str, trigger: Trigger, now: int) -> None:
        """Decide an entry, or keep it pending while facts may still come."""
        entry, event = digest(campaign.id, occasion), trigger.event
        properties = {} if event is None else event.properties
        # Somebody is in a segment from now on, whenever the event happened that has brought that about.
        since, id_ = (now, None) if event is None or campaign.trigger.segment else (event.time, event.id)
        settled = self.sending.settled(campaign)
        asked = Journey(entry, campaign.id, self.user.id, now, since, "", settled, (), properties, trigger=id_)
        asked = msgspec.structs.replace(asked, each=each_of(campaign, properties) or "", settling=True)
        refusal = self.admission.refusal(campaign, asked, now, trigger)
        if refusal is None:
            self._begin(campaign, asked, now)
        elif not refusal.may_pass or now >= settled:
            self._suppress(campaign.id, refusal.reason, now, entry)
        else:
            for other in [other for other in self.admission.others(asked) if other.is_pending]:  # with `restart`
                self._end(other, "restarted", now)
            self.active[entry] = asked

    def _begin(self, campaign: Campaign, asked: Journey, now: int) -> None:
        """Enter: begin the journey, unless the user is held out."""
        user, known = self.user.id, self.entries.get(campaign.id)
        arm = arm_of(campaign, user, known)
        draw = draw_of(campaign, arm) if known is None else None
        self._note(campaign, asked.each, Entry(now, asked.entry, now, arm.variant, arm.held_out))
        begun = {"user": user, "entered": now, "due": now, "variant": arm.variant, "settling": False}
        journey = msgspec.structs.replace(asked, **begun)
        goals = () if draw is None else complete_times(campaign, journey)
        self.user.emit(CampaignEntered(campaign.id, user, journey.entry, now, arm.variant, arm.held_out, draw, goals))
        self.user.goals.begin(campaign, journey, self.user.recent, held_out=arm.held_out, draw=draw)
        if arm.held_out:
            self._suppress(campaign.id, "holdout", now, journey.entry)
            return
        for other in self._sorted() if campaign.reenter.kind == "restart" else ():
            if other.campaign == campaign.id:
                self._end(other, "restarted", now)
        if any(self._came_since(query, journey) for query in self.routes.exits[campaign.id]):
            self._suppress(campaign.id, "exit", now, journey.entry, campaign.steps[0].id)
            return
        self._walk(campaign, journey, campaign.steps, now, now)

    def _came_since(self, asked: EventQuery, journey: Journey) -> Newest | None:
        """The asked event, if it was applied before the trigger that it follows."""
        return self.user.recent.later(asked, journey.event, journey.since, journey.trigger)

    def _note(self, campaign: Campaign, each: str, entry: Entry) -> None:
        """Remember an entry, and the newest values of `each`. The arm stays that of the first entry."""
        self.entries[campaign.id] = join_entries(self.entries.get(campaign.id), entry)
        if not each:
            return
        self.entries[f"{campaign.id}/{each}"] = Entry(entry.at, entry.id)
        mine = [name for name in self.entries if name.startswith(f"{campaign.id}/")]
        for name in sorted(mine, key=lambda name: (self.entries[name].at, name))[:-EACH_KEPT]:
            del self.entries[name]

    # Settling.

    def _reconsider_later(self) -> None:
        """Ask again about pending entries, before anything new of their campaign."""
        if any(journey.settling for journey in self.active.values()):
            for journey in self._sorted():
                if journey.settling:
                    self._resume_later(journey, journey.due, first=True)

    def _reconsider(self, campaign: Campaign, journey: Journey, now: int) -> None:
        """Begin a pending entry, if the facts allow it now; refuse it, if they cannot allow it any more."""
        refusal = self.admission.refusal(campaign, journey, now)
        if refusal is None:
            del self.active[journey.entry]
            self._begin(campaign, journey, now)
        elif now >= journey.due or refusal.reason == "paused":
            self._end(journey, refusal.reason, now)

    # The walk.

    def _resume_later(self, journey: Journey, due: int, *, first: bool = False) -> None:
        def run(now: int) -> None:
            if self.active.get(journey.entry) is journey:  # nothing else of this instant has ended or moved it
                self._resume(journey, due, now)

        self._later(self.definitions.campaigns.get(journey.campaign), run, first=first)

    def _resume(self, journey: Journey, due: int, now: int) -> None:
        campaign = self.definitions.campaigns.get(journey.campaign)
        if campaign is None or campaign.status == "stopped":
            self._end(journey, "stopped", now)
            return
        continuations = self.routes.continuations[campaign.id]
        if journey.is_pending:
            self._reconsider(campaign, journey, now)
            return
        if journey.waiting not in continuations:
            steps = next((continuations[step] for step in journey.remaining_steps if step in continuations), ())
        elif journey.held is not None:
            steps, due = continuations[journey.waiting], journey.held
        else:
            steps = continuations[journey.waiting][1:]
        self._walk(campaign, journey, steps, due, now)

    def _walk(self, campaign: Campaign, journey: Journey, steps: tuple[Step, ...], due: int, now: int) -> None:
        """Take steps, the first of which fell due at `due`, until one waits or none is left."""
        self.active[journey.entry] = journey
        heard = _heard_since(journey, now)
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
            elif step.events is not None and (came := self._awaited(campaign, journey, step, heard)) is not None:
                heard, due = came.order, now
            elif (decision := self._decision(campaign, journey, step, due, now)) is None:
                return
            elif decision.until > now:
                self._pause(journey, steps, decision, due, heard)
                return
            else:
                due = now
            steps = rest
        del self.active[journey.entry]

    def _awaited(
        self, campaign: Campaign, journey: Journey, step: Step, heard: tuple[int, str | None]
    ) -> Newest | None:
        """The event that a wait is for, if it has come already."""
        asked = self.routes.waits[campaign.id, step.id]
        return self.user.recent.later(asked, journey.event, *heard)

    def _decision(self, campaign: Campaign, journey: Journey, step: Step, due: int, now: int) -> Decision | None:
        """Until when a wait or a held-back send holds a journey up; None if the journey has ended."""
        if step.kind == "wait":
            if step.minute is None:
                return Decision(now + (step.length or 0))
            zone = self.user.zone if step.zone == EACH_USER else step.zone
            return Decision(next_time_of_day(step.minute, zone, now))
        if self._exits(campaign, ()):
            del self.active[journey.entry]
            self._suppress(campaign.id, "exit", now, journey.entry, step.id)
            return None
        decision = self.sending.decide(campaign, journey.subject, step, due, now, settling=journey.settling)
        if decision.reason is not None:
            self._suppress(campaign.id, decision.reason, now, journey.entry, step.id)
        return decision

    def _pause(
        self, journey: Journey, steps: tuple[Step, ...], decision: Decision, due: int, heard: tuple[int, str | None]
    ) -> None:
        """Wait at the first of these steps, which fell due at `due`; `heard`: see `_heard_since`."""
        waiting, *rest = (each.id for each in steps)
        held, settling = due if steps[0].kind == "send" else None, decision.settling
        begun = heard[0] if settling or steps[0].events is not None else None
        trigger = journey.trigger if settling else None
        changed = {"waiting": waiting, "due": decision.until, "remaining_steps": tuple(rest), "held": held}
        changed |= {"begun": begun, "trigger": trigger, "settling": settling}
        self.active[journey.entry] = msgspec.structs.replace(journey, **changed)

    def _set(self, campaign: Campaign, journey: Journey, step: Step, now: int) -> None:
        if campaign.status == "paused":
            self._suppress(campaign.id, "paused", now, journey.entry, step.id)
            return
        try:
            values = values_of(
                step, journey.subject, self.user, now, campaign=campaign.id, more=self.sending.template_events(campaign)
            )
        except ValueError:
            self._suppress(campaign.id, "render_error", now, journey.entry, step.id)
            return
        self.user.set_attributes(values, digest(campaign.id, journey.user, journey.entry, step.id), now)
        self.journeys.wrote = True

    def _exits(self, campaign: Campaign, left: Iterable[str]) -> bool:
        """Whether membership in a segment, or having left one, ends journeys of a campaign."""
        return any(
            way.segment in (self.user.members if way.kind == "segment" else left)
            for way in campaign.exits
            if way.kind != "event"
        )

    def _end(self, journey: Journey, reason: str, now: int) -> None:
        del self.active[journey.entry]
        self._suppress(journey.campaign, reason, now, journey.entry, journey.next_step)

    def _suppress(self, campaign: str, reason: str, now: int, entry: str, step: str = "") -> None:
        self.user.emit(Suppressed(campaign, self.user.id, reason, now, step, entry))

    def _later(self, campaign: Campaign | None, run: Callable[[int], None], *, first: bool = False) -> None:
        """Decide something at the end of this instant; with `first`, before anything else of its campaign."""
        priority, name = (PRIORITY, "") if campaign is None else (campaign.priority, campaign.id)
        self.journeys.add_task(-priority, name, run, first=first)

    def _sorted(self) -> list[Journey]:
        if len(self.active) < 2:  # almost always, and asked at every event
            return list(self.active.values())
        return sorted(self.active.values(), key=lambda journey: (journey.campaign, journey.entry))


def _heard_since(journey: Journey, now: int) -> tuple[int, str | None]:
    """After which time, and message, an event ends a wait that a walk comes to: after the trigger, however late that
    was, as long as nothing but facts was waited for; else from now on.
    """
    if journey.settling and journey.begun is not None:
        return journey.begun, journey.trigger if journey.begun == journey.since else None
    return (now, None) if journey.waiting else (journey.since, journey.trigger)


def _precedence(journey: Journey) -> tuple[bool, int, str, str]:
    """The order of journeys in one place: the lesser goes on."""
    return journey.is_pending, journey.entered, journey.entry, journey.user
