"""A journey as a user's state holds it. Times are microseconds UTC."""

from typing import Any, NamedTuple

import msgspec

__all__ = ["Journey", "Subject"]


class Subject(NamedTuple):
    """What a send is part of: the entry, the user's id at entry, the variant, and the trigger's properties."""

    entry: str
    user: str
    variant: str | None
    event: dict[str, Any]


class Journey(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A journey that waits.

    `user` is the id at entry, `entered` the instant of entry, `since` the time from which on an event ends the journey:
    that of the event that triggered it, else the instant of the trigger. `waiting` is the id of the wait that began, or
    of the send that is held back; `due` is when it ends, `remaining_steps` the ids of the steps behind it. `event`
    holds the trigger's properties. `held` is when a send that is held back fell due, None in a wait. `each` tells
    journeys of one campaign apart (see `each_of`). `begun` is since when events can end a wait for one, else None; of a
    send that settles, since when they end a wait behind it.

    With `settling` facts may still come that let it go on before `due`. Where nothing is `waiting` then, it is the
    entry that is pending: `entered` is the instant of the trigger, and nobody has entered yet. `trigger` is the message
    id of the event that triggered it, as long as somebody may ask for it.
    """

    entry: str
    campaign: str
    user: str
    entered: int
    since: int
    waiting: str
    due: int
    remaining_steps: tuple[str, ...]
    event: dict[str, Any]
    held: int | None = None
    variant: str | None = None
    each: str = ""
    begun: int | None = None
    trigger: str | None = None
    settling: bool = False

    @property
    def is_pending(self) -> bool:
        """Whether it is still to be decided that it begins."""
        return self.settling and not self.waiting

    @property
    def next_step(self) -> str:
        """The id of the step that is decided next, empty where none is left, or the entry is pending."""
        if self.held is not None:
            return self.waiting
        return self.remaining_steps[0] if self.remaining_steps else ""

    @property
    def subject(self) -> Subject:
        """What its sends are part of."""
        return Subject(self.entry, self.user, self.variant, self.event)
