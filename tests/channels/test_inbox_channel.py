"""The inbox: a message is a row of the store, once however often it is handed over."""

import asyncio

import pytest
from channels.handing import hand_over

from transforms.channels.inbox.message import RenderedInbox, ShownOn
from transforms.channels.inbox.transport import InboxSender
from transforms.channels.outcome import Outcome
from transforms.channels.push.message import RenderedPush
from transforms.storage.rows import InboxMarks, InboxRow

NOW = 1_772_000_000_000_000
GIFT = RenderedInbox("A gift", "100 gems", None, "game://gift", {"gift": {"gems": 100}}, 7 * 86400)


def test_a_message_is_a_row_once(store, make_send):
    send = make_send("ada-inbox", user="ada-inbox", channel="inbox", id="s1")
    channel = InboxSender(store)
    assert [asyncio.run(hand_over(channel, send, GIFT)) for _ in range(2)] == [Outcome.handed_off("inbox")] * 2
    assert store.read_inbox("ada-inbox") == [
        InboxRow(
            user="ada-inbox",
            at=NOW,
            send="s1",
            campaign="win_back",
            step="s1",
            title="A gift",
            body="100 gems",
            image="",
            deep_link="game://gift",
            data=b'{"gift":{"gems":100}}',
            expires=NOW + 7 * 86400 * 1_000_000,
        )
    ]


def test_one_that_does_not_expire(store, make_send):
    send = make_send("eve-inbox", user="eve-inbox", channel="inbox")
    asyncio.run(hand_over(InboxSender(store), send, RenderedInbox("A", "")))
    assert [row.expires for row in store.read_inbox("eve-inbox")] == [0]


def test_only_inbox_messages_go_there(store, make_send):
    with pytest.raises(TypeError, match="no inbox message"):
        asyncio.run(hand_over(InboxSender(store), make_send("u1"), RenderedPush("a", "b")))


def test_where_and_when_a_message_is_shown(store, make_send):
    send = make_send("eve-inbox", user="eve-inbox", channel="inbox")
    banner = RenderedInbox("A", "", placement="home_banner", trigger=ShownOn(screen="Home", after=3), locale="ja")
    asyncio.run(hand_over(InboxSender(store), send, banner))
    [row] = store.read_inbox("eve-inbox")
    assert (row.placement, row.trigger, row.locale) == ("home_banner", b'{"screen":"Home","after":3}', "ja")


def test_a_message_that_is_handed_over_again_keeps_its_marks(store, make_send):
    send = make_send("eve-inbox", user="eve-inbox", channel="inbox")
    asyncio.run(hand_over(InboxSender(store), send, RenderedInbox("A", "")))
    store.mark_inbox(store.read_inbox("eve-inbox"), InboxMarks(opened=NOW + 1))
    asyncio.run(hand_over(InboxSender(store), send, RenderedInbox("A", "")))
    assert [row.opened for row in store.read_inbox("eve-inbox")] == [NOW + 1]
