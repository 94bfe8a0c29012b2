"""Who reads a job's log sees which provider is down, why, and how many sends wait for it."""

import logging

import pytest

from transforms.channels.held_up import HeldUp
from transforms.channels.outcome import Delivery


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def later(make_send):
    def later(number, reason="unavailable", detail="503"):
        return Delivery(make_send("token", id=f"s{number}"), "later", reason, detail, retry_at=1)

    return later


def test_a_channel_is_told_once_a_minute_with_its_newest_reason(clock, later, caplog):
    held_up = HeldUp(clock)
    caplog.set_level(logging.WARNING)
    for number in range(64):
        held_up.note(later(number))
    held_up.tell()
    held_up.note(later(3, "connect", "refused"))
    clock.now += 59
    held_up.tell()
    clock.now += 1
    held_up.tell()
    assert caplog.messages == ["push refuses: unavailable: 503; 64 wait", "push refuses: connect: refused; 64 wait"]
    assert held_up.counts() == {"push": 64}


def test_what_went_out_or_waits_for_the_morning_is_not_counted(clock, later, make_send, caplog):
    held_up = HeldUp(clock)
    held_up.note(later(1))
    held_up.note(later(2))
    held_up.note(later(3, "quiet", ""))
    held_up.note(Delivery(make_send("token", id="s1"), "handed_off"))
    assert held_up.counts() == {"push": 1}
    held_up.note(later(2, "quiet", ""))
    held_up.tell()
    assert held_up.counts() == {}
    assert caplog.messages == []
