"""Inputs within the boundary around a key: all at once if nothing raises, else in parts, without what raises.

The caller decides what is made of inputs: a bundle makes rows, a preview nothing. See `faults` for the rule.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from transforms.campaigns.load import Definitions
from transforms.events.event import Event
from transforms.events.plain import quoted
from transforms.users.advance import fold
from transforms.users.effects import Effect, Faulted
from transforms.users.faults import PASSED, called, pass_time
from transforms.users.user import Input, Merge, User, Wake

__all__ = ["Aside", "Failed", "apart", "fold_apart"]


class _Has(Protocol):
    """What is made of inputs has the user after them."""

    @property
    def user(self) -> User: ...


Made = TypeVar("Made", bound=_Has)


class Aside(NamedTuple):
    """An input that raised by itself, for a user who stays as they were."""

    item: Input
    error: Exception


def apart(
    user: User,
    inputs: Sequence[Input],
    definitions: Definitions,
    make: Callable[[User, Sequence[Input], Sequence[Effect]], Made],
) -> Generator[tuple[Made, Sequence[Input]] | Aside, None, User]:
    """What inputs make of a user, each with the inputs that it was made of, and the inputs that are set aside. Returns
    the user at the end.

    Each is made of the user of the one before. If `make` raises, what it made is thrown away, so `make` must keep
    nothing.
    """
    made = _attempt(make, user, inputs)
    if not isinstance(made, Exception):
        yield made, inputs
        return made.user
    if len(inputs) > 1:  # by halves, which finds a few among many sooner than one by one does
        user = yield from apart(user, inputs[: len(inputs) // 2], definitions, make)
        return (yield from apart(user, inputs[len(inputs) // 2 :], definitions, make))
    if not inputs:
        return user
    # Without what fails as time comes to the input; else it is the input that fails.
    settled, passed = _pass_time(user, inputs[0], definitions)
    for some in (inputs, ()) if passed else ():
        again = _attempt(make, settled, some, passed)
        if not isinstance(again, Exception):
            yield again, some
            if some:
                return again.user
            user = again.user
            break
        made = again
    yield Aside(inputs[0], made)
    return user


def _attempt(
    make: Callable[[User, Sequence[Input], Sequence[Effect]], Made],
    user: User,
    inputs: Sequence[Input],
    before: Sequence[Effect] = (),
) -> Made | Exception:
    """What inputs make of a user, after the effects of `before`; or what was raised."""
    try:
        return make(user, inputs, before)
    except PASSED:
        raise
    except Exception as error:  # noqa: BLE001 - the boundary around a key
        return error


def _pass_time(user: User, item: Input, definitions: Definitions) -> tuple[User, list[Effect]]:
    """The user at the time of an input, with effects, if something of the user fails by time alone; else the user as it
    was.
    """
    historical = isinstance(item, Event | Wake | Merge) and item.historical
    try:
        settled, effects = pass_time(user, item.arrival, definitions, historical=historical)
    except PASSED:
        raise
    except Exception:  # noqa: BLE001 - then it is for the input to tell
        return user, []
    failed = any(isinstance(effect, Faulted) for effect in effects)
    return (settled, effects) if failed else (user, [])


class Failed:
    """What raised in folds without a store. Each is noted once, however often it is folded.

    `inputs` are set aside, as (key, id); `dropped` is what failed when its time came, as (key, what, time). `first`
    describes the first of all; it is empty if there is none.
    """

    def __init__(self) -> None:
        self.inputs: set[tuple[str, str]] = set()
        self.dropped: set[tuple[str, str, int]] = set()
        self.first = ""

    def note(self, key: str, aside: Aside) -> None:
        """Note an input that was set aside."""
        item, error = aside
        self.inputs.add((key, item.id))
        self.first = self.first or f"{called(item)} {quoted(item.id)} of {quoted(key)}: {type(error).__name__}: {error}"

    def note_dropped(self, key: str, effects: Iterable[Effect]) -> None:
        """Note what was dropped of a user."""
        for effect in effects:
            if isinstance(effect, Faulted):
                self.dropped.add((key, effect.what, effect.at))
                self.first = self.first or f"a {effect.what} of {quoted(key)}"


class _Folded(NamedTuple):
    user: User
    effects: list[Effect]


def fold_apart(
    user: User, inputs: Iterable[Input], definitions: Definitions, failed: Failed
) -> tuple[User, list[Effect]]:
    """As `fold`, but that what raises is left out, and noted.

    Raises:
      OlderDefinitions: the user was judged by newer ones.
    """

    def make(user: User, inputs: Sequence[Input], before: Sequence[Effect]) -> _Folded:
        user, effects = fold(user, inputs, definitions)
        return _Folded(user, [*before, *effects] if before else effects)

    effects: list[Effect] = []
    for found in apart(user, tuple(inputs), definitions, make):
        if isinstance(found, Aside):
            failed.note(user.id, found)
        else:
            (user, made), _ = found
            effects += made
    failed.note_dropped(user.id, effects)
    return user, effects
