"""What a look at one thing found, and looks that end in time."""

import threading
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Literal, NamedTuple

import msgspec
from google.api_core.exceptions import GoogleAPIError

from transforms.account import UNREADABLE
from transforms.errors import TodokeError

__all__ = ["LOOK_SECONDS", "Finding", "Look", "look_at_all"]

#: How long all looks may take together, in seconds: they go on side by side.
LOOK_SECONDS = 15.0
#: How a look may fail that foresaw less: the rest is reported. Only our own errors are quoted; others may hold secrets.
_KNOWN = (TodokeError, GoogleAPIError, *UNREADABLE)


class Finding(msgspec.Struct, frozen=True):
    """What was found of one thing.

    `state` is `ok`; `missing` for what must be mended; `note` for what is not needed for what was asked, or might be
    better; `unseen` for what could not be looked at. `needed`: it is asked for, so that not having seen it is a failure
    too. `todo` says what to do.
    """

    what: str
    state: Literal["ok", "missing", "note", "unseen"]
    found: str
    todo: str = ""
    needed: bool = False

    @property
    def fails(self) -> bool:
        """Whether a job would fail of it, as far as is known."""
        return self.state == "missing" or (self.state == "unseen" and self.needed)


class Look(NamedTuple):
    """A look at one thing: its name, how to look, and whether it was asked for."""

    what: str
    look: Callable[[], Iterable[Finding]]
    needed: bool = False


class _Looking(threading.Thread):
    """A look in a thread that holds up nobody: what never answers ends with the process."""

    def __init__(self, look: Look) -> None:
        super().__init__(name=look.what, daemon=True)
        self._look = look
        self._found: list[Finding] | None = None
        self._raised: BaseException | None = None

    def run(self) -> None:
        try:
            self._found = list(self._look.look())
        except _KNOWN as error:
            what, _, needed = self._look
            said = str(error) if isinstance(error, TodokeError) else type(error).__name__
            self._found = [Finding(what, "unseen", f"could not be looked at: {said}", needed=needed)]
        except BaseException as error:  # noqa: BLE001 - raised again by `findings`
            self._raised = error

    def findings(self, patience: float) -> list[Finding]:
        """What was found, in so many seconds at most."""
        self.join(max(0.0, patience))
        if self._raised is not None:
            raise self._raised
        if self._found is None:
            what, _, needed = self._look
            return [Finding(what, "unseen", "no answer in time", "is there a network?", needed)]
        return self._found


def look_at_all(looks: Sequence[Look], patience: float = LOOK_SECONDS) -> list[Finding]:
    """Look at everything at once; what has not answered after `patience` seconds was not seen."""
    threads = [_Looking(look) for look in looks]
    for thread in threads:
        thread.start()
    until = monotonic() + patience
    return [finding for thread in threads for finding in thread.findings(until - monotonic())]
