"""What became of a send is told to the state machine as a receipt, once for each end, and again after a crash."""

import pytest
from channels.handing import Whole

from transforms.channels.outcome import Delivery
from transforms.channels.receipts import receipt_of
from transforms.events.times import write_time
from transforms.users.control import decode_control, encode_receipt

NOW = 1_772_000_000_000_000
HOUR = 3_600_000_000
#: What is sent, how it ends, and the event that the user gets.
ENDS = [
    ({"address": "receipt"}, "accepted", "", "Push Accepted"),
    ({"address": "dead-r"}, "dead_token", "dead_token", "Push Token Expired"),
    ({"address": "auth-r"}, "failed", "auth", "Push Failed"),
    ({"address": "cutafter-r"}, "unknown", "cut", "Push Unknown"),
    ({"address": "old", "not_after": NOW - 1}, "expired", "", "Push Expired"),
    ({"address": "r", "message": "gone"}, "suppressed", "render_error", "Push Suppressed"),
    ({"address": "receipt@example.com"}, "accepted", "", "Email Accepted"),
    ({"address": "bounce-r@example.com"}, "bounced", "bad_address", "Email Bounced"),
    ({"address": "reject-r@example.com"}, "failed", "rejected", "Email Failed"),
    ({"address": "no mailbox @example.com"}, "bounced", "bad_address", "Email Bounced"),
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end[0]["address"])
def test_each_end_is_told_and_told_again_the_same(store, make_courier, make_send, end):
    changes, kind, reason, name = end
    send = make_send(**changes, variant="b", decided_at=NOW - HOUR)
    [delivery] = make_courier(store, bounded=False).deliver([send])
    [again] = make_courier(store, bounded=False, now=NOW + HOUR).deliver([send])
    assert again.state == "duplicate"
    receipt = receipt_of(delivery, bounded=False)
    assert receipt_of(again, bounded=False) == receipt
    assert (receipt.kind, receipt.reason, receipt.time) == (kind, reason, write_time(NOW))
    assert receipt_of(delivery, bounded=True).time == write_time(NOW - HOUR)
    user, [event] = decode_control(encode_receipt(receipt), NOW + HOUR)
    assert (user, event.user, event.name, event.time) == (send.user, send.user, name, NOW)
    told = {
        key: event.properties[key] for key in ("send", "campaign", "step", "message", "variant", "address", "topic")
    }
    assert told == {
        "send": send.id,
        "campaign": "win_back",
        "step": "s1",
        "message": send.message,
        "variant": "b",
        "address": send.address,
        "topic": "marketing",
    }


def test_what_has_not_ended_is_not_told(store, make_courier, make_send):
    quota, twin = make_send("quota-told"), make_send("twin")
    [later, first, second] = make_courier(store, bounded=False).deliver([quota, twin, twin])
    assert [later.state, first.state, second.state] == ["later", "handed_off", "duplicate"]
    assert receipt_of(later, bounded=False) is None
    assert receipt_of(second, bounded=False) is None  # the first one of this batch is told


def test_a_claim_of_which_nobody_knows_the_end_is_not_told(store, make_courier, make_send):
    class Crash(BaseException):
        pass

    class Crashing(Whole):
        async def send(self, send, made):
            raise Crash

    send = make_send("claimed-told")
    with pytest.raises(Crash):
        make_courier(store, senders={"push": Crashing()}).deliver([send])
    [again] = make_courier(store).deliver([send])
    assert receipt_of(again, bounded=True) is None


def test_of_who_was_deleted_nothing_is_told(make_send):
    """A receipt would make the user known again."""
    assert receipt_of(Delivery(make_send("x"), "suppressed", "deleted", at=NOW), bounded=False) is None
    assert receipt_of(Delivery(make_send("x"), "suppressed", "paused", at=NOW), bounded=False).kind == "suppressed"


def test_a_hand_off_that_the_provider_confirmed_is_accepted(make_send):
    confirmed = Delivery(make_send("x"), "duplicate", detail="confirmed", at=NOW)
    assert receipt_of(confirmed, bounded=False).kind == "accepted"
