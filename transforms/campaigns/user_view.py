"""What campaigns read of a user, and do to one."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from transforms.campaigns.effects import CampaignEntered, Converted, Send, Suppressed
from transforms.identity.profile import Profile
from transforms.segments.leaves import LeafState

if TYPE_CHECKING:  # parts name what they see of a user, too
    from transforms.campaigns.caps import CapHistory
    from transforms.campaigns.engine import JourneyEngine
    from transforms.campaigns.goals import Goals
    from transforms.campaigns.journeys import Journeys
    from transforms.campaigns.latest_events import LatestEvents
    from transforms.campaigns.load import Definitions
    from transforms.campaigns.open_sends import OpenSends
    from transforms.campaigns.recent import Recent

__all__ = ["UserView"]


class UserView(Protocol):
    """An open user as campaigns see one: what it is known by, and the parts that are theirs.

    `cap_history` are the messages that caps count, `latest_events` the newest that templates see, `recent` those that
    exits, waits and goals ask for, `sends` those that are open.
    """

    id: str
    clock: int
    definitions: "Definitions"
    journeys: "Journeys"
    goals: "Goals"
    cap_history: "CapHistory"
    latest_events: "LatestEvents"
    recent: "Recent"
    sends: "OpenSends"

    @property
    def engine(self) -> "JourneyEngine":
        """What moves the journeys."""

    @property
    def profile(self) -> Profile:
        """What is known."""

    @property
    def truths(self) -> Mapping[int, LeafState]:
        """The states of leaves by key, each read when it is first asked for."""

    @property
    def warming(self) -> frozenset[int]:
        """The activations of which a seed is still to come."""

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

    @property
    def emit(self) -> Callable[[CampaignEntered | Converted | Send | Suppressed], None]:
        """Reports an effect."""
