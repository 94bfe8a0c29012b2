"""Who follows an account can be sent to there, and who has left it cannot, whatever was heard first."""

from itertools import permutations

import msgspec
import pytest
from core import DAY, START, Story, compile_plain, of_type

from transforms.campaigns.effects import CampaignEntered, Send
from transforms.events.event import Event
from transforms.users.control import Receipt, receipt_event
from transforms.users.effects import Linked

REACHED = compile_plain(
    {
        "segments": {"friends": {"members": {"reachable": "line"}}},
        "campaigns": {
            "thanks": {
                "trigger": {"event": "Line Followed"},
                "reenter": "always",
                "transactional": True,
                "steps": [{"send": "hi"}],
            }
        },
        "messages": {"hi": {"channel": "line", "text": "Hello"}},
    }
)


def told(kind: str, at: int, *, user: str = "u", channel: str = "line", address: str = "U1") -> Event:
    said = Receipt(user, kind, channel, "2026-01-01T00:00:00Z", id=f"{kind} {at}", address=address)
    return msgspec.structs.replace(receipt_event(said, None), time=START + at, arrival=START + at)


def is_friend(story: Story) -> bool:
    return "friends" in story.user.members


def test_to_follow_makes_reachable_and_to_leave_makes_not() -> None:
    story = Story(REACHED)
    story.track("Seen", 0)
    assert not is_friend(story)
    effects = story.take(told("followed", 1))
    assert is_friend(story)
    assert [(each.kind, each.value) for each in of_type(Linked, effects)] == [("address", "U1")]
    assert [send.address for send in of_type(Send, effects)] == ["U1"]
    story.take(told("unfollowed", 2))
    assert not is_friend(story)
    story.identify(3, {"line_id": "U1"})
    assert not is_friend(story), "an app says the id again at each login"
    story.take(told("followed", 4))
    assert is_friend(story)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_of_what_comes_in_any_order_the_latest_by_its_time_counts(order: tuple[int, ...]) -> None:
    what = [told("followed", 1), told("unfollowed", 2), told("followed", 3)]
    story = Story(REACHED)
    story.track("Seen", 0)
    for place in order:
        story.take(msgspec.structs.replace(what[place], arrival=START + DAY))
    assert is_friend(story)


def test_to_leave_one_account_says_nothing_of_another_id() -> None:
    story = Story(REACHED)
    story.identify(0, {"line_id": "U2"})
    story.take(told("unfollowed", 1))
    assert is_friend(story)


def test_a_follower_of_whom_nothing_is_known_is_known_then() -> None:
    for kind, known in (("unfollowed", False), ("opened", False), ("followed", True)):
        story = Story(REACHED, "~line:U1")
        effects = story.take(told(kind, 1, user="~line:U1"))
        assert (story.user.created is not None) is known
        assert is_friend(story) is known
        assert bool(of_type(CampaignEntered, effects)) is known


def test_nobody_follows_on_another_channel() -> None:
    story = Story(REACHED)
    story.track("Seen", 0)
    story.take(told("followed", 1, channel="email", address="ada@example.com"))
    assert story.user.profile.attributes == {}
