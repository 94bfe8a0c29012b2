"""How messages end: what is said of each."""

from transforms.events.event import RECEIPT, Event
from transforms.identity.profile import FOLLOWED
from transforms.users.editor import UserEditor
from transforms.users.effects import Account
from transforms.users.user import Announcement, Merge, OwnerDeleted, TokenReassigned, Wake

__all__ = ["ORDERED", "account", "account_control", "accounts_of", "close_send", "makes_known"]

#: Stands in the `group` of a deletion that came by the control topic, where no call has one: it is accounted there.
ORDERED = "ordered"


def accounts_of(user: str, event: Event, outcome: str, cause: str = "") -> tuple[Account, ...]:
    """How a message ended. An alias goes to two users; only the one with the previous id says how it ended."""
    if event.type == "alias" and event.previous not in (user, event.user):
        return ()
    return (Account(outcome, event.id, cause, event if cause else None, control=_is_control(event)),)


def _is_control(event: Event) -> bool:
    return event.type == RECEIPT or (event.type == "delete" and event.group == ORDERED)


def account(editor: UserEditor, event: Event, outcome: str) -> None:
    """Say how a message ended."""
    for each in accounts_of(editor.id, event, outcome):
        editor.emit(each)


def makes_known(event: Event) -> bool:
    """Whether an event makes somebody known of whom nothing is: what became of a send does not, who follows is."""
    return event.type != RECEIPT or event.properties.get("kind") == FOLLOWED


def close_send(editor: UserEditor, event: Event) -> None:
    """Close the open send that an event is a receipt of, if it is one."""
    if event.type == RECEIPT:
        editor.sends.close(event, editor.cap_history)


def account_control(editor: UserEditor, item: Wake | Merge | TokenReassigned | Announcement | OwnerDeleted) -> None:
    """Say how a message of the control topic ended."""
    if item.control:
        editor.emit(Account("applied", item.id, control=True))
