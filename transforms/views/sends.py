"""Sends and refusals of all users: whom a reason struck, which sends nobody knows about, what a campaign did."""

from typing import Any

from transforms.events.plain import quoted
from transforms.events.times import write_time
from transforms.storage.ledger import MAILBOX_CLAIM
from transforms.storage.pages import Page
from transforms.storage.reader import EARLIEST, Reader
from transforms.storage.rows import LedgerRow
from transforms.storage.sends import STATES, SendsAsked
from transforms.views.users import decision

__all__ = ["sends"]


def sends(
    reader: Reader,
    limit: int,
    cursor: str | None = None,
    *,
    campaign: str | None = None,
    states: tuple[str, ...] = (),
    reason: str | None = None,
    since: int = EARLIEST,
) -> Page[dict[str, Any]]:
    """Sends and refusals by state and campaign, newest decision first; see `Reader.page_sends`.

    Args:
      reader: of the store.
      limit: rows of a page.
      cursor: the `next` of the page before.
      campaign: of one campaign.
      states: of these states; none for all.
      reason: refused, or failed, for one reason: what stands in `detail` before a colon.
      since: decided then or later, microseconds UTC.

    Raises:
      ValueError: the limit, the cursor or a state cannot be.
      StoreError: the store cannot be read.
    """
    for state in states:
        if state not in STATES:
            raise ValueError(f"no send is {quoted(state)}; expected one of {', '.join(STATES)}")
    asked = SendsAsked(tuple(dict.fromkeys(states)) or STATES, campaign, reason, since)
    page = reader.page_sends(asked, limit, cursor)
    # What couriers claim so that a mailbox gets a mail once is no send.
    return Page([_shown(row) for row in page.rows if not row.user.startswith(MAILBOX_CLAIM)], page.next)


def _shown(row: LedgerRow) -> dict[str, Any]:
    return {"user": row.user, **decision(row), "at": write_time(row.at), "attempts": row.attempts}
