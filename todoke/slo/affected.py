"""Who was affected by an incident: sends that did not go out, or later than promised, and messages that were refused.

Times are microseconds UTC. Users are counted, and not named.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from transforms.segments.values import DAY
from transforms.slos.definitions import ServiceLevel
from transforms.storage.pages import MOST
from transforms.storage.reader import Reader
from transforms.storage.rows import LedgerRow, LedgerState
from transforms.storage.sends import SendsAsked

__all__ = ["MOST_READ", "Affected", "Late", "affected_by"]

#: What is not more than a look: of each kind, rows beyond so many are left out, and that is said.
MOST_READ = 100_000
#: Sends of these states did not go out, or nobody knows.
_NOT_SENT = (LedgerState.FAILED, LedgerState.UNKNOWN, LedgerState.EXPIRED)
#: A send ends at most a day after it was decided, unless its campaign allows more.
_DECIDED_BEFORE = 7 * DAY


class Late(msgspec.Struct, frozen=True):
    """Sends of a campaign, step and channel that took longer than a level allows: how many, and the longest time."""

    campaign: str
    step: str
    channel: str
    level: ServiceLevel
    sends: int
    longest: int


class Affected(msgspec.Struct, frozen=True):
    """What ended in a time.

    `not_sent` is by campaign, step, channel, state and reason, `letters` by cause. `all_read`: nothing was left out.
    """

    not_sent: Counter[tuple[str, ...]]
    users: int
    late: tuple[Late, ...]
    late_sends: int
    late_users: int
    letters: Counter[str]
    all_read: bool


def affected_by(reader: Reader, levels: Sequence[ServiceLevel], first: int, last: int) -> Affected:
    """Who was affected in [first, last). What is late is said by the levels of latency.

    Raises:
      StoreError: the store cannot be read.
    """
    failed, failed_read = _ended(reader, _NOT_SENT, None, first, last)
    late, late_sends, late_users, late_read = _late(reader, levels, first, last)
    letters, letters_read = _letters(reader, first, last)
    return Affected(
        Counter((row.campaign, row.step, row.channel, row.state, row.detail.partition(":")[0]) for row in failed),
        len({row.user for row in failed}),
        late,
        late_sends,
        late_users,
        letters,
        failed_read and late_read and letters_read,
    )


def _ended(
    reader: Reader, states: tuple[str, ...], campaign: str | None, first: int, last: int
) -> tuple[list[LedgerRow], bool]:
    """The sends that ended so in a time, and whether all were read."""
    asked = SendsAsked(states, campaign, since=first - _DECIDED_BEFORE, until=last)
    found, cursor, read = list[LedgerRow](), None, 0
    while read < MOST_READ:
        page = reader.page_sends(asked, MOST, cursor)
        found += (row for row in page.rows if first <= row.at < last)
        read, cursor = read + len(page.rows), page.next
        if cursor is None:
            return found, True
    return found, False


def _late(
    reader: Reader, levels: Sequence[ServiceLevel], first: int, last: int
) -> tuple[tuple[Late, ...], int, int, bool]:
    """Sends later than promised, how many there are of how many users, and whether all were read."""
    promises = [level for level in levels if level.indicator.kind == "latency" and not level.indicator.service]
    campaigns: Iterable[str | None] = sorted(
        {level.indicator.campaign for level in promises if level.indicator.campaign}
    )
    if any(not level.indicator.campaign for level in promises):
        campaigns = (None,)
    took: dict[tuple[str, str, str, str], list[int]] = {}
    sends, users, whole = set[str](), set[str](), True
    for campaign in campaigns:
        rows, all_read = _ended(reader, (LedgerState.HANDED_OFF,), campaign, first, last)
        whole = whole and all_read
        for row in rows:
            for level in promises:
                if _is_late(row, level):
                    took.setdefault((row.campaign, row.step, row.channel, level.id), []).append(row.at - row.decided_at)
                    sends.add(row.send)
                    users.add(row.user)
    by_id = {level.id: level for level in promises}
    late = (Late(*key[:3], by_id[key[3]], len(times), max(times)) for key, times in sorted(took.items()))
    return tuple(late), len(sends), len(users), whole


def _is_late(row: LedgerRow, level: ServiceLevel) -> bool:
    asked = level.indicator
    return (
        asked.campaign in ("", row.campaign)
        and asked.channel in ("", row.channel)
        and row.at - row.decided_at > asked.below
    )


def _letters(reader: Reader, first: int, last: int) -> tuple[Counter[str], bool]:
    found, cursor, read = Counter[str](), None, 0
    while read < MOST_READ:
        page = reader.page_dead_letters(MOST, cursor, since=first)
        found.update(row.cause for row in page.rows if row.time < last)
        read, cursor = read + len(page.rows), page.next
        if cursor is None:
            return found, True
    return found, False
