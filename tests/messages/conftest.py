"""`parse` reads a `messages:` section; `scope` is what every template can see."""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from transforms.messages.definitions import Message
from transforms.messages.grammar import read_messages
from transforms.segments.document import Problems, read_documents

Parse = Callable[[str], tuple[dict[str, Message], list[str]]]


@pytest.fixture
def parse() -> Parse:
    def parse(text: str) -> tuple[dict[str, Message], list[str]]:
        problems = Problems()
        [document] = read_documents({"m.yaml": text}, problems)
        messages = read_messages(document, {}, problems)
        return messages, [str(problem) for problem in problems]

    return parse


@pytest.fixture
def scope() -> dict[str, object]:
    return {
        "user": {"id": "u1", "first_name": "Ada", "nothing": None, "bio": "<b>\"x\"</b> & 'y'"},
        "event": {"items": [{"name": "pen"}, {"name": "ink"}], "none": [], "holes": ["a", None], "at": "2026-07-01"},
        "campaign": "win_back",
        "now": datetime(2026, 3, 1, 8, 30, tzinfo=ZoneInfo("Asia/Tokyo")),
        "unsubscribe_url": "https://localhost/u?token=t",
    }
