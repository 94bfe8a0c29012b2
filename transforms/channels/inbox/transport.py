"""The in-app inbox: rows of the store, which an app's server reads and shows."""

import asyncio
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from transforms.campaigns.effects import Send
from transforms.channels.channel import Opening, OutboxLine, Transport, line_head
from transforms.channels.inbox.message import RenderedInbox, ShownOn
from transforms.channels.outcome import Outcome
from transforms.channels.settings import MailSettings
from transforms.messages.render import Rendered
from transforms.segments.values import SECOND
from transforms.storage.inbox import Inbox as InboxTable
from transforms.storage.rows import InboxRow

__all__ = ["TRANSPORT", "InboxLine", "InboxSender", "inbox_row"]


class InboxSender:
    """The inbox channel. A row is named by its send, so that writing it again changes nothing."""

    def __init__(self, store: InboxTable) -> None:
        self._store = store

    def make(self, send: Send, rendered: Rendered) -> InboxRow:
        """The row of a message."""
        if not isinstance(rendered, RenderedInbox):
            raise TypeError(f"send {send.id}: it is no inbox message")
        return inbox_row(send, rendered)

    async def send(self, send: Send, made: InboxRow) -> Outcome:  # noqa: ARG002
        """Write one row.

        Raises:
          StoreError: the store goes on refusing.
        """
        await asyncio.to_thread(self._store.write_inbox, [made])
        return Outcome.handed_off("inbox")

    async def close(self) -> None:
        """Nothing is to be closed: the store is others', too."""


class InboxLine(OutboxLine, frozen=True, kw_only=True):
    """One line of `inbox*.jsonl`; `expires` is in seconds after the decision, null for never. What stands after it is
    left out where there is none.
    """

    title: str
    body: str
    image: str | None
    deep_link: str | None
    data: dict[str, Any]
    expires: int | None
    placement: str | UnsetType = UNSET
    trigger: ShownOn | UnsetType = UNSET
    locale: str | UnsetType = UNSET


def _open(opening: Opening) -> InboxSender:
    assert opening.store is not None
    return InboxSender(opening.store)


def _show(send: Send, message: RenderedInbox, _settings: MailSettings) -> InboxLine:
    said = msgspec.structs.asdict(message)
    return InboxLine(
        **line_head(send), **said | {name: said[name] or UNSET for name in ("placement", "trigger", "locale")}
    )


TRANSPORT = Transport(_open, _show)


def inbox_row(send: Send, message: RenderedInbox) -> InboxRow:
    """A message as the inbox holds it, as of the decision."""
    return InboxRow(
        user=send.user,
        at=send.decided_at,
        send=send.id,
        campaign=send.campaign,
        step=send.step,
        title=message.title,
        body=message.body,
        image=message.image or "",
        deep_link=message.deep_link or "",
        data=msgspec.json.encode(message.data),
        expires=0 if message.expires is None else send.decided_at + message.expires * SECOND,
        placement=message.placement,
        trigger=b"" if message.trigger is None else msgspec.json.encode(message.trigger),
        locale=message.locale,
    )
