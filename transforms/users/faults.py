"""The boundary around a key: an error of one user's inputs, state or conditions ends with that user.

Nobody foresaw such an error, so nothing is assumed about it. What was being made is thrown away whole, and made again
from the user as it was, with fewer inputs. An input that raises by itself is set aside. If the passing of time raises,
what fell due is dropped.
"""

import logging
import traceback
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from transforms.campaigns.load import Definitions
from transforms.campaigns.part import Part
from transforms.campaigns.release import OlderDefinitions
from transforms.events.dead_letter import DeadLetter
from transforms.events.event import RECEIPT, Event
from transforms.events.plain import quoted
from transforms.logs import fields
from transforms.storage.store import StoreError
from transforms.users.accounts import accounts_of
from transforms.users.advance import fold
from transforms.users.control import encode_inputs_control
from transforms.users.editor import UserEditor
from transforms.users.effects import Account, Effect, Faulted
from transforms.users.parts import PARTS
from transforms.users.user import (
    Announcement,
    Input,
    Merge,
    OwnerDeleted,
    Seed,
    TokenReassigned,
    User,
    Wake,
    decode_user,
)

__all__ = [
    "BAD_STATE",
    "INTERNAL",
    "PASSED",
    "Unreadable",
    "called",
    "dead_letter_of",
    "open_user",
    "pass_time",
    "set_aside",
    "traced",
]

_log = logging.getLogger(__name__)

#: The cause of an input that raised by itself, and of one whose user's state cannot be read.
INTERNAL, BAD_STATE = "internal", "bad_state"
#: Errors of the store, of definitions that are too old, and of the machine: no fault of the user. They fail the bundle.
PASSED = (StoreError, OlderDefinitions, MemoryError, OSError)
#: Characters of a traceback that a dead letter keeps, the last.
_TOLD = 8_000

#: How inputs are called in counts and logs.
_NAMES = {
    Wake: "wake",
    Merge: "merge",
    Seed: "seed",
    TokenReassigned: "token",
    Announcement: "announcement",
    OwnerDeleted: "deletion",
}


class Unreadable(NamedTuple):
    """A user whose state cannot be read, and why: it is left as it is, and inputs for it are set aside."""

    detail: str


def open_user(name: str, state: bytes) -> User | Unreadable:
    """The user of a state that is stored under a name."""
    try:
        user = decode_user(state)
    except PASSED:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the bytes
        return Unreadable(f"the state of {quoted(name)} cannot be read: {error}")
    return user if user.id == name else Unreadable(f"under {quoted(name)} there is the state of {quoted(user.id)}")


def pass_time(user: User, until: int, definitions: Definitions, *, historical: bool) -> tuple[User, list[Effect]]:
    """Let time pass, as a `Wake` does, and drop what fails (a leaf, a wait, an occurrence, a session).

    Raises:
      Exception: something else fails, which no time can pass by.
    """
    effects: list[Effect] = []
    while (due := PARTS.deadline_of(user)) is not None and due <= until:
        wake = Wake(due, historical=historical)
        try:
            user, made = fold(user, (wake,), definitions)
        except PASSED:
            raise
        except Exception:  # noqa: BLE001 - it is logged where the input is that brought the time
            user, made = _without_faults(user, wake, definitions)
        effects += made
        if (after := PARTS.deadline_of(user)) is not None and after <= due:
            break
    return user, effects


class _Due(NamedTuple):
    """Something of a part that falls due: its kind as reports call it, and its key."""

    part: str
    kind: str
    key: Any


def _without_faults(user: User, wake: Wake, definitions: Definitions) -> tuple[User, list[Effect]]:
    """Let time come to an instant, and drop as little of what falls due then as possible."""
    all_due = [_Due(name, *due) for name, part in PARTS.items() for due in part.due_of(user, wake.arrival)]
    dropped = set(all_due)
    after = _passed(user, wake, definitions, dropped)
    for due in all_due:
        try:
            after = _passed(user, wake, definitions, dropped - {due})
        except PASSED:
            raise
        except Exception:  # noqa: BLE001 - so this one stays dropped
            continue
        dropped.remove(due)
    names = ", ".join(f"{due.kind} {due.key}" for due in dropped)
    _log.error("of %s fails and is dropped: %s", quoted(user.id), names, extra=fields(reason=INTERNAL))
    return after


def _passed(user: User, wake: Wake, definitions: Definitions, dropped: Iterable[_Due]) -> tuple[User, list[Effect]]:
    editor = UserEditor(user, definitions)
    editor.clock = max(editor.clock, wake.arrival)
    for due in sorted(dropped, key=str):  # a set has no order that lasts
        editor.emit(Faulted(editor.id, due.kind, editor.clock))
        part: Part = getattr(editor, due.part)
        part.skip_due(due.key, editor)
    after, made = fold(editor.close(), (wake,), definitions)
    return after, editor.effects + made


def called(item: Input) -> str:
    """What an input is."""
    return item.type if isinstance(item, Event) else _NAMES[type(item)]


def set_aside(key: str, item: Input, cause: str) -> Iterable[Account]:
    """The accounts of an input that is not applied."""
    if isinstance(item, Event):
        return (_bare(account) for account in accounts_of(key, item, "dead_letter", cause))
    if isinstance(item, Seed) or item.control:
        return (Account("dead_letter", item.id, cause, control=True),)
    return ()


def _bare(account: Account) -> Account:
    """Without the event, for which there is another dead letter."""
    return msgspec.structs.replace(account, event=None)


def dead_letter_of(key: str, item: Input, cause: str, detail: str) -> DeadLetter:
    """An input as a dead letter: an event as JSON, any other input as its message of the control topic."""
    if isinstance(item, Event) and item.type != RECEIPT:
        said = {name: value for name, value in msgspec.structs.asdict(item).items() if name != "handle"}
        payload = msgspec.json.encode(said)
    else:
        payload = encode_inputs_control(key, [msgspec.structs.replace(item, handle="")])
    return DeadLetter(payload, "advance", cause, detail, item.arrival, item.handle)


def traced(error: Exception) -> str:
    """The traceback of an error, its end where it is long."""
    return "".join(traceback.format_exception(error))[-_TOLD:]
