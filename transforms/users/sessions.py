"""Sessions: calls of one user that lie close together, and the event `Session Ended` that sums them up.

A user has one open session at most. It ends a gap after its newest call, which is a deadline of the user's own. Times
are microseconds UTC.
"""

from hashlib import blake2b

import msgspec

from transforms.events.event import CALLS, SESSION, SESSION_ENDED, Event

__all__ = ["Session", "ended", "join_sessions", "with_event"]

_SECOND = 1_000_000


class Session(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An open session: the times of its first and newest call, when it ends, of how many calls it is.

    `historical` says that all of them are history.
    """

    start: int
    last: int
    end: int
    count: int
    historical: bool


def with_event(session: Session | None, event: Event, gap: int, clock: int) -> Session | None:
    """The open session after an event that is applied at `clock`, to which the user is settled.

    A call that happened a gap ago or longer counts in none: its session is over. Any other belongs to the open session,
    since that would have ended before the clock if it lay further away.
    """
    if event.type not in CALLS or event.time + gap <= clock:
        return session
    at = event.time
    if session is None:
        return Session(at, at, at + gap, 1, event.historical)
    last = max(session.last, at)
    historical = session.historical and event.historical
    return Session(min(session.start, at), last, max(session.end, last + gap), session.count + 1, historical)


def join_sessions(mine: Session | None, theirs: Session | None) -> Session | None:
    """The open session of two users who become one: the union, or the later one of two that lie apart."""
    if mine is None or theirs is None:
        return mine or theirs
    first, second = sorted((mine, theirs), key=lambda session: (session.start, session.last, session.count))
    if first.end <= second.start:
        return second
    return Session(
        first.start,
        max(first.last, second.last),
        max(first.end, second.end),
        first.count + second.count,
        first.historical and second.historical,
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
        properties={"duration": (session.last - session.start) / _SECOND, "count": session.count},
        historical=session.historical,
    )
