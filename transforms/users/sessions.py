"""Sessions: calls of one user that lie close together, and the event `Session Ended` that sums them up.

A user has one open session at most. It ends a gap after its newest call, which is a deadline of the user's own. Times
are microseconds UTC.
"""

from collections.abc import Iterator
from hashlib import blake2b
from operator import attrgetter
from typing import Any

import msgspec

from transforms.campaigns.part import Part
from transforms.events.event import CALLS, SESSION, SESSION_ENDED, Event
from transforms.segments.values import SECOND

__all__ = ["Session", "Sessions", "ended"]


class Session(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An open session: the times of its first and newest call, when it ends, and how many calls it holds.

    `historical` says that all of them are history.
    """

    start: int
    last: int
    end: int
    count: int
    historical: bool


class Sessions(Part):
    """The open session of one user, being changed. Without a `gap` there are none.

    A merged id keeps its own session for those who ask again for its past.
    """

    fields = ("session",)
    given = ("definitions.policies.sessions",)
    __slots__ = ("_gap", "session")

    def __init__(self, session: Session | None, gap: int | None) -> None:
        self.session = session if gap is not None else None
        self._gap = gap

    def add(self, event: Event, clock: int) -> None:
        """Note an event that is applied at `clock`, to which the user has advanced.

        A call that is at least one gap old joins no session: its own is over. Any other belongs to the open
        session, since that would have ended before the clock if it lay further away.
        """
        gap, session, at = self._gap, self.session, event.time
        if gap is None or event.type not in CALLS or at + gap <= clock:
            return
        call = Session(at, at, at + gap, 1, event.historical)
        # The gap may be longer than it was at the newest call.
        self.session = call if session is None else _union(session, call, max(session.last, at) + gap)

    @staticmethod
    def deadline_of(stored: Any) -> int | None:
        """When the open session ends, as stored; that is an event, which the editor applies."""
        return None if stored.session is None else stored.session.end

    @staticmethod
    def due_of(stored: Any, until: int) -> Iterator[tuple[str, str]]:
        """The session, if it ends by then."""
        if stored.session is not None and stored.session.end <= until:
            yield "session", ""

    def skip_due(self, _key: str, _user: Any) -> None:
        """Forget the session, without an event."""
        self.session = None

    def join(self, theirs: Any, _user: Any, _arrival: int) -> None:
        """The union, or the later one of two that lie apart."""
        if self._gap is None or theirs.session is None:
            return
        if self.session is None:
            self.session = theirs.session
        else:
            first, second = sorted((self.session, theirs.session), key=attrgetter("start", "last", "count"))
            self.session = second if first.end <= second.start else _union(first, second)


def _union(one: Session, other: Session, end: int = 0) -> Session:
    """One session of two, which ends at `end` at the earliest."""
    return Session(
        min(one.start, other.start),
        max(one.last, other.last),
        max(one.end, other.end, end),
        one.count + other.count,
        one.historical and other.historical,
    )


def ended(session: Session, user: str) -> Event:
    """The event that a session ends with, at that instant.

    Its properties are `duration` (seconds from the first call to the newest) and `count` (of calls). Its id is the same
    for the same user and start.
    """
    id_ = blake2b(f"{session.start}\x1f{user}".encode(), digest_size=12).hexdigest()
    anonymous = user.removeprefix("~") if user.startswith("~") else None
    return Event(
        id=f"session:{id_}",
        type=SESSION,
        name=SESSION_ENDED,
        time=session.end,
        arrival=session.end,
        user=user if anonymous is None else None,
        anonymous=anonymous,
        properties={"duration": (session.last - session.start) / SECOND, "count": session.count},
        historical=session.historical,
    )
