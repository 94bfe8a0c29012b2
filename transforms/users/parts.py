"""The table of parts: which of them own what is stored of a user.

They are joined, judged anew and come due in this order: leaves wait for seeds and ask the profile, memberships follow
from leaves, and journeys from memberships. Journeys that wait go on before an occurrence starts others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from transforms.campaigns.caps import CapHistory
from transforms.campaigns.goals import Goals
from transforms.campaigns.journeys import Journeys
from transforms.campaigns.latest_events import LatestEvents
from transforms.campaigns.load import Definitions
from transforms.campaigns.occurrences import Occurrences
from transforms.campaigns.open_sends import OpenSends
from transforms.campaigns.part import Part
from transforms.campaigns.recent import Recent
from transforms.users.effects import Effect
from transforms.users.facts import KnownProfile
from transforms.users.leaves import Leaves
from transforms.users.lineage import Lineage
from transforms.users.memberships import Memberships
from transforms.users.rate_limit import RateLimit
from transforms.users.seeds import AwaitedSeeds
from transforms.users.seen import Seen
from transforms.users.sessions import Sessions
from transforms.users.tombstone import Tombstone
from transforms.users.truncation import Truncation
from transforms.users.user import User

__all__ = ["OWN", "PARTS", "PartTable"]

#: The fields that an editor keeps itself: whose the state is, how far it has come, and by what it was judged.
OWN = {
    "id": "editor.id",
    "version": "editor.version + 1",
    "clock": "editor.clock",
    "definitions_hash": "editor.definitions.definitions_hash",
    "release": "editor.release",
}


class PartTable(Mapping[str, type[Part]]):
    """Parts by the name under which an editor has them, and the record of which each owns some fields.

    An editor is opened, asked what is due, and closed for each input. Loops over parts would make that slower by a
    tenth. So `open`, `first_due` and `close` are written from this table when it is made, as dataclasses write theirs.

    Raises:
      ValueError: a field of the record has no owner, or two.
    """

    def __init__(self, record: type[User], parts: Mapping[str, type[Part]]) -> None:
        owned = [*OWN, *(field for part in parts.values() for field in part.fields)]
        if sorted(owned) != sorted(record.__struct_fields__):
            odd = {*owned} ^ {*record.__struct_fields__} or {field for field in owned if owned.count(field) > 1}
            raise ValueError(f"each field of a user belongs to one part; see {', '.join(sorted(odd))}")
        self.record = record
        self._parts = dict(parts)
        #: Gives an editor its parts, of a record: (editor, record, definitions, effects).
        self.open: Callable[[Any, User, Definitions, list[Effect]], None] = self._written("open", self._open_lines())
        #: The record after all changes of an editor.
        self.close: Callable[[Any], User] = self._written("close", self._close_lines())
        #: The parts of which something falls due by time alone, and the first such time of an editor.
        self.timed = tuple(name for name, part in parts.items() if part.take_due is not Part.take_due)
        self.first_due: Callable[[Any], int | None] = self._written("first_due", self._first_due_lines())
        self._deadlines = [part.deadline_of for part in parts.values() if part.deadline_of is not Part.deadline_of]

    def __getitem__(self, name: str) -> type[Part]:
        """The part of a name."""
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        """The names, in order."""
        return iter(self._parts)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._parts)

    def deadline_of(self, user: User) -> int | None:
        """The next time at which something of a stored user may change without an input."""
        if user.owner is not None:
            return None
        return min((at for of in self._deadlines if (at := of(user)) is not None), default=None)

    def _open_lines(self) -> Iterator[str]:
        yield "def open(editor, stored, definitions, effects):"
        for name, part in self._parts.items():
            arguments = ", ".join([*(f"stored.{field}" for field in part.fields), *part.given])
            yield f"    editor.{name} = {part.__name__}({arguments})"

    def _close_lines(self) -> Iterator[str]:
        yield "def close(editor):"
        values = dict(OWN)
        for name, part in self._parts.items():
            if part.pack is Part.pack:  # as it stands
                yield f"    {name} = editor.{name}"
                kept = part.fields if isinstance(part.fields, Mapping) else {field: field for field in part.fields}
                values |= {field: f"{name}.{attribute}" for field, attribute in kept.items()}
            else:
                yield f"    {', '.join(f'_{field}' for field in part.fields)}, = editor.{name}.pack(editor.clock)"
                values |= {field: f"_{field}" for field in part.fields}
        yield f"    return record({', '.join(values[field] for field in self.record.__struct_fields__)})"

    def _first_due_lines(self) -> Iterator[str]:
        yield "def first_due(editor):"
        yield "    first = None"
        for name in self.timed:
            yield f"    due = editor.{name}.deadline"
            yield "    if due is not None and (first is None or due < first): first = due"
        yield "    return first"

    def _written(self, function: str, lines: Iterable[str]) -> Any:
        names: dict[str, Any] = {"record": self.record, **{part.__name__: part for part in self._parts.values()}}
        exec("\n".join(lines), names)
        return names[function]


PARTS = PartTable(
    User,
    {
        "tombstone": Tombstone,
        "rate_limit": RateLimit,
        "truncation": Truncation,
        "sends": OpenSends,
        "seeds": AwaitedSeeds,
        "known": KnownProfile,
        "sessions": Sessions,
        "leaves": Leaves,
        "seen": Seen,
        "lineage": Lineage,
        "goals": Goals,
        "cap_history": CapHistory,
        "latest_events": LatestEvents,
        "recent": Recent,
        "memberships": Memberships,
        "journeys": Journeys,
        "occurrences": Occurrences,
    },
)
