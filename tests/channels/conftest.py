"""Local servers, sends made from an address, and couriers over both kinds of ledger."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from transforms.campaigns.effects import Send
from transforms.channels.courier import Courier
from transforms.channels.email.local_smtp import LocalSmtp
from transforms.channels.email.message import MailMessage
from transforms.channels.email.settings import parse_smtp
from transforms.channels.email.transport import Mail
from transforms.channels.push.local_fcm import LocalFcm
from transforms.channels.push.message import PushMessage
from transforms.channels.push.settings import parse_fcm
from transforms.channels.push.transport import Push
from transforms.channels.settings import MailSettings
from transforms.messages.definitions import Text

NOW = 1_772_000_000_000_000
MESSAGES = {
    "push": PushMessage(id="push", title=Text({"": "Hi {{ user.first_name | default: 'you' }}"})),
    "mail": MailMessage(id="mail", subject=Text({"": "Hi"}), text=Text({"": "Hello\n.\n..dots\n"})),
}


@pytest.fixture
def make_send() -> Callable[..., Send]:
    def make(address: str, **changes: Any) -> Send:
        email = "@" in address
        fields: dict[str, Any] = {
            "id": f"id-{address.replace('@', '.')}",
            "campaign": "win_back",
            "entry": "e1",
            "step": "s1",
            "user": f"user of {address}",
            "channel": "email" if email else "push",
            "message": "mail" if email else "push",
            "address": address,
            "decided_at": NOW,
            "not_after": NOW + 3_600_000_000,
            "topic": "marketing",
        }
        return Send(**{**fields, **changes})

    return make


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[LocalFcm, LocalSmtp]]:
    """Shared by a module's tests, which use addresses of their own."""
    fcm, smtp = LocalFcm.start(retry_after=2), LocalSmtp.start()
    yield fcm, smtp
    fcm.stop()
    smtp.stop()


@pytest.fixture
def fcm(servers: tuple[LocalFcm, LocalSmtp]) -> LocalFcm:
    return servers[0]


@pytest.fixture
def smtp(servers: tuple[LocalFcm, LocalSmtp]) -> LocalSmtp:
    return servers[1]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    from transforms.storage.open import open_store

    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    yield store
    store.close()


@pytest.fixture
def pauses() -> list[float]:
    """How long a courier wanted to sleep: it does not in tests."""
    return []


@pytest.fixture
def make_courier(fcm: LocalFcm, smtp: LocalSmtp, pauses: list[float]) -> Iterator[Callable[..., Courier]]:
    made: list[Courier] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    def make(store: Any = None, *, now: int = NOW, timeout: float = 5.0, **options: Any) -> Courier:
        settings = MailSettings()
        senders = {
            "push": Push(parse_fcm(f"fcm:demo-project@{fcm.url}"), timeout=timeout),
            "email": Mail(parse_smtp(smtp.url), settings, timeout=timeout),
        }
        options = {"senders": senders, "messages": MESSAGES, "sleep": pause, "settings": settings, **options}
        courier = Courier(default_locale="en", clock=lambda send: now, store=store, **options)
        made.append(courier)
        return courier

    yield make
    for courier in made:
        courier.close()


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that refuses connections: bound, and not listening."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
