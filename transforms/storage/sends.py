"""Sends and refusals of all users by state, campaign and time: how a page of them is gathered in any store."""

from collections.abc import Iterator
from typing import Protocol

import msgspec

from transforms.storage.pages import BadCursor, Page, check_limit, page_of, read_cursor
from transforms.storage.rows import LedgerRow, LedgerState

__all__ = ["STATES", "SendKey", "SendLists", "SendsAsked", "campaigns_of", "page_sends"]

#: What names a send in the list of its state and campaign: when it was decided, its user, its id. Newest first, then by
#: user and id, is their order.
SendKey = tuple[int, str, str]
#: A place among all lists: state, campaign, and a key.
_Place = tuple[str, str, int, str, str]

#: The states of sends in the order in which they are listed.
STATES = (
    LedgerState.SUPPRESSED,
    LedgerState.FAILED,
    LedgerState.UNKNOWN,
    LedgerState.EXPIRED,
    LedgerState.HANDED_OFF,
    LedgerState.CONFIRMED,
    LedgerState.CLAIMED,
)


class SendsAsked(msgspec.Struct, frozen=True):
    """Which sends and refusals are asked for: of some states, of one campaign, for one reason, decided at or after
    `since` and before `until` (microseconds UTC). What is None asks for all."""

    states: tuple[str, ...] = STATES
    campaign: str | None = None
    reason: str | None = None
    since: int = -(2**63)
    until: int | None = None


class SendLists(Protocol):
    """What a store knows of its lists of sends, one a state and campaign."""

    def campaign_after(self, state: str, campaign: str | None) -> str | None:
        """The next campaign that has sends of a state, by name; with None the first."""

    def sends_of(
        self, state: str, campaign: str, since: int, after: SendKey | None
    ) -> Iterator[tuple[SendKey, LedgerRow | None]]:
        """The sends of a list that were decided at or after `since`, after a place in it; None for one that is so no
        longer."""


def campaigns_of(lists: SendLists) -> list[str]:
    """See `Reader.campaigns_of_sends`."""
    return sorted({campaign for state in STATES for campaign in _campaigns(lists, state, None, None)} - {""})


def page_sends(lists: SendLists, asked: SendsAsked, limit: int, cursor: str | None) -> Page[LedgerRow]:
    """See `Reader.page_sends`."""
    place: _Place | None = None if cursor is None else read_cursor("sends", cursor, str, str, int, str, str)
    if place is not None and place[0] not in asked.states:
        raise BadCursor(f"this is a cursor of sends that are {place[0]:.80}, which are not asked for")
    return page_of("sends", _gathered(lists, asked, place), check_limit(limit))


def _gathered(lists: SendLists, asked: SendsAsked, place: _Place | None) -> Iterator[tuple[_Place, LedgerRow | None]]:
    states = asked.states if place is None else asked.states[asked.states.index(place[0]) :]
    newest = None if asked.until is None else (asked.until, "", "")
    for state in states:
        start = place[1] if place is not None and place[0] == state else None
        for campaign in _campaigns(lists, state, asked.campaign, start):
            after = place[2:] if place is not None and place[:2] == (state, campaign) else newest
            for key, row in lists.sends_of(state, campaign, asked.since, after):
                yield (state, campaign, *key), row if row is not None and _is_asked(row, asked) else None


def _campaigns(lists: SendLists, state: str, only: str | None, start: str | None) -> Iterator[str]:
    campaign = only if only is not None else start if start is not None else lists.campaign_after(state, None)
    while campaign is not None:
        yield campaign
        campaign = lists.campaign_after(state, campaign) if only is None else None


def _is_asked(row: LedgerRow, asked: SendsAsked) -> bool:
    return (
        row.state in asked.states
        and asked.campaign in (None, row.campaign)
        and asked.reason in (None, row.detail.partition(": ")[0])
        and row.decided_at >= asked.since
        and (asked.until is None or row.decided_at < asked.until)
    )
