"""Parts of a user's state: one protocol by which each is opened, changed, joined, cut and packed again.

A stored user is one flat record (`users.user.User`). Each part owns some of its fields, which no other code touches;
`users.parts.PARTS` is the table of all parts. A part is made of the values of its fields, which it never changes in
place, and knows no other part: where it needs more than its own, it is given the user for the length of a call, so that
nothing refers in a circle. Times are microseconds UTC.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import msgspec

if TYPE_CHECKING:
    from transforms.campaigns.trigger import Trigger

__all__ = ["Lost", "Part", "Piece", "PieceGroup"]


class PieceGroup(IntEnum):
    """The group of a piece. If a state is too large, the groups go one after the other.

    First sends that have expired: they went to Deliver, and only their receipts are missing. Then evidence of
    conditions, what is known of the user, what is on its way, what keeps Todoke from sending what it must not, and what
    a deletion has to find.
    """

    EXPIRED = -1
    EVIDENCE = 0
    FACTS = 1
    OPEN = 2
    GUARDS = 3
    MERGED = 4


class Piece(NamedTuple):
    """Something of a part that can be dropped: its time, its kind as reports call it, its key, and its size
    in bytes.
    """

    time: int
    group: PieceGroup
    kind: str
    key: Any
    size: int

    @classmethod
    def of(cls, time: int, group: PieceGroup, kind: str, key: Any, *content: Any) -> Self:
        """A piece as large as its content is when encoded."""
        return cls(time, group, kind, key, sum(len(msgspec.msgpack.encode(each)) for each in content))


#: The keys of the pieces that a state has no room for, by kind; a kind that loses nothing is empty.
Lost = Mapping[str, set[Any]]


class Part:
    """One part of a user's state, being changed. A part overrides what concerns it.

    A part may have any working form. If its attributes hold the stored values as they are, it needs no `pack`.

    In each method `user` is the open user (`users.editor.UserEditor`; what campaigns see of it is a `UserView`).
    """

    __slots__ = ()

    #: The stored fields that this part owns, in the order of `__init__` and `pack`. A mapping says by which attributes
    #: the working form has them, where these are called otherwise.
    fields: ClassVar[tuple[str, ...] | Mapping[str, str]] = ()
    #: Those that a past does not carry to the user into whom this one is merged.
    private: ClassVar[tuple[str, ...]] = ()
    #: Those that stay when a state is emptied, since nothing else made it small enough. A deletion leaves none.
    lasting: ClassVar[tuple[str, ...]] = ()
    #: What `__init__` is given after their values: of `definitions`, by which the user is changed, or `effects`, to
    #: which a part may add what happens to the user.
    given: ClassVar[tuple[str, ...]] = ()

    def pack(self, _clock: int) -> Sequence[Any]:
        """The values of `fields` after all changes up to the user's clock."""
        fields = self.fields
        return [getattr(self, fields[name] if isinstance(fields, Mapping) else name) for name in fields]

    @staticmethod
    def deadline_of(_stored: Any) -> int | None:
        """When something of a stored user falls due by time alone in this part; None if nothing does."""
        return None

    @property
    def deadline(self) -> int | None:
        """When something of this open part falls due by time alone; None if nothing does."""
        return None

    def take_due(self, _due: int) -> Any:
        """Take what falls due at an instant, which is `deadline`; nothing if the deadline has moved meanwhile."""
        return None

    def come_due(self, taken: Any, due: int, user: Any, trigger: "Trigger") -> None:
        """Bring about what `take_due` took, together with what else of the user fell due at that instant."""

    @staticmethod
    def due_of(_stored: Any, _until: int) -> Iterable[tuple[str, Any]]:
        """What of a stored user falls due up to an instant in this part: its kind as reports call it, and its key."""
        return ()

    def skip_due(self, key: Any, user: Any) -> None:
        """Drop something that `due_of` named, since bringing it about fails."""

    def redefine(self, user: Any, trigger: "Trigger") -> None:
        """Go on by other definitions than the user was judged by. That lets nobody into a campaign."""

    def join(self, theirs: Any, user: Any, arrival: int) -> None:
        """Take over what another stored user had, whose past came at `arrival`. Doing so again changes nothing."""

    def pieces(self, _clock: int) -> Iterable[Piece]:
        """What may be dropped, at the user's clock."""
        return ()

    def drop(self, lost: Lost, user: Any) -> None:
        """Drop some pieces. `lost` also has the kinds of other parts."""
