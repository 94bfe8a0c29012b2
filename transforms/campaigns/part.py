"""Parts of a user's state: one protocol by which each is opened, changed, joined, cut and packed again.

What is stored of a user is one flat record (`users.user.User`). Each part owns some of its fields and nobody else
touches them; `users.parts.PARTS` is the table of all. A part is made of the values of its fields, which it never
changes in place, and knows no other part: where it needs more than its own, it is given the user for the length of a
call, so that nothing refers in a circle. Times are microseconds UTC.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import msgspec

if TYPE_CHECKING:
    from transforms.campaigns.trigger import Trigger

__all__ = ["Lost", "Part", "Piece", "PieceGroup"]


class PieceGroup(IntEnum):
    """What a piece is of: the groups go one after the other where a state is too large.

    First sends that have expired: they went out to Deliver, and nothing but word of them is missing. Then conditions'
    memory, what is known of the user, what is on its way, what keeps us from sending what we must not, and what a
    deletion has to find.
    """

    EXPIRED = -1
    EVIDENCE = 0
    FACTS = 1
    OPEN = 2
    GUARDS = 3
    MERGED = 4


class Piece(NamedTuple):
    """Something of a part that can be dropped: how old it is, its kind as reports call it, its key, and its bytes."""

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
    """One part of a user's state, being changed. What a part has no say in is left as it stands here.

    The working form may be any; where attributes have what is stored as it is, `pack` need not be written.

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
        """When something of it falls due by time alone, as stored; None where nothing does."""
        return None

    @property
    def deadline(self) -> int | None:
        """The same, of what is open."""
        return None

    def take_due(self, _due: int) -> Any:
        """What falls due at an instant, which is `deadline`; nothing where the deadline had moved meanwhile."""
        return None

    def come_due(self, taken: Any, due: int, user: Any, trigger: "Trigger") -> None:
        """Bring about what was taken by `take_due`, with what else of the user fell due at that instant."""

    @staticmethod
    def due_of(_stored: Any, _until: int) -> Iterable[tuple[str, Any]]:
        """What falls due by an instant, as stored: what it is as reports call it, and its key."""
        return ()

    def skip_due(self, key: Any, user: Any) -> None:
        """Do without something of `due_of`, since bringing it about fails."""

    def redefine(self, user: Any, trigger: "Trigger") -> None:
        """Go on by other definitions than the user was judged by; that lets nobody into a campaign."""

    def join(self, theirs: Any, user: Any, arrival: int) -> None:
        """Take over what another user had, as stored, which came at `arrival`; doing so again changes nothing."""

    def pieces(self, _clock: int) -> Iterable[Piece]:
        """What may be dropped, at the user's clock."""
        return ()

    def drop(self, lost: Lost, user: Any) -> None:
        """Do without some pieces, the kinds of others among them."""
