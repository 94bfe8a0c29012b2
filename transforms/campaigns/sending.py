"""What one step sends to one user, or why it does not: the questions asked at each send, in their order.

Times are microseconds UTC.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import UNSET

from transforms.campaigns.caps import Counted
from transforms.campaigns.definitions import Campaign, Step
from transforms.campaigns.effects import Send
from transforms.campaigns.entry import digest
from transforms.campaigns.index import condition_name
from transforms.campaigns.journey import Subject
from transforms.campaigns.quiet import first_outside
from transforms.campaigns.user_view import UserView
from transforms.identity.channels import channels
from transforms.segments.warming import nobody

__all__ = ["Decision", "Sending"]


class Decision(NamedTuple):
    """What became of a step: it was sent where `reason` is None and `until` is `now`; else it was refused for the
    reason, or waits: until quiet hours are over, or while it is `settling` for facts.
    """

    until: int
    reason: str | None = None
    settling: bool = False


class Sending:
    """Decides the sends of one user."""

    def __init__(self, user: UserView) -> None:
        self.user = user
        self.definitions = user.definitions

    def decide(
        self, campaign: Campaign, subject: Subject, step: Step, due: int, now: int, *, settling: bool = False
    ) -> Decision:
        """Send a step that fell due at `due`, refuse it, or say until when it is held back; `settling`: it was."""
        if campaign.status == "paused":
            return Decision(now, "paused")
        messages = step.messages_for(subject.variant)
        settled = min(self.settled(campaign), due + campaign.max_delay)
        waits = now < settled and self.may_better(campaign, messages)
        unless = self.answer(campaign, step, subject.variant)
        if waits and (settling or unless is False):
            return Decision(settled, settling=True)
        if unless is not False:
            return Decision(now, "warming" if unless is None else "unless")
        name, reason = self.choose(campaign, messages)
        if reason is not None:
            return Decision(now, reason)
        outside = now if campaign.quiet is None else first_outside(campaign.quiet, self.user.zone, now)
        if outside > due + campaign.max_delay:
            return Decision(now, "expired")
        if outside > now:
            return Decision(outside)
        caps = () if campaign.transactional else self.definitions.policies.frequency_caps
        channel = self.definitions.messages[name].channel
        if self.user.cap_history.is_capped(caps, channel, now):
            return Decision(now, "capped")
        sends = self._send(campaign, subject, step, name, now, due=due)
        self.user.cap_history.add(caps, Counted(now, channel, sends))
        return Decision(now)

    def answer(self, campaign: Campaign, step: Step, variant: str | None) -> bool | None:
        """Whether a step's condition holds; None while it cannot be answered, and False for a step without one."""
        for name in (variant or "", ""):
            test = self.definitions.index.answer(condition_name(campaign.id, step.id, name), self.user.warming)
            if test is nobody:
                return None
            if test is not None:
                return test(self.user.truths, self.user.members)
        return False

    def choose(self, campaign: Campaign, messages: tuple[str, ...]) -> tuple[str, str | None]:
        """The first message that reaches, or the reason why none does."""
        denied = 0
        for name in messages:
            channel = self.definitions.messages[name].channel
            if campaign.consent is not None and not self.user.is_consented(campaign.consent, channel):
                denied += 1
            elif self.user.is_reachable(channel):
                return name, None
        return "", "no_consent" if denied == len(messages) else "unreachable"

    def may_better(self, campaign: Campaign, messages: tuple[str, ...]) -> bool:
        """Whether facts may still come that let a message go out, or a better one: a channel may get an address, and
        unset consent may be given. A denial stands.
        """
        for name in messages:
            channel = self.definitions.messages[name].channel
            if self.choose(campaign, (name,))[1] is None:
                return False
            if campaign.consent is None or not self.user.is_denied(campaign.consent, channel):
                return True
        return False

    def settled(self, campaign: Campaign) -> int:
        """From when on a campaign waits for no more facts about this user. A broadcast never waits for any."""
        return 0 if campaign.trigger.of_kind.broadcast else self.user.settled

    def template_events(self, campaign: Campaign) -> dict[str, Any]:
        """What templates see under the names of `with`: the properties of the newest such events."""
        known = self.user.latest_events.kept
        return {name: known[event][2] for name, event in campaign.template_events.items() if event in known}

    def _not_after(self, campaign: Campaign, due: int, now: int) -> int:
        """When a send that fell due at `due` expires: at the latest with the next occurrence of its schedule, so that
        after a standstill only the newest goes out.
        """
        latest, schedule = due + campaign.max_delay, campaign.trigger.schedule
        following = None if schedule is None else schedule.next_for(self.user.zone, now)
        return latest if following is None else min(latest, following)

    def _send(
        self, campaign: Campaign, subject: Subject, step: Step, name: str, now: int, *, due: int
    ) -> tuple[str, ...]:
        """Send a message to the addresses of its channel; returns the ids of the sends."""
        message, user = self.definitions.messages[name], self.user
        several = channels()[message.channel].several
        receivers = message.receivers(user.addresses(message.channel))
        attributes = user.profile.values()
        not_after = self._not_after(campaign, due, now)
        sends = [
            Send(
                id=digest(campaign.id, subject.user, subject.entry, step.id, *((address,) if several else ())),
                campaign=campaign.id,
                entry=subject.entry,
                step=step.id,
                user=user.id,
                channel=message.channel,
                message=name,
                address=address,
                decided_at=now,
                not_after=not_after,
                held_since=due if due < now else UNSET,
                topic=campaign.consent,
                variant=subject.variant,
                zone=user.zone,
                locale=_locale(attributes),
                attributes=attributes,
                event=subject.event,
                quiet=campaign.quiet,
                release=self.definitions.release,
                template_events=self.template_events(campaign) or UNSET,
            )
            for address in (receivers if several else receivers[:1])
        ]
        user.sends.add(sends)
        for send in sends:
            user.emit(send)
        return tuple(send.id for send in sends)


def _locale(attributes: Mapping[str, Any]) -> str | None:
    for name in ("locale", "context.locale"):
        if isinstance(value := attributes.get(name), str):
            return value
    return None
