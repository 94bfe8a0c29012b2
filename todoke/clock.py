"""Times as people ask for them: in UTC, in a zone of the IANA database, or in the user's own zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from todoke.names import meant
from transforms.errors import WrongUse
from transforms.events.plain import quoted
from transforms.events.times import read_time, write_time
from transforms.identity.zones import known_zone, zone_names
from transforms.storage.rows import UserRow
from transforms.users.facts import zone_of
from transforms.users.faults import open_user
from transforms.users.user import User

__all__ = ["UTC_CLOCK", "Clock", "check_zone", "clock", "zone_in"]

_UTC = "UTC"
#: Stands for the zone of each user, as it does in definitions.
_EACH_USER = "user"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(msgspec.Struct, frozen=True):
    """Writes times, microseconds UTC, by a zone."""

    zone: str = _UTC

    def write(self, time: int) -> str:
        """A time as ISO 8601: in UTC with `Z`, elsewhere with the offset."""
        if self.zone == _UTC:
            return write_time(time)
        try:
            return (_EPOCH + timedelta(microseconds=time)).astimezone(ZoneInfo(self.zone)).isoformat()
        except OverflowError:  # it lies beyond the year 9999 there, or before the first
            return write_time(time)

    def moved(self, text: str) -> str:
        """A time that was written in UTC already."""
        return text if self.zone == _UTC else self.write(read_time(text))


UTC_CLOCK = Clock()


def check_zone(asked: str, *, of: str = "") -> None:
    """Refuse a `--zone` that is no zone, and, with `of` (whose times they are), the zone of each user.

    Raises:
      WrongUse: it is none.
    """
    if asked == _EACH_USER and of:
        raise WrongUse(f"--zone: {of} are many users: name UTC or a zone such as Europe/Berlin")
    if asked != _EACH_USER and not known_zone(asked):
        expected = "UTC or" if of else "user, UTC or"
        close = meant(asked, zone_names())
        hint = f"; did you mean `{close}`?" if close else ""
        raise WrongUse(f"--zone: expected {expected} a zone such as Europe/Berlin; found {quoted(asked)}{hint}")


def clock(asked: str, own: str = _UTC) -> Clock:
    """The clock of a valid `--zone`, for a user whose own zone is `own`."""
    return Clock(own if asked == _EACH_USER else asked)


def zone_in(row: UserRow) -> str:
    """A user's own zone; UTC where none is known: a store does not know the policy's."""
    user = open_user(row.user, row.state)
    return zone_of(user.profile, _UTC) if isinstance(user, User) else _UTC
