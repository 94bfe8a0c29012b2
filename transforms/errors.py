"""What commands end with: one hierarchy of errors, each with the exit code that scripts go by."""

from typing import ClassVar

__all__ = ["NotStarted", "RunFailed", "TodokeError", "WrongUse"]


class TodokeError(Exception):
    """Something failed, and its text says what. Each kind of failure that has a name of its own is one of these.

    `exit_code` is what a command ends with: 1 where the same may succeed another time.
    """

    exit_code: ClassVar[int] = 1

    def told(self, program: str) -> str:
        """What a command of a program writes before it ends: one line."""
        return f"{program}: {' '.join(str(self).split()) or type(self).__name__}"


class NotStarted(TodokeError):
    """Nothing was done, since what was asked cannot be, or not now: no repetition mends it."""

    exit_code: ClassVar[int] = 2


class WrongUse(NotStarted):
    """Flags or arguments that cannot be; the text says what to write instead."""


class RunFailed(TodokeError):
    """A run that ended without its work done; the text says why."""
