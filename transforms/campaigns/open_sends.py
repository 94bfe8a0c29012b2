"""The sends of one user of which no receipt has come yet."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from transforms.campaigns.caps import FAILED, CapHistory
from transforms.campaigns.effects import Send
from transforms.campaigns.part import Lost, Part, Piece, PieceGroup
from transforms.events.event import Event

__all__ = ["OpenSends"]


class OpenSends(Part, msgspec.Struct, gc=False):
    """Decided sends by id, being changed. A merge does not take them over: their receipts name this user."""

    fields: ClassVar[Mapping[str, str]] = {"sends": "by_id"}
    private = ("sends",)

    by_id: Mapping[str, Send]

    def add(self, sends: Iterable[Send]) -> None:
        """Note sends that are decided now."""
        self.by_id = {**self.by_id, **{send.id: send for send in sends}}

    def close(self, receipt: Event, cap_history: CapHistory) -> None:
        """Forget a send whose receipt has come. One that certainly failed counts for no frequency cap."""
        send = str(receipt.properties.get("send"))
        self._forget({send})
        if receipt.properties.get("kind") in FAILED:
            cap_history.give_back(send)

    def pieces(self, clock: int) -> Iterator[Piece]:
        """Each send; one that has expired goes before everything else."""
        for id_, send in self.by_id.items():
            group = PieceGroup.OPEN if send.not_after >= clock else PieceGroup.EXPIRED
            yield Piece.of(send.decided_at, group, "sends", id_, id_, send)

    def drop(self, lost: Lost, _user: Any) -> None:
        """Forget some, without a report."""
        self._forget(lost["sends"])

    def _forget(self, ids: Collection[str]) -> None:
        self.by_id = {id_: send for id_, send in self.by_id.items() if id_ not in ids}
