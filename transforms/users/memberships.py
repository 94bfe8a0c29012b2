"""The segments that a user is in: what follows from the truth of leaves, carried on to journeys."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from transforms.campaigns.part import Part
from transforms.campaigns.trigger import Trigger
from transforms.users.effects import SegmentEntered, SegmentLeft
from transforms.users.user import pack_members, read_members

if TYPE_CHECKING:
    from transforms.users.editor import UserEditor

__all__ = ["Memberships"]


class Memberships(Part, msgspec.Struct, gc=False):
    """Since when a user is in each segment, being changed; read when first asked for, which few inputs do."""

    fields = private = ("packed_members",)

    _packed: msgspec.Raw
    _members: dict[str, int] | None = None

    @property
    def now(self) -> dict[str, int]:
        """Segment to since, to be changed in place."""
        if self._members is None:
            self._members = read_members(self._packed)
        return self._members

    def pack(self, _clock: int) -> tuple[msgspec.Raw]:
        """All of them. Memberships that nobody read are copied, so that they do not keep the whole encoded
        state alive.
        """
        return (self._packed.copy() if self._members is None else pack_members(self._members),)

    def resolve(
        self,
        changed: Iterable[int],
        user: "UserEditor",
        trigger: Trigger,
        *,
        first: bool = False,
        warmed: bool = False,
    ) -> None:
        """Carry changed leaves to segments, in dependency order, and changed segments to journeys.

        With `first`, memberships start from those of a user about whom nothing is known. With `warmed`, other versions
        of conditions may answer than before.
        """
        index, now = user.index, user.clock
        queue = {rank for key in changed for rank in index.dependents.get(key, ())}
        if warmed:
            queue.update(index.may_warm)
        if not queue and not first:  # most inputs, and then nobody has to read the memberships
            return
        members = self.now
        if first:
            members.update((index.order[rank], now) for rank in index.at_first)
        entered, left = index.update(members, user.truths, user.seeds.tests, sorted(queue), now)
        if first:
            entered, left = sorted(members, key=index.rank.__getitem__), []
        self._report(entered, left, user, trigger)
        if (entered or left) and (user.journeys.active or user.definitions.routes.asks_segments(entered, left)):
            user.engine.on_segments(entered, left, trigger, now)

    def leave_all(self, user: "UserEditor", cause: str) -> None:
        """Leave every segment because this user ceases to be one of its own."""
        self._report((), sorted(self.now, key=user.index.rank.__getitem__), user, Trigger(cause))
        self._members = {}

    def redefine(self, user: "UserEditor", trigger: Trigger) -> None:
        """Ask every segment anew. A member who stays one keeps the time of entry."""
        before, after, index = self.now, dict[str, int](), user.index
        self._members = after
        for name, test in zip(index.order, user.seeds.tests, strict=True):
            if test(user.truths, after):
                after[name] = before.get(name, user.clock)
        entered, left = [name for name in after if name not in before], [name for name in before if name not in after]
        self._report(entered, left, user, trigger)

    def join(self, _theirs: Any, user: "UserEditor", _arrival: int) -> None:
        """Memberships are not taken over: they follow from what was joined."""
        user.resolve(Trigger("merge"))

    def _report(self, entered: Iterable[str], left: Iterable[str], user: "UserEditor", trigger: Trigger) -> None:
        for name in entered:
            user.emit(SegmentEntered(name, user.id, user.clock, trigger.kind))
        for name in left:
            user.emit(SegmentLeft(name, user.id, user.clock, trigger.kind))
