"""How much of a user's state was dropped, since it was too large."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from transforms.campaigns.part import Part
from transforms.users.effects import Truncated

if TYPE_CHECKING:
    from transforms.users.editor import UserEditor

__all__ = ["Truncation"]


class Truncation(Part, msgspec.Struct, gc=False):
    """The number of pieces that a user has lost, being changed."""

    fields = private = lasting = ("truncated",)

    truncated: int

    def count(self, lost: Mapping[str, int], user: "UserEditor") -> None:
        """Count what is dropped, and report it by kind."""
        for kind, count in sorted(lost.items()):
            self.truncated += count
            user.emit(Truncated(user.id, kind, count, user.clock))
