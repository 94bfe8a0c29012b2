"""Who may enter a campaign now: the questions at entry that ask about the user, in their order.

Times are microseconds UTC.
"""

from collections.abc import Iterator
from typing import NamedTuple

from transforms.campaigns.definitions import Campaign, Step
from transforms.campaigns.entry import arm_of, each_of, is_held, last_of, too_early
from transforms.campaigns.journey import Journey
from transforms.campaigns.sending import Sending
from transforms.campaigns.trigger import Trigger
from transforms.campaigns.user_view import UserView
from transforms.segments.warming import nobody

__all__ = ["Admission", "Refusal"]


class Refusal(NamedTuple):
    """Why a user may not enter. With `may_pass` it is for lack of facts, which may still come."""

    reason: str
    may_pass: bool = False


class Admission:
    """Asks whether one user may enter."""

    def __init__(self, user: UserView) -> None:
        self.user = user
        self.active = user.journeys.active
        self.entries = user.journeys.entries
        self.definitions = user.definitions
        self.sending = Sending(user)

    def refusal(self, campaign: Campaign, asked: Journey, now: int, trigger: Trigger | None = None) -> Refusal | None:
        """Why a user may not begin a journey, None if they may.

        Args:
          campaign: the campaign.
          asked: the journey, as it would be pending.
          now: the instant.
          trigger: what triggered it, unless it is pending already.
        """
        if (reason := too_early(campaign, self.user, now)) is not None:
            return Refusal(reason)
        if trigger is not None and trigger.kind == "historical":
            return Refusal("historical")
        if trigger is not None and trigger.age > campaign.max_event_age:
            return Refusal("too_old")
        if (reason := self.outside(campaign)) is not None:
            second = campaign.reenter.kind != "restart" and any(other.is_pending for other in self.others(asked))
            return Refusal("in_journey") if second else Refusal(reason, may_pass=reason == "audience")
        if (reason := self._entered_before(campaign, asked, now)) is not None:
            return Refusal(reason)
        return self._unreached(campaign)

    def outside(self, campaign: Campaign) -> str | None:
        """Why a user is not in a campaign's audience; None for a user who is."""
        audience = self.definitions.index.answer(campaign.id, self.user.warming)
        if audience is nobody:
            return "warming"
        return None if audience is None or audience(self.user.truths, self.user.members) else "audience"

    def others(self, asked: Journey) -> Iterator[Journey]:
        """The other journeys in the same place."""
        place = asked.campaign, asked.each
        return (
            other
            for other in self.active.values()
            if (other.campaign, other.each) == place and other.entry != asked.entry
        )

    def _entered_before(self, campaign: Campaign, asked: Journey, now: int) -> str | None:
        """Why an earlier entry keeps a user out."""
        each = each_of(campaign, asked.event)
        if each is None:
            return "no_value"
        kind, after, last = campaign.reenter.kind, campaign.reenter.after, last_of(campaign, each, self.entries)
        if last is not None and (kind in ("never", "each") or (kind == "after" and now - last.at < after)):
            return "reentry"
        if kind != "restart" and any(self.others(asked)):
            return "in_journey"
        return "reentry" if last is not None and last.id == asked.entry else None

    def _unreached(self, campaign: Campaign) -> Refusal | None:
        """Why no step would or may reach a user. A step after a wait asks for itself."""
        if self._sends_at_once(campaign, campaign.steps):
            sends = [step.all_messages for step in campaign.every_step if step.kind == "send"]
            reasons = [self.sending.choose(campaign, messages)[1] for messages in sends]
            if None not in reasons:
                reason = min(reason for reason in reasons if reason is not None)
                return Refusal(reason, any(self.sending.may_better(campaign, messages) for messages in sends))
        held = not campaign.transactional and is_held(self.definitions.policies.global_holdout, self.user.id)
        return Refusal("global_holdout") if held else None

    def _sends_at_once(self, campaign: Campaign, steps: tuple[Step, ...]) -> bool:
        """Whether a user would come to a send before any wait, as conditions answer now."""
        variant = arm_of(campaign, self.user.id, self.entries.get(campaign.id)).variant
        while steps:
            step, steps = steps[0], steps[1:]
            if step.kind == "send":
                return True
            if step.kind in ("wait", "end"):
                return False
            if step.kind == "if":
                holds = self.sending.answer(campaign, step, variant)
                steps = (*(step.then if holds else step.otherwise), *steps)
        return False
