"""What arrives out of order live: calls of visitors and users, one by one, as a job delivers them."""

from random import Random
from typing import Any

import msgspec
from campaigns.campaign_story import definitions
from core import DAY, START, Loop, compile_plain, of_type, routed
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.campaigns.effects import CampaignEntered, Send
from transforms.events.event import Event
from transforms.users.parts import PARTS
from transforms.users.user import Wake

S = 1_000_000


def call(id_: str, type_: str, at: int, *, anonymous: bool = False, **fields: Any) -> Event:
    return Event(id_, type_, fields.pop("name", ""), START + at, START + at, "u", "a" if anonymous else None, **fields)


def welcome() -> list[Event]:
    """What a client publishes as somebody registers, the first of it with both ids."""
    consent = {"topic": "offers", "channel": "email", "granted": True}
    return [
        call("m1", "identify", 0, anonymous=True, traits={"email": "u@example.com"}),
        call("m2", "track", 1, name="Consent Changed", properties=consent),
        call("m3", "track", 2, name="Bought"),
        call("m4", "identify", 3, anonymous=True, context={"device": {"token": "t", "type": "ios"}}),
    ]


@settings(max_examples=examples(60), deadline=None)
@given(st.permutations(range(4)), st.integers(0, 2**32), st.booleans())
def test_a_welcome_that_is_sent_once_in_a_life_is_sent(order: list[int], seed: int, together: bool) -> None:
    """In whatever order the calls arrive, within settling, and the past of the visitor among them."""
    steps = [{"id": "one", "send": "email_a"}, {"id": "two", "send": ["push_a", "webhook_a"]}]
    machine = compile_plain(definitions(policies={"settling": "30s"}, reenter="never", steps=steps))
    loop = Loop(machine, Random(seed), again=0.3)
    calls = welcome()
    moved = [
        msgspec.structs.replace(calls[number], arrival=START + (place + 1) * 5 * S)
        for place, number in enumerate(order)
    ]
    for part in [moved] if together else [[each] for each in moved]:
        loop.deliver(routed(part))
    loop.settle(START + DAY)
    assert len(of_type(CampaignEntered, loop.effects)) == 1
    assert sorted(send.message for send in of_type(Send, loop.effects)) == ["email_a", "push_a"]


def test_nobody_has_a_timer_for_whom_nothing_is_pending() -> None:
    machine = compile_plain(definitions(policies={"settling": "30s"}))
    loop = Loop(machine, Random(0))
    loop.deliver(routed([call("m1", "identify", 0)]))
    assert PARTS.deadline_of(loop.users["u"]) is None
    loop.deliver(routed([call("m2", "track", S, name="Bought")]))
    assert PARTS.deadline_of(loop.users["u"]) == START + 30 * S
    loop.deliver([("u", Wake(START + 30 * S))])
    assert PARTS.deadline_of(loop.users["u"]) is None
