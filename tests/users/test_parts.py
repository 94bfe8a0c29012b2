"""Parts of a user's state: each stored field has one, and one more needs no other module."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from core import HOUR, START, compile_plain

from transforms.campaigns.part import Lost, Part, Piece, PieceGroup
from transforms.campaigns.trigger import Trigger
from transforms.events.event import Event
from transforms.users.advance import apply
from transforms.users.editor import UserEditor
from transforms.users.parts import OWN, PARTS, PartTable
from transforms.users.size_limit import cut
from transforms.users.user import User

DEFINITIONS = compile_plain({"segments": {"seen": {"members": {"event": "Seen"}}}})


class Longer(User, frozen=True, array_like=True, gc=False):
    """A user of whom one thing more is stored."""

    points: dict[str, int] = msgspec.field(default_factory=dict)
    lapse: int | None = None


class Points(Part):
    """Points by what they were given for, of which a user has the most of any merged id; all lapse at one time."""

    fields = ("points", "lapse")
    __slots__ = ("lapse", "points")

    def __init__(self, points: dict[str, int], lapse: int | None) -> None:
        self.points = dict(points)
        self.lapse = lapse

    @staticmethod
    def deadline_of(stored: Any) -> int | None:
        """When they lapse."""
        found: int | None = stored.lapse
        return found

    @property
    def deadline(self) -> int | None:
        """When they lapse."""
        return self.lapse

    def take_due(self, due: int) -> bool:
        """Whether they do."""
        return self.lapse == due

    def come_due(self, _taken: bool, _due: int, _user: Any, _trigger: Trigger) -> None:
        """Take all back."""
        self.points, self.lapse = {}, None

    def join(self, theirs: Any, _user: Any, _arrival: int) -> None:
        """The most of both."""
        for name, count in theirs.points.items():
            self.points[name] = max(count, self.points.get(name, 0))

    def pieces(self, clock: int) -> Iterator[Piece]:
        """Each."""
        for name, count in self.points.items():
            yield Piece.of(clock, PieceGroup.EXPIRED, "points", name, name, count)

    def drop(self, lost: Lost, _user: Any) -> None:
        """Take some back."""
        for name in lost["points"]:
            del self.points[name]


class LongerEditor(UserEditor):
    """Edits one who has points."""

    __slots__ = ("points",)

    parts = PartTable(Longer, {**PARTS, "points": Points})
    points: Points


def stored(lapse: int | None = None, **points: int) -> Longer:
    hashed = DEFINITIONS.definitions_hash
    return Longer("u1", created=START, definitions_hash=hashed, points=points, lapse=lapse)


def edited(lapse: int | None = None, **points: int) -> LongerEditor:
    return LongerEditor(stored(lapse, **points), DEFINITIONS)


def points_of(editor: LongerEditor) -> dict[str, int]:
    user = editor.close()
    assert isinstance(user, Longer)
    return user.points


def call(kind: str) -> Event:
    return Event(kind, kind, "Seen", START + HOUR, START + HOUR, "u1")


def test_each_stored_field_belongs_to_one_part() -> None:
    owned = [*OWN, *(field for part in PARTS.values() for field in part.fields)]
    assert sorted(owned) == sorted(User.__struct_fields__)


@pytest.mark.parametrize("parts", [{}, {"points": Points, "more": Points}])
def test_a_field_without_a_part_or_with_two_is_refused(parts: dict[str, type[Part]]) -> None:
    with pytest.raises(ValueError, match="each field of a user belongs to one part; see lapse, points"):
        PartTable(Longer, {**PARTS, **parts})


def test_what_is_private_or_lasting_is_the_part_s_own() -> None:
    for part in PARTS.values():
        assert {*part.private, *part.lasting} <= {*part.fields}


def test_one_more_part_is_opened_and_packed() -> None:
    editor = edited(visit=1)
    editor.points.points["order"] = 5
    apply(editor, call("track"))
    assert points_of(editor) == {"visit": 1, "order": 5}
    assert editor.close().members == {"seen": START + HOUR}


def test_it_is_joined_and_handed_over() -> None:
    editor = edited(visit=1, order=5)
    editor.join(Longer("u2", created=START, points={"visit": 3}), START + HOUR)
    assert points_of(editor) == {"visit": 3, "order": 5}
    past = editor.snapshot(START)
    assert isinstance(past, Longer)
    assert past.points == {"visit": 3, "order": 5}


def test_what_falls_due_of_it_comes_at_its_time() -> None:
    assert LongerEditor.parts.deadline_of(stored(START + 5, visit=1)) == START + 5
    assert LongerEditor.parts.deadline_of(stored(visit=1)) is None
    editor = edited(START + 5, visit=1)
    editor.come_to(START + 4)
    assert points_of(editor) == {"visit": 1}
    editor.come_to(START + 5)
    assert points_of(editor) == {}
    assert LongerEditor.parts.deadline_of(editor.close()) is None


def test_it_is_cut_and_counted() -> None:
    editor = edited(visit=1, order=5)
    cut(editor, 1)
    assert len(points_of(editor)) == 1
    assert editor.close().truncated == 1


def test_nothing_of_it_is_left_by_a_deletion_or_where_a_state_has_no_room() -> None:
    editor = edited(visit=1)
    apply(editor, call("delete"))
    assert points_of(editor) == {}
    editor = edited(visit=1)
    editor.empty()
    assert points_of(editor) == {}
