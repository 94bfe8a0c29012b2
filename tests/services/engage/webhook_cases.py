"""Users whom providers speak of, and what came of it."""

from contextlib import closing

from engage_service import KEYS, Service

from transforms.campaigns.effects import Send
from transforms.channels.references import reference_to
from transforms.storage.open import open_reader
from transforms.storage.rows import IdentityRow

__all__ = ["ANN", "LINE_ID", "PHONE", "known", "reference", "told", "unreadable"]

ANN, PHONE, LINE_ID = "ann@example.com", "+819012345678", "U4af4980629"


def known(service: Service) -> None:
    """Ann has a mailbox, a number and a LINE id."""
    service.store.write_identities([IdentityRow("address", value, "ann", 1) for value in (ANN, PHONE, LINE_ID)])


def reference(user: str, send: str, channel: str = "email") -> str:
    """What a message of ours carries."""
    made = Send(
        id=send,
        campaign="win_back",
        entry="e1",
        step="hello",
        user=user,
        channel=channel,
        message="hello_mail",
        address="",
        decided_at=0,
        not_after=0,
        topic="offers",
    )
    return reference_to(made, KEYS)


def told(service: Service) -> list[tuple[str, str, str, str]]:
    """The receipts: user, kind, address and send."""
    return [(each["userId"], each["kind"], each["address"], each["send"]) for each in service.receipts()]


def unreadable(service: Service) -> list[tuple[str, str]]:
    """What was kept: where from, and the payload."""
    with closing(open_reader(f"sqlite:{service.path}")) as reader:
        rows = reader.page_dead_letters(100).rows
    return [(row.source, row.payload.decode()) for row in rows]
