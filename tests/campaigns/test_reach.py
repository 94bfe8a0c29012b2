"""Reach at entry: consent and reach refuse only who would come to a send at once, and could get none."""

from typing import Any

from campaigns.campaign_story import definitions, refusals
from core import HOUR, MINUTE, START, Story, compile_plain, of_type

from transforms.campaigns.effects import CampaignEntered, Send


def told_of(**campaign: Any) -> Story:
    """A user of whom nothing is known, where nothing settles."""
    return Story(compile_plain(definitions(**campaign)))


def entered(told: Story) -> list[int]:
    return [entry.at - START for entry in of_type(CampaignEntered, told.effects)]


def sent(told: Story) -> list[tuple[str, int]]:
    return [(send.message, send.decided_at - START) for send in of_type(Send, told.effects)]


def test_after_a_wait_the_send_asks() -> None:
    told = told_of(steps=[{"wait": "1h"}, {"send": "push_a"}])
    told.track("Bought", 0)
    assert entered(told) == [0]
    told.device(MINUTE)
    told.wake(HOUR)
    assert sent(told) == [("push_a", HOUR)]


def test_reach_is_asked_where_conditions_lead_to_a_send_now() -> None:
    steps = [
        {"if": {"segment": "vips"}, "then": [{"send": "push_a"}], "else": [{"wait": "1h"}]},
        {"send": "push_b"},
    ]
    told = told_of(steps=steps)
    told.track("Bought", 0)
    assert entered(told) == [0]
    told = told_of(steps=steps)
    told.identify(0, {"vip": True})
    told.track("Bought", 0)
    assert refusals(told) == [("", "unreachable", 0)]


def test_a_later_send_that_would_go_out_lets_the_user_in() -> None:
    told = told_of(steps=[{"send": "push_a"}, {"wait": "1h"}, {"send": "webhook_a"}])
    told.track("Bought", 0)
    assert entered(told) == [0]
    assert refusals(told) == [("push_a", "unreachable", 0)]
