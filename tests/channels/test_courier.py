from collections import Counter

import msgspec
import pytest
from channels.handing import Whole

from transforms.channels.email.settings import parse_smtp
from transforms.channels.email.transport import Mail
from transforms.channels.push.local_fcm import LocalFcm
from transforms.channels.push.message import PushMessage
from transforms.channels.push.settings import parse_fcm
from transforms.channels.push.transport import Push
from transforms.channels.settings import MailSettings
from transforms.messages.definitions import Text
from transforms.storage.rows import LedgerState
from transforms.storage.store import StoreError

NOW = 1_772_000_000_000_000
SECOND = 1_000_000


def row_of(store, send):
    [row] = [row for row in store.read_ledger(send.user) if row.send == send.id]
    return row


@pytest.mark.parametrize(
    "case",  # token, state, reason, requests that FCM saw, messages that it took
    [
        ("ok", "handed_off", "", 1, 1),
        ("dead-", "failed", "dead_token", 1, 0),
        ("invalid-", "failed", "dead_token", 1, 0),
        ("auth-", "failed", "auth", 1, 0),
        ("mismatch-", "failed", "sender_mismatch", 1, 0),
        ("quota-", "failed", "quota", 3, 0),
        ("quota2-", "handed_off", "", 3, 1),
        ("busy-", "failed", "unavailable", 3, 0),
        ("busy1-", "handed_off", "", 2, 1),
        ("internal-", "unknown", "server_error", 1, 0),
        ("unavailable-", "unknown", "server_error", 1, 0),
        ("cutbefore-", "unknown", "cut", 1, 0),
        ("cutafter-", "unknown", "cut", 1, 1),
    ],
)
def test_every_answer_of_fcm(fcm, store, make_courier, make_send, case):
    token, state, reason, requests, received = case
    send = make_send(f"{token}a")
    courier = make_courier(store)
    [delivery] = courier.deliver([send])
    assert (delivery.send, delivery.state, delivery.reason) == (send, state, reason)
    row = row_of(store, send)
    assert row.state == state
    assert row.detail.startswith(delivery.detail if state == "handed_off" else reason)
    [again] = courier.deliver([send])
    assert again.state == "duplicate"
    assert row_of(store, send) == row
    assert fcm.requests[send.address] == requests
    assert [message["token"] for message in fcm.received].count(send.address) == received


@pytest.mark.parametrize(
    "case",  # mailbox, state, reason, RCPTs that the server saw, mails that it took
    [
        ("ok", "handed_off", "", 1, 1),
        ("bounce-", "failed", "bad_address", 1, 0),
        ("reject-", "failed", "rejected", 1, 0),
        ("grey-", "failed", "greylisted", 3, 0),
        ("grey1-", "handed_off", "", 2, 1),
        ("cutdata1-", "handed_off", "", 2, 1),
        ("cutafter-", "unknown", "cut", 1, 1),
    ],
)
def test_every_answer_of_smtp(smtp, store, make_courier, make_send, case):
    mailbox, state, reason, tried, received = case
    send = make_send(f"{mailbox}a@example.com")
    courier = make_courier(store)
    [delivery] = courier.deliver([send])
    assert (delivery.state, delivery.reason) == (state, reason)
    assert row_of(store, send).state == state
    [again] = courier.deliver([send])
    assert again.state == "duplicate"
    assert smtp.tried[send.address] == tried
    assert [mail.recipients for mail in smtp.received].count((send.address,)) == received


def test_no_answer_in_time_is_unknown(fcm, store, make_courier, make_send):
    send = make_send("slow-a")
    courier = make_courier(store, timeout=0.2)
    assert [delivery.reason for delivery in courier.deliver([send])] == ["timeout"]
    assert row_of(store, send).state == LedgerState.UNKNOWN
    assert courier.deliver([send])[0].state == "duplicate"
    assert fcm.requests[send.address] == 1


@pytest.mark.parametrize("channel", ["push", "email"])
def test_a_server_that_is_not_there(make_courier, make_send, pauses, unused_port, channel):
    channels = {
        "push": Push(parse_fcm(f"fcm:demo-project@http://127.0.0.1:{unused_port}")),
        "email": Mail(parse_smtp(f"smtp://127.0.0.1:{unused_port}"), MailSettings()),
    }
    send = make_send("a@example.com" if channel == "email" else "a")
    [delivery] = make_courier(senders=channels).deliver([send])
    assert (delivery.state, delivery.reason) == ("later", "connect")
    assert pauses == [5.0, 5.0]


def test_a_server_that_was_away_for_a_whole_batch_is_waited_for_once(make_courier, make_send, pauses):
    server = LocalFcm.start()
    channels = {"push": Push(parse_fcm(f"fcm:demo-project@{server.url}"))}
    courier = make_courier(senders=channels)
    server.go_down()
    for batch in range(3):
        sends = [make_send(f"away{batch}{number}") for number in range(3)]
        assert {each.state for each in courier.deliver(sends)} == {"later"}
    assert pauses == [5.0] * 6
    server.come_back()
    assert [each.state for each in courier.deliver([make_send("back")])] == ["handed_off"]
    server.go_down()
    assert [each.state for each in courier.deliver([make_send("gone")])] == ["later"]
    assert pauses == [5.0] * 8
    server.stop()


def test_pauses_follow_the_server_up_to_five_seconds(make_courier, make_send, pauses):
    courier = make_courier()
    courier.deliver([make_send("quota-p")])
    assert pauses == [2.0, 2.0]
    courier.deliver([make_send("grey-p@example.com")])
    assert pauses == [2.0, 2.0, 5.0, 5.0]


def test_one_id_goes_out_once_without_a_store(fcm, make_courier, make_send):
    sends = [make_send("twin"), make_send("twin"), make_send("other")]
    courier = make_courier()
    assert [delivery.state for delivery in courier.deliver(sends)] == ["handed_off", "duplicate", "handed_off"]
    assert [delivery.state for delivery in courier.deliver(sends)] == ["duplicate"] * 3
    assert fcm.requests["twin"] == 1


def test_a_second_process_finds_the_claim(fcm, store, make_courier, make_send):
    send = make_send("claimed")
    assert make_courier(store).deliver([send])[0].state == "handed_off"
    assert make_courier(store).deliver([send])[0].state == "duplicate"
    assert fcm.requests["claimed"] == 1


def test_a_claim_somebody_else_holds_is_left(fcm, store, make_courier, make_send):
    send = make_send("held")

    class Crash(BaseException):
        pass

    class Crashing(Whole):
        async def send(self, send, made):
            raise Crash

    with pytest.raises(Crash):
        make_courier(store, senders={"push": Crashing()}).deliver([send])
    row = row_of(store, send)
    assert (row.state, row.lease) == (LedgerState.CLAIMED, NOW + 300 * SECOND)
    assert make_courier(store, now=NOW + 900 * SECOND).deliver([send])[0].state == "duplicate"
    assert fcm.requests["held"] == 0


def test_expired_is_counted_once_and_never_over_a_hand_off(fcm, store, make_courier, make_send):
    late, sent = make_send("late", not_after=NOW - 1), make_send("sent", not_after=NOW)
    courier = make_courier(store)
    assert [delivery.state for delivery in courier.deliver([late, sent])] == ["expired", "handed_off"]
    assert row_of(store, late).state == LedgerState.EXPIRED
    hour_later = make_courier(store, now=NOW + 3600 * SECOND)
    assert [delivery.state for delivery in hour_later.deliver([late, sent])] == ["duplicate", "duplicate"]
    assert row_of(store, sent).state == LedgerState.HANDED_OFF
    assert fcm.requests["late"] == 0


def test_what_cannot_be_rendered_is_suppressed_with_its_reason_in_the_ledger(fcm, store, make_courier, make_send):
    messages = {"push": PushMessage(id="push", title=Text({"": "{{ user.first_name }}"}))}
    sends = [
        make_send("r1"),
        make_send("r2", message="gone"),
        make_send("r3", zone="Mars/Olympus"),
        make_send("r4", channel="fax"),
        make_send("r5", attributes={"first_name": "Ada"}),
    ]
    deliveries = make_courier(store, messages=messages).deliver(sends)
    assert [(delivery.state, delivery.reason) for delivery in deliveries] == [
        ("suppressed", "render_error"),
        ("suppressed", "render_error"),
        ("suppressed", "render_error"),
        ("suppressed", "no_channel"),
        ("handed_off", ""),
    ]
    assert deliveries[0].detail == "title: user.first_name is undefined"
    assert {row.send: (row.state, row.detail.partition(":")[0]) for row in store.scan_ledger()} == {
        "id-r1": ("suppressed", "render_error"),
        "id-r2": ("suppressed", "render_error"),
        "id-r3": ("suppressed", "render_error"),
        "id-r4": ("suppressed", "no_channel"),
        "id-r5": ("handed_off", deliveries[4].detail),
    }
    assert [fcm.requests[send.address] for send in sends] == [0, 0, 0, 0, 1]


def test_live_retries_go_back_to_the_caller(fcm, store, make_courier, make_send, pauses):
    send = make_send("quota1-live")
    [first] = make_courier(store, bounded=False).deliver([send])
    assert (first.state, first.reason, first.retry_at) == ("later", "quota", NOW + 2 * SECOND)
    [early] = make_courier(store, bounded=False, now=NOW + SECOND).deliver([send])
    assert (early.state, early.retry_at) == ("later", NOW + 2 * SECOND)
    assert fcm.requests[send.address] == 1
    [due] = make_courier(store, bounded=False, now=NOW + 2 * SECOND).deliver([send])
    assert due.state == "handed_off"
    assert row_of(store, send).attempts == 2
    [after] = make_courier(store, bounded=False, now=NOW + 3 * SECOND).deliver([send])
    assert after.state == "duplicate"
    assert fcm.requests[send.address] == 2
    assert pauses == []


def test_live_pauses_grow_while_a_server_is_not_there(store, make_courier, make_send, unused_port):
    address = parse_fcm(f"fcm:demo-project@http://127.0.0.1:{unused_port}")
    send, now, pauses = make_send("away"), NOW, []
    while True:
        channels = {"push": Push(address)}
        [delivery] = make_courier(store, bounded=False, now=now, senders=channels).deliver([send])
        if delivery.state != "later":
            break
        assert delivery.reason == "connect"
        pauses.append((delivery.retry_at - now) // SECOND)
        now = delivery.retry_at
    assert delivery.state == "expired"
    assert pauses == [5, 10, 20, 40, 80, 160, *[300] * 11]
    assert send.not_after < now <= send.not_after + 300 * SECOND


def test_a_live_pause_is_never_shorter_than_the_provider_says(fcm, store, make_courier, make_send):
    send = make_send("quota3-said")
    first = make_courier(store, bounded=False).deliver([send])[0].retry_at
    second = make_courier(store, bounded=False, now=first).deliver([send])[0].retry_at
    third = make_courier(store, bounded=False, now=second).deliver([send])[0].retry_at
    assert (first - NOW, second - first, third - second) == (2 * SECOND, 4 * SECOND, 8 * SECOND)
    assert make_courier(store, bounded=False, now=third).deliver([send])[0].state == "handed_off"


def test_a_live_retry_can_expire(fcm, store, make_courier, make_send):
    send = make_send("quota-old", not_after=NOW + SECOND)
    assert make_courier(store, bounded=False).deliver([send])[0].state == "later"
    assert make_courier(store, bounded=False, now=NOW + 2 * SECOND).deliver([send])[0].state == "expired"
    assert row_of(store, send).state == LedgerState.EXPIRED
    assert fcm.requests[send.address] == 1


@pytest.mark.parametrize("state", ["unknown", "claimed", "handed_off"])
def test_a_released_claim_that_somebody_else_took_meanwhile_is_theirs(fcm, store, make_courier, make_send, state):
    """A sweep, or a courier of a shard that moved to another worker, between this one's look and its claim."""
    send, mine = make_send(f"quota1-{state}"), make_send(f"quota1-mine {state}")
    assert [each.state for each in make_courier(store, bounded=False).deliver([send, mine])] == ["later", "later"]

    class Slow:
        record, resolve, read_users = staticmethod(store.record), staticmethod(store.resolve), store.read_users

        def claim(self, rows):
            standing = store.claim(rows)
            store.record([theirs])
            return standing

    theirs = msgspec.structs.replace(row_of(store, send), state=state, at=NOW + SECOND)
    courier = make_courier(Slow(), bounded=False, now=NOW + 2 * SECOND)
    assert [delivery.state for delivery in courier.deliver([send, mine])] == ["duplicate", "handed_off"]
    assert row_of(store, send) == theirs
    assert (fcm.requests[send.address], fcm.requests[mine.address]) == (1, 2)


def test_a_big_batch_keeps_its_order(fcm, smtp, store, make_courier, make_send):
    before = len(smtp.received), smtp.connections
    sends = [make_send(f"b{number}" + ("@example.com" if number % 2 else "")) for number in range(200)]
    deliveries = make_courier(store).deliver(sends)
    assert [delivery.send for delivery in deliveries] == sends
    assert {delivery.state for delivery in deliveries} == {"handed_off"}
    assert sum(fcm.requests[send.address] for send in sends) == 100
    assert len(smtp.received) - before[0] == 100
    assert smtp.connections - before[1] <= 8
    assert len(list(store.scan_ledger())) == 200


@pytest.mark.parametrize(("users", "in_turn", "most"), [(1, (), 64), (1000, (), 256), (1000, ("push",), 64)])
def test_at_most_64_of_a_shard_and_256_in_all_are_in_flight(make_courier, make_send, users, in_turn, most):
    import asyncio

    from transforms.channels.flight import shard_of
    from transforms.channels.outcome import Outcome

    class Counting(Whole):
        def __init__(self):
            self.now, self.most = Counter(), Counter()

        async def send(self, send, made):
            for what in (shard_of(send), "all"):
                self.now[what] += 1
                self.most[what] = max(self.most[what], self.now[what])
            await asyncio.sleep(0)
            self.now -= Counter([shard_of(send), "all"])
            return Outcome.handed_off("")

    channel = Counting()
    sends = [make_send(f"f{number}", user=f"u{number % users}") for number in range(1000)]
    answers = make_courier(senders={"push": channel}, in_turn=in_turn).deliver(sends)
    assert [answer.send for answer in answers] == sends
    assert channel.most.pop("all") == most
    assert max(channel.most.values()) <= 64


def test_mail_waits_for_its_connections_no_longer_than_a_lease(tmp_path):
    """A courier of a job starts as many mails as of one shard: the last waits for 64 / 8 others."""
    from transforms.channels.destinations import Channels

    assert Channels(str(tmp_path), {"email": ("smtp://localhost:25",), "webhook": ()}).in_turn == {"email"}
    assert Channels(str(tmp_path), {}).in_turn == frozenset()


def test_a_ledger_that_fails_stops_the_batch(fcm, store, make_courier, make_send):
    class Down:
        read_users = staticmethod(store.read_users)

        def claim(self, rows):
            raise StoreError("down")

        def record(self, rows):
            raise StoreError("down")

    with pytest.raises(StoreError):
        make_courier(Down()).deliver([make_send("down")])
    assert fcm.requests["down"] == 0


def test_a_ledger_that_cannot_record_stops_the_batch_and_leaves_the_claims(fcm, store, make_courier, make_send):
    class ReadOnly:
        claim, read_users = staticmethod(store.claim), staticmethod(store.read_users)

        def record(self, rows):
            raise StoreError("down")

    sends = [make_send(f"norecord{number}") for number in range(5)]
    with pytest.raises(StoreError):
        make_courier(ReadOnly()).deliver(sends)
    assert {row_of(store, send).state for send in sends} == {LedgerState.CLAIMED}
    assert {delivery.state for delivery in make_courier(store).deliver(sends)} == {"duplicate"}


def test_live_sends_of_an_outage_go_out_when_the_server_is_back(store, make_courier, make_send):
    server = LocalFcm.start()
    address, sends = parse_fcm(f"fcm:demo-project@{server.url}"), [make_send(f"out{number}") for number in range(3)]

    def deliver(now):
        return make_courier(store, bounded=False, now=now, senders={"push": Push(address)}).deliver(sends)

    server.go_down()
    refused = deliver(NOW)
    assert {(delivery.state, delivery.reason) for delivery in refused} == {("later", "connect")}
    server.come_back()
    assert {delivery.state for delivery in deliver(refused[0].retry_at)} == {"handed_off"}
    assert sorted(message["token"] for message in server.received) == ["out0", "out1", "out2"]
    server.stop()
