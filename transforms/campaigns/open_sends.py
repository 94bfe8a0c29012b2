"""The sends of one user of which no receipt has come yet."""

from collections.abc import Iterator, Mapping
from typing import Any

from transforms.campaigns.caps import FAILED, CapHistory
from transforms.campaigns.effects import Send
from transforms.campaigns.part import Lost, Part, Piece, PieceGroup
from transforms.events.event import Event

__all__ = ["OpenSends"]


class OpenSends(Part):
    """Decided sends by id, being changed. A merge does not take them over: their receipts name this user."""

    fields = private = ("sends",)
    __slots__ = ("by_id",)

    def __init__(self, sends: Mapping[str, Send]) -> None:
        self.by_id = dict(sends)

    def close(self, receipt: Event, cap_history: CapHistory) -> None:
        """Forget a send whose receipt has come. One that certainly failed counts for no frequency cap."""
        send = str(receipt.properties.get("send"))
        self.by_id.pop(send, None)
        if receipt.properties.get("kind") in FAILED:
            cap_history.give_back(send)

    def pack(self, _clock: int) -> tuple[dict[str, Send]]:
        """All of them."""
        return (dict(self.by_id),)

    def pieces(self, clock: int) -> Iterator[Piece]:
        """Each send; one that has expired goes before everything else."""
        for id_, send in self.by_id.items():
            group = PieceGroup.OPEN if send.not_after >= clock else PieceGroup.EXPIRED
            yield Piece.of(send.decided_at, group, "sends", id_, id_, send)

    def drop(self, lost: Lost, _user: Any) -> None:
        """Forget some, without a report."""
        for id_ in lost["sends"]:
            del self.by_id[id_]
