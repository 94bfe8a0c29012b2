"""The size limit of one user's state: what does not fit is dropped, oldest first, and counted.

State crosses shuffles, and a runner holds it in memory: one value beyond some megabytes holds up a whole job
(https://github.com/apache/beam/issues/30558). No other promise holds for what a user lost here.
"""

from collections import Counter, defaultdict
from typing import Any

from transforms.campaigns.load import Definitions
from transforms.campaigns.part import Part, Piece, PieceGroup
from transforms.campaigns.trigger import Trigger
from transforms.users.editor import UserEditor
from transforms.users.effects import Effect
from transforms.users.user import User, encode_user

__all__ = ["SIZE_LIMIT", "cut", "enforce_size_limit"]

#: The most bytes of an encoded user. A state that is too large is cut to less, so that the next input still fits.
SIZE_LIMIT = 262_144
#: No group of things may take more than this, so that one kind does not drive out all others.
_SHARE = SIZE_LIMIT // 2
_TARGETS = (SIZE_LIMIT * 7 // 8, SIZE_LIMIT // 2, 0)


def enforce_size_limit(user: User, definitions: Definitions) -> tuple[User, bytes, list[Effect]]:
    """A user whose encoded state has at most `SIZE_LIMIT` bytes, that state, and the effects of dropping the rest.

    Leaves and memberships follow from what is left; changes are reported as `truncated`, and trigger nothing. A journey
    that is dropped ends with that reason.
    """
    data = encode_user(user)
    if len(data) <= SIZE_LIMIT:
        return user, data, []
    editor = UserEditor(user, definitions)
    for target in _TARGETS:
        cut(editor, len(data) - target)
        user = editor.close()
        data = encode_user(user)
        if len(data) <= SIZE_LIMIT:
            return user, data, editor.effects
    _empty(editor)
    user = editor.close()
    return user, encode_user(user), editor.effects


def cut(editor: UserEditor, excess: int) -> None:
    """Drop things in their order until so many bytes are saved."""
    dropped = []
    for piece in _in_order([piece for part in _parts(editor) for piece in part.pieces(editor.clock)]):
        if excess <= 0:
            break
        dropped.append(piece)
        excess -= piece.size
    _drop(editor, dropped)


def _in_order(found: list[Piece]) -> list[Piece]:
    """The order in which pieces go: sends that have expired; pieces that are larger than a share; what a group holds
    beyond its share, since the newest fill that; then group by group, but evidence and facts together. Among these, the
    oldest goes first.
    """
    found.sort(key=lambda piece: (piece.time, piece.group, piece.kind, repr(piece.key)))
    held: Counter[int] = Counter()
    rank: dict[Piece, int] = {}
    for piece in reversed(found):
        if piece.group == PieceGroup.EXPIRED:
            rank[piece] = -3
        elif held[piece.group] + piece.size <= _SHARE:
            held[piece.group] += piece.size
            rank[piece] = max(piece.group, PieceGroup.FACTS)
        else:
            rank[piece] = -2 if piece.size > _SHARE else -1
    return sorted(found, key=rank.__getitem__)


def _drop(editor: UserEditor, pieces: list[Piece]) -> None:
    """Drop pieces; leaves and memberships follow, which triggers nothing."""
    lost: dict[str, set[Any]] = defaultdict(set)
    for piece in pieces:
        lost[piece.kind].add(piece.key)
    for part in _parts(editor):
        part.drop(lost, editor)
    editor.truncation.count(Counter(piece.kind for piece in pieces), editor)
    if editor.lineage.created is not None and editor.lineage.owner is None:
        editor.resolve(Trigger("truncated"))


def _empty(editor: UserEditor) -> None:
    """Begin anew: what is left is too large and cannot be dropped piece by piece, such as very many memberships."""
    editor.memberships.leave_all(editor, "truncated")
    editor.truncation.count({"state": 1}, editor)
    editor.empty()


def _parts(editor: UserEditor) -> list[Part]:
    return [getattr(editor, name) for name in editor.parts]
