"""What becomes of the handles of a bundle's messages where the bundle makes inputs by itself."""

from collections.abc import Sequence

import msgspec

from transforms.events.live.inflight import InFlight
from transforms.users.effects import Forward

__all__ = ["held_back", "made_here"]


def made_here(forwards: Sequence[Forward]) -> list[Forward]:
    """The inputs that a bundle made by itself (pasts, taken tokens): no message has them."""
    return [each for each in forwards if not each.input.handle]


def held_back(
    in_flight: InFlight, forwards: list[Forward], ended: list[str], gone_on: list[str]
) -> tuple[list[Forward], list[str]]:
    """Acknowledge nothing of a bundle before the inputs that it made by itself have arrived.

    Else a kill in between would lose them, since what caused them does not come again. Returns the forwarded inputs, of
    which each has a handle now, and the handles that may be given out beside them.
    """
    bare = len(made_here(forwards))
    if not bare or not (ended or gone_on):
        return forwards, ended
    for handle in gone_on:
        in_flight.retain(handle)
    bound = in_flight.bind(ended + gone_on, bare)
    return [each if each.input.handle else _with_handle(each, bound) for each in forwards], []


def _with_handle(forward: Forward, handle: str) -> Forward:
    return Forward(forward.user, msgspec.structs.replace(forward.input, handle=handle))
