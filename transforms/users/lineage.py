"""Since when somebody is known, and which ids are one person: those taken over, and whose this one is now."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from transforms.campaigns.part import Lost, Part, Piece, PieceGroup
from transforms.users.user import ANONYMOUS, Owner, User

if TYPE_CHECKING:
    from transforms.users.editor import UserEditor

__all__ = ["Lineage"]


class Lineage(Part, msgspec.Struct, gc=False):
    """`created`, `first`, `merged`, `owner` and `former` of a user (see `User`), being changed."""

    fields = ("created", "first", "merged", "owner", "former")
    private = ("owner", "former")
    lasting = ("owner",)

    created: int | None
    first: int | None
    merged: tuple[str, ...]
    owner: Owner | None
    former: str

    @property
    def heard_of(self) -> int | None:
        """The first arrival under any of their user ids; None for somebody unknown."""
        return self.created if self.first is None else self.first

    def join(self, theirs: User, user: "UserEditor", _arrival: int) -> None:
        """The ids of both. `first` may become earlier by another user id, but not by an anonymous id."""
        self.merged = tuple(sorted({*self.merged, *theirs.merged, theirs.id} - {user.id}))
        mine, other = self.heard_of, theirs.created if theirs.first is None else theirs.first
        if not theirs.id.startswith(ANONYMOUS) and other is not None and mine is not None and other < mine:
            self.first = other

    def pieces(self, _clock: int) -> Iterator[Piece]:
        """Each id that was taken over."""
        for id_ in self.merged:
            yield Piece.of(0, PieceGroup.MERGED, "merged", id_, id_)

    def drop(self, lost: Lost, _user: Any) -> None:
        """Forget some ids: a deletion does not find them then."""
        self.merged = tuple(id_ for id_ in self.merged if id_ not in lost["merged"])
