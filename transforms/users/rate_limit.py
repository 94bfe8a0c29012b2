"""Ids that are not one person: a key with too many messages a minute, an anonymous id with too many users.

What goes beyond is set aside as a dead letter, `hot_id`: one such key would hold up its worker, and one such device
would make one user of many.
"""

from transforms.events.event import Event
from transforms.users.editor import UserEditor
from transforms.users.effects import Account
from transforms.users.seen import hash_message

__all__ = ["HOT_ID", "MOST_A_MINUTE", "MOST_OWNERS", "is_shared", "is_too_fast"]

#: The cause of such a dead letter.
HOT_ID = "hot_id"
#: Messages of one key that arrive in one minute, and users whom one anonymous id was named with.
MOST_A_MINUTE, MOST_OWNERS = 1_000, 20

_MINUTE = 60_000_000
#: Deletions are always obeyed, receipts are ours, and an alias is accounted for elsewhere.
_COUNTED = ("track", "page", "screen", "identify", "group")


def is_too_fast(editor: UserEditor, event: Event) -> bool:
    """Whether an event that is no duplicate is beyond what one key may have in the minute of its arrival.

    If so it is accounted for. History comes as fast as it is read, and one from before the newest minute was late.
    """
    minute, (newest, count) = event.arrival // _MINUTE, editor.rate_window
    if event.historical or event.type not in _COUNTED or minute < newest:
        return False
    count = count + 1 if minute == newest else 1
    editor.rate_window = (minute, count)
    return count > MOST_A_MINUTE and _set_aside(editor, event)


def is_shared(editor: UserEditor, event: Event) -> bool:
    """Whether an anonymous id has been named with too many users, this event's among them, for good.

    If so the event is accounted for, whoever it is of.
    """
    if event.user is not None and len(editor.owners) <= MOST_OWNERS:
        editor.owners = tuple(dict.fromkeys((*editor.owners, hash_message(event.user))))
    return len(editor.owners) > MOST_OWNERS and _set_aside(editor, event)


def _set_aside(editor: UserEditor, event: Event) -> bool:
    editor.emit(Account("dead_letter", event.id, HOT_ID, event))
    return True
