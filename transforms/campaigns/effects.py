"""What the state machine decides about messages. Times are microseconds since the epoch, UTC."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

__all__ = ["HOLDOUT", "CampaignEntered", "Converted", "Draw", "GoalUnit", "Send", "Suppressed"]


#: The name of the arm of users who are held out; no variant has it.
HOLDOUT = "holdout"


class Send(msgspec.Struct, frozen=True, tag="send", gc=False):
    """One message to one address, decided.

    `id` is the hash of campaign, user at entry, entry id, step id and, for push, the device token: a retry makes the
    same id.
    `address` is one that the channel makes of what is known of the user: a device token, a mailbox; empty where the
    message itself says where it goes.
    `attributes` are the user's at the time of the decision, `event` the properties of the event that triggered the
    campaign (empty for triggers by segment or time). `not_after` is when the send expires, `quiet` the hours of the
    user's day in which it must not go out (see `QuietHours`; None where there are none): Deliver checks both by the
    wall clock. `release` is that of the definitions that decided it: older ones may not know the campaign.
    `template_events` are the properties of the events that the campaign's `with` names, by these names; they are
    written as `given`, and left out where there are none. `held_since`, left out where it was not, is when the step
    fell due of a send that waited since then for facts about the user, or for quiet hours to be over.
    """

    id: str
    campaign: str
    entry: str
    step: str
    user: str
    channel: str
    message: str
    address: str
    decided_at: int
    not_after: int
    topic: str | None = None
    variant: str | None = None
    zone: str = "UTC"
    locale: str | None = None
    attributes: dict[str, Any] = {}
    event: dict[str, Any] = {}
    quiet: tuple[int, int] | None = None
    release: int = msgspec.field(default=0, name="serial")
    template_events: dict[str, Any] | UnsetType = msgspec.field(default=UNSET, name="given")
    held_since: int | UnsetType = UNSET

    @property
    def due(self) -> int:
        """When its step fell due: with what triggered it, or when a wait was over."""
        return self.decided_at if self.held_since is UNSET else self.held_since

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """What pickle writes, without `UNSET`: to find that, pickle looks through all modules, which costs a
        millisecond a send.
        """
        fields = msgspec.structs.astuple(self)
        if self.held_since is not UNSET:
            return _pickled, tuple(None if each is UNSET else each for each in fields)
        return Send, fields[:-2] if self.template_events is UNSET else fields[:-1]


def _pickled(*fields: Any) -> Send:
    named = zip(Send.__struct_fields__, fields, strict=True)
    return Send(**{name: value for name, value in named if name != "template_events" or value is not None})


class Suppressed(msgspec.Struct, frozen=True, tag="suppressed", gc=False):
    """A decision not to send, with its reason (docs/reference/reasons.md). `step` is empty for a refused entry."""

    campaign: str
    user: str
    reason: str
    at: int
    step: str = ""
    entry: str = ""


class Draw(msgspec.Struct, frozen=True, gc=False):
    """Under which percentages a user came into an arm: `split` is their name, which holdout and variants make, and
    `share` how many percent of all come into this arm, as a decimal.
    """

    split: str
    share: str


class GoalUnit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a goal keeps of a first entry, which is a unit of the campaign's comparison: when that was, the percentages
    of then (see `Draw`), and the sum of its values so far, in millionths; what 64 bits do not hold is cut.
    """

    entered: int
    split: str
    total: int = 0


class CampaignEntered(msgspec.Struct, frozen=True, tag="entered", gc=False):
    """A user began a journey, or was held out of it. `entry` is its id.

    Of a first entry, which fixes the arm, `draw` says how, and `goals` when each goal that it opened is complete; other
    entries have none.
    """

    campaign: str
    user: str
    entry: str
    at: int
    variant: str | None = None
    held_out: bool = False
    draw: Draw | None = None
    goals: tuple[tuple[str, int], ...] = ()


class Converted(msgspec.Struct, frozen=True, tag="converted", gc=False):
    """An event reached a goal of an entry, held out or not: the `first` counts, the value of each is added.

    `value` is the number that the goal asks for, 0 where the event has none. Of a first entry, `unit` is what the goal
    keeps of it now, `before` the sum of its values before this event, and `complete` when it can change no more.
    """

    campaign: str
    goal: str
    user: str
    entry: str
    at: int
    first: bool
    value: float = 0
    variant: str | None = None
    held_out: bool = False
    unit: GoalUnit | None = None
    before: int = 0
    complete: int = 0
