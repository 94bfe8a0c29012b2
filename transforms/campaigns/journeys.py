"""The journeys of one user as they are kept, and what is to be decided of them at the end of an instant.

How they are moved stands in `engine`. Times are microseconds UTC.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from transforms.campaigns.entry import Entry
from transforms.campaigns.journey import Journey
from transforms.campaigns.part import Lost, Part, Piece, PieceGroup

if TYPE_CHECKING:
    from transforms.campaigns.trigger import Trigger
    from transforms.campaigns.user_view import UserView

__all__ = ["Journeys", "Task"]


class Task(NamedTuple):
    """Something that falls due now, for a campaign; those of a lower `rank` go first."""

    rank: tuple[int, str, bool, int]
    run: Callable[[int], None]


class Journeys(Part):
    """The journeys that wait and the last entries of one user, being changed.

    `tasks` are to be decided at the end of this instant. `wrote`: a step wrote attributes, so pending entries must be
    asked again.
    """

    fields: ClassVar[Mapping[str, str]] = {"journeys": "active", "entries": "entries"}
    __slots__ = ("active", "entries", "tasks", "wrote")

    def __init__(self, active: Mapping[str, Journey], entries: Mapping[str, Entry]) -> None:
        self.active = dict(active)
        self.entries = dict(entries)
        self.tasks: list[Task] = []
        self.wrote = False

    def add_task(self, priority: int, campaign: str, run: Callable[[int], None], *, first: bool) -> None:
        """Note something to be decided, in the order of priority, then campaign; with `first`, before anything else of
        its campaign.
        """
        self.tasks.append(Task((priority, campaign, not first, len(self.tasks)), run))

    def take_tasks(self) -> list[Task]:
        """The tasks, in their order. They are taken off the list."""
        tasks, self.tasks = sorted(self.tasks, key=lambda task: task.rank), []
        return tasks

    @staticmethod
    def deadline_of(stored: Any) -> int | None:
        """When the first wait is over, as stored."""
        return min((journey.due for journey in stored.journeys.values()), default=None)

    @property
    def deadline(self) -> int | None:
        """When the first wait is over."""
        if not self.active:  # nearly always, and asked for every input
            return None
        return min(journey.due for journey in self.active.values())

    def take_due(self, due: int) -> set[str]:
        """The entries of the journeys whose wait is over."""
        return {entry for entry, journey in self.active.items() if journey.due == due} if self.active else set()

    def come_due(self, taken: set[str], due: int, user: "UserView", _trigger: "Trigger") -> None:
        """Let these journeys go on."""
        user.engine.resume(taken, due)

    @staticmethod
    def due_of(stored: Any, until: int) -> Iterator[tuple[str, str]]:
        """The entries of the journeys whose wait is over by then."""
        return (("wait", entry) for entry, journey in stored.journeys.items() if journey.due <= until)

    def skip_due(self, key: str, user: "UserView") -> None:
        """End a journey."""
        user.engine.give_up(key, user.clock, "internal")

    def join(self, theirs: Any, user: "UserView", _arrival: int) -> None:
        """The journeys of both. Of two in one place, one goes on."""
        user.engine.adopt(theirs.journeys, theirs.entries, user.clock)
        user.engine.decide(user.clock)

    def pieces(self, _clock: int) -> Iterator[Piece]:
        """Each journey, and each last entry."""
        for id_, journey in self.active.items():
            yield Piece.of(journey.entered, PieceGroup.OPEN, "journeys", id_, id_, journey)
        for campaign, entry in self.entries.items():
            yield Piece.of(entry.at, PieceGroup.GUARDS, "entries", campaign, campaign, entry)

    def drop(self, lost: Lost, user: "UserView") -> None:
        """Forget some entries, and end some journeys with a refusal."""
        for campaign in lost["entries"]:
            del self.entries[campaign]
        for id_ in sorted(lost["journeys"]):
            user.engine.give_up(id_, user.clock)
