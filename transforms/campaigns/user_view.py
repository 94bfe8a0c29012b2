"""What campaigns read of a user, and do to one."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from transforms.campaigns.caps import Counted
from transforms.campaigns.effects import CampaignEntered, Converted, Send, Suppressed
from transforms.campaigns.goals import Goals
from transforms.campaigns.recent import Recent
from transforms.events.event import SET, TOKEN_LOST, Event
from transforms.identity.profile import Profile, Written
from transforms.segments.leaf_states import LeafStates

__all__ = ["Trigger", "UserView", "trigger_of"]


class Trigger(msgspec.Struct, frozen=True, gc=False):
    """Why something changed: `kind` is event, time, historical, merge, token, seed, definition, step or truncated.

    Only the first two trigger.
    """

    kind: str
    event: Event | None = None

    @property
    def age(self) -> int:
        """How old the trigger was when it arrived, in microseconds; zero for triggers by time."""
        return self.event.arrival - self.event.time if self.event is not None else 0


#: What the archive alone tells triggers nothing when it is read again, as it triggered nothing before.
_QUIET = {SET: "step", TOKEN_LOST: "token"}


def trigger_of(event: Event) -> Trigger:
    """Why that changes which an event changes."""
    return Trigger("historical" if event.historical else _QUIET.get(event.type, "event"), event)


class UserView(Protocol):
    """A user, for campaigns. `cap_history` are the messages that caps count, `latest_events` the newest by name,
    `recent` those that exits, waits and goals ask for.
    """

    id: str
    profile: Profile
    leaves: LeafStates
    warming: frozenset[int]
    goals: Goals
    cap_history: tuple[Counted, ...]
    latest_events: dict[str, Written]
    recent: Recent

    @property
    def members(self) -> dict[str, int]:
        """Segment to since."""

    @property
    def zone(self) -> str:
        """The time zone."""

    def is_identified(self) -> bool:
        """Whether there is a user id."""

    @property
    def settled(self) -> int:
        """Until when facts about the user may come late."""

    def addresses(self, channel: str) -> Sequence[str]:
        """The live addresses on a channel, the best first."""

    def is_reachable(self, channel: str) -> bool:
        """Whether there is a live address."""

    def is_consented(self, topic: str, channel: str) -> bool:
        """Whether a topic may use a channel."""

    def is_denied(self, topic: str, channel: str) -> bool:
        """Whether a topic may certainly not use a channel: that was said, and is not only unset."""

    def set_attributes(self, values: Mapping[str, Any], name: str, now: int) -> None:
        """Write attributes as of `now`; `name` is that of the write. What changes by it triggers nothing."""

    def emit(self, effect: CampaignEntered | Converted | Send | Suppressed) -> None:
        """Report an effect."""
