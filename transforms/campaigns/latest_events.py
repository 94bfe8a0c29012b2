"""The newest events that templates see under the names of a campaign's `with`."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from transforms.campaigns.part import Lost, Part, Piece, PieceGroup
from transforms.events.event import Event
from transforms.identity.profile import Written, newest

__all__ = ["LatestEvents"]


class LatestEvents(Part, msgspec.Struct, gc=False):
    """The newest event by name, as (time, message id, properties), being changed."""

    fields: ClassVar[Mapping[str, str]] = {"latest_events": "kept"}

    kept: Mapping[str, Written]

    def add(self, event: Event) -> None:
        """Remember an event, unless a newer one is known."""
        self._put(event.name, (event.time, event.id, event.properties))

    def join(self, theirs: Any, _user: Any, _arrival: int) -> None:
        """Of each name the newest."""
        for name, written in theirs.latest_events.items():
            self._put(name, written)

    def pieces(self, _clock: int) -> Iterator[Piece]:
        """Each event."""
        for name, written in self.kept.items():
            yield Piece.of(written[0], PieceGroup.FACTS, "lasts", name, name, written)

    def drop(self, lost: Lost, _user: Any) -> None:
        """Forget some."""
        self.kept = {name: written for name, written in self.kept.items() if name not in lost["lasts"]}

    def _put(self, name: str, written: Written) -> None:
        self.kept = {**self.kept, name: newest(self.kept.get(name), written)}
