"""What made something of a user change."""

import msgspec

from transforms.events.event import SET, TOKEN_LOST, Event

__all__ = ["Trigger", "trigger_of"]


class Trigger(msgspec.Struct, frozen=True, gc=False):
    """Why something changed: `kind` is event, time, historical, merge, token, seed, definition, step or truncated.

    Only `event` and `time` trigger a campaign. A trigger of a `historical` change is refused, with that reason.
    """

    kind: str
    event: Event | None = None

    @property
    def age(self) -> int:
        """How old the trigger was when it arrived, in microseconds; zero for triggers by time."""
        return self.event.arrival - self.event.time if self.event is not None else 0


#: Events that only the archive has trigger nothing when they are read again, since they triggered nothing before.
_QUIET = {SET: "step", TOKEN_LOST: "token"}


def trigger_of(event: Event) -> Trigger:
    """The trigger that an event is."""
    return Trigger("historical" if event.historical else _QUIET.get(event.type, "event"), event)
