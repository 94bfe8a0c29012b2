"""Handing one message to a channel, as a courier does."""

from typing import Any

from transforms.channels.outcome import Outcome

__all__ = ["Whole", "hand_over"]


async def hand_over(channel: Any, send: Any, rendered: Any) -> Outcome:
    """Make a message and hand it over, unless it cannot be made."""
    made = channel.make(send, rendered)
    return made if isinstance(made, Outcome) else await channel.send(send, made)


class Whole:
    """A channel that hands over what was rendered."""

    def make(self, send: Any, rendered: Any) -> Any:
        return rendered

    async def close(self) -> None:
        pass
