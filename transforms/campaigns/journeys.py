"""Journeys of one user: who enters a campaign, what each step decides, what ends it.

Decisions are in event time: `now` is the instant decided at, in microseconds UTC. Every refusal is a `Suppressed` with
its reason.
"""

from collections.abc import Container, Iterable
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from transforms.campaigns.definitions import Campaign, Step
from transforms.campaigns.effects import CampaignEntered, Send, Suppressed
from transforms.campaigns.load import Definitions
from transforms.campaigns.quiet import first_outside
from transforms.events.event import Event
from transforms.identity.profile import Profile
from transforms.messages.definitions import PushMessage
from transforms.segments.leaf_states import LeafStates
from transforms.segments.warming import nobody

__all__ = ["Cause", "Entry", "Journey", "Journeys", "Person", "digest"]


class Journey(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A journey that waits.

    `user` is the id at entry, `entered` the instant of entry, `since` the time from which on an event ends the journey.
    `waiting` is the id of the wait that began, or of the send that quiet hours hold back; `due` is when it ends, `rest`
    the ids of the steps behind it. `event` holds the trigger's properties. `held` is when a send that is held back fell
    due, None in a wait.
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

    @property
    def next_step(self) -> str:
        """The id of the step that is decided next, empty where none is left."""
        if self.held is not None:
            return self.waiting
        return self.rest[0] if self.rest else ""


class Entry(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """The last entry into a campaign, from which re-entry counts."""

    at: int
    id: str


class Cause(msgspec.Struct, frozen=True, gc=False):
    """Why something changed: `kind` is event, time, historical, merge, token, seed or definition.

    Only the first two trigger.
    """

    kind: str
    event: Event | None = None

    @property
    def age(self) -> int:
        """How old the trigger was when it arrived, in microseconds; zero for triggers by time."""
        return self.event.arrival - self.event.time if self.event is not None else 0


class Person(Protocol):
    """What journeys read of a user."""

    id: str
    profile: Profile
    leaves: LeafStates
    members: dict[str, int]
    warming: frozenset[int]

    @property
    def zone(self) -> str:
        """The time zone."""

    def is_reachable(self, channel: str) -> bool:
        """Whether there is a live address."""

    def is_consented(self, topic: str, channel: str) -> bool:
        """Whether a topic may use a channel."""

    def emit(self, effect: CampaignEntered | Send | Suppressed) -> None:
        """Report an effect."""


class Journeys:
    """The journeys and last entries of one user, being changed."""

    def __init__(
        self, active: dict[str, Journey], entries: dict[str, Entry], person: Person, definitions: Definitions
    ) -> None:
        self.active = active
        self.entries = entries
        self.person = person
        self.definitions = definitions

    def on_event(self, event: Event, now: int) -> None:
        """End the journeys that an event ends."""
        for journey in self._sorted():
            ways = self.definitions.exits.get(journey.campaign, ())
            if event.time >= journey.since and any(matches(event) for matches in ways):
                self._end(journey, "exit", now)

    def on_triggers(self, event: Event, cause: Cause, now: int) -> None:
        """Enter the campaigns that an event triggers."""
        for campaign in self.definitions.by_event.get(event.name, ()):
            if self.definitions.triggers[campaign.id](event):
                self._enter(campaign, event.id, cause, now)

    def on_segments(self, entered: Iterable[str], left: Iterable[str], cause: Cause, now: int) -> None:
        """End journeys by `exit`, then enter the campaigns that changes of membership trigger."""
        left = list(left)
        for journey in self._sorted():
            campaign = self.definitions.campaigns.get(journey.campaign)
            if campaign is not None and self._exits(campaign, left):
                self._end(journey, "exit", now)
        if cause.kind not in ("event", "time", "historical"):
            return
        for segments, triggered in ((entered, self.definitions.by_entry), (left, self.definitions.by_leaving)):
            for segment in segments:
                for campaign in triggered.get(segment, ()):
                    self._enter(campaign, f"{segment}@{now}", cause, now)

    @property
    def first(self) -> int:
        """When the first wait of those that are active is over."""
        return min(journey.due for journey in self.active.values())

    def due_at(self, due: int) -> set[str]:
        """The entries of the journeys whose wait is over at a time."""
        return {entry for entry, journey in self.active.items() if journey.due == due}

    def resume(self, entries: Container[str], due: int, now: int) -> None:
        """Go on with these journeys, as far as their wait is still one until `due`."""
        for journey in self._sorted():
            if journey.entry in entries and journey.due == due and journey.entry in self.active:
                self._resume(journey, now)

    def _resume(self, journey: Journey, now: int) -> None:
        campaign = self.definitions.campaigns.get(journey.campaign)
        if campaign is None or campaign.status == "stopped":
            self._end(journey, "stopped", now)
            return
        ids, due = [step.id for step in campaign.steps], journey.due
        if journey.waiting not in ids:
            position = next((ids.index(step) for step in journey.rest if step in ids), len(ids))
        elif journey.held is not None:
            position, due = ids.index(journey.waiting), journey.held
        else:
            position = ids.index(journey.waiting) + 1
        self._walk(campaign, journey, position, due, now)

    def adopt(self, active: dict[str, Journey], entries: dict[str, Entry], now: int) -> None:
        """Take over a merged user's journeys; of two in one campaign the earlier goes on."""
        for name, entry in entries.items():
            known = self.entries.get(name)
            self.entries[name] = entry if known is None else max(known, entry)
        for theirs in active.values():
            journey = theirs
            twin = next((mine for mine in self.active.values() if mine.campaign == theirs.campaign), None)
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

    def _enter(self, campaign: Campaign, trigger: str, cause: Cause, now: int) -> None:
        reason = self._refusal(campaign, cause, now)
        entry = digest(campaign.id, trigger)
        if reason is None and (last := self.entries.get(campaign.id)) is not None and last.id == entry:
            reason = "reentry"
        if reason is not None:
            self._suppress(campaign.id, reason, now, entry)
            return
        person = self.person
        self.entries[campaign.id] = Entry(now, entry)
        person.emit(CampaignEntered(campaign.id, person.id, entry, now))
        event = cause.event
        properties = event.properties if event is not None else {}
        since = event.time if event is not None else now
        journey = Journey(entry, campaign.id, person.id, now, since, "", now, (), properties)
        self._walk(campaign, journey, 0, now, now)

    def _refusal(self, campaign: Campaign, cause: Cause, now: int) -> str | None:
        if campaign.status != "live":
            return campaign.status
        if cause.kind == "historical":
            return "historical"
        if cause.age > campaign.max_event_age:
            return "too_old"
        if (reason := self._outside(campaign)) is not None:
            return reason
        last = self.entries.get(campaign.id)
        if last is not None and campaign.reenter.kind == "never":
            return "reentry"
        if last is not None and campaign.reenter.kind == "after" and now - last.at < campaign.reenter.after:
            return "reentry"
        if any(journey.campaign == campaign.id for journey in self.active.values()):
            return "in_journey"
        reasons = [self._choose(campaign, step)[1] for step in campaign.steps if step.kind == "send"]
        return None if None in reasons else min(reason for reason in reasons if reason is not None)

    def _outside(self, campaign: Campaign) -> str | None:
        """Why a user is not in a campaign's audience, None for those who are."""
        audience = self.definitions.index.audience(campaign.id, self.person.warming)
        if audience is nobody:
            return "warming"
        return None if audience is None or audience(self.person.leaves.opened, self.person.members) else "audience"

    def _walk(self, campaign: Campaign, journey: Journey, position: int, due: int, now: int) -> None:
        """Take steps, the first of which fell due at `due`, until one waits or none is left."""
        steps = campaign.steps
        for index in range(position, len(steps)):
            step = steps[index]
            if step.kind == "wait":
                self._pause(journey, steps[index:], now + step.wait)
                return
            if self._exits(campaign, ()):
                self.active.pop(journey.entry, None)
                self._suppress(campaign.id, "exit", now, journey.entry, step.id)
                return
            outside = self._decide(campaign, journey, step, due, now)
            if outside > now:
                self._pause(journey, steps[index:], outside, held=due)
                return
            due = now
        self.active.pop(journey.entry, None)

    def _pause(self, journey: Journey, steps: tuple[Step, ...], until: int, held: int | None = None) -> None:
        """Wait at the first of these steps."""
        waiting, *rest = (step.id for step in steps)
        journey = msgspec.structs.replace(journey, waiting=waiting, due=until, rest=tuple(rest), held=held)
        self.active[journey.entry] = journey

    def _decide(self, campaign: Campaign, journey: Journey, step: Step, due: int, now: int) -> int:
        """Send a step that fell due at `due`, or refuse it, now; or return until when quiet hours hold it back."""
        name, reason = self._choose(campaign, step)
        outside = now if campaign.quiet is None else first_outside(campaign.quiet, self.person.zone, now)
        if campaign.status == "paused":
            reason = "paused"
        elif reason is None and outside > due + campaign.max_delay:
            reason = "expired"
        if reason is not None:
            self._suppress(campaign.id, reason, now, journey.entry, step.id)
            return now
        if outside == now:
            self._send(campaign, journey, step, name, decided_at=now, not_after=due + campaign.max_delay)
        return outside

    def _send(
        self, campaign: Campaign, journey: Journey, step: Step, name: str, *, decided_at: int, not_after: int
    ) -> None:
        message, person = self.definitions.messages[name], self.person
        push = message.channel == "push"
        addresses = person.profile.live_tokens() if push else [person.profile.address(message.channel)]
        if isinstance(message, PushMessage) and message.devices == "latest":
            addresses = addresses[:1]
        attributes = person.profile.values()
        for address in addresses:
            parts = (campaign.id, journey.user, journey.entry, step.id, *((address,) if push else ()))
            person.emit(
                Send(
                    id=digest(*parts),
                    campaign=campaign.id,
                    entry=journey.entry,
                    step=step.id,
                    user=person.id,
                    channel=message.channel,
                    message=name,
                    address=address,
                    decided_at=decided_at,
                    not_after=not_after,
                    topic=campaign.consent,
                    zone=person.zone,
                    locale=_locale(attributes),
                    attributes=attributes,
                    event=journey.event,
                    quiet=campaign.quiet,
                    serial=self.definitions.serial,
                )
            )

    def _choose(self, campaign: Campaign, step: Step) -> tuple[str, str | None]:
        """The first message of a step that reaches, or the reason why none does."""
        denied = 0
        for name in step.messages:
            channel = self.definitions.messages[name].channel
            if campaign.consent is not None and not self.person.is_consented(campaign.consent, channel):
                denied += 1
            elif self.person.is_reachable(channel):
                return name, None
        return "", "no_consent" if denied == len(step.messages) else "unreachable"

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

    def _sorted(self) -> list[Journey]:
        if len(self.active) < 2:  # almost always, and asked at every event
            return list(self.active.values())
        return sorted(self.active.values(), key=lambda journey: (journey.campaign, journey.entry))


def digest(*parts: str) -> str:
    """A name made of parts; the separator keeps ("a", "bc") and ("ab", "c") apart."""
    return blake2b("\x1f".join(parts).encode(), digest_size=12).hexdigest()


def _locale(attributes: dict[str, Any]) -> str | None:
    for name in ("locale", "context.locale"):
        if isinstance(value := attributes.get(name), str):
            return value
    return None
