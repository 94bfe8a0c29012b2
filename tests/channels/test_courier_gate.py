"""What is asked just before a send is claimed: the wall clock, the campaign as it is now, what became of the user."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from channels.handing import Whole

from transforms.channels.outcome import Outcome
from transforms.channels.receipts import receipt_of
from transforms.channels.rules import Rule
from transforms.events.times import read_time, write_time
from transforms.storage.open import open_store
from transforms.storage.rows import HoldRow, LedgerState, UserRow
from transforms.storage.store import StoreError

SECOND = 1_000_000
HOUR = 3600 * SECOND
#: Ten in the evening in UTC, and the end of a night from nine to eight.
EVENING, MORNING = read_time("2026-03-10T22:00:00Z"), read_time("2026-03-11T08:00:00Z")
NIGHT = (21 * 60, 8 * 60)


@pytest.fixture
def make(make_send):
    def make(address, **changes):
        return make_send(address, **{"decided_at": EVENING, "not_after": EVENING + 24 * HOUR, **changes})

    return make


@pytest.fixture
def live(make_courier, store):
    return lambda now=EVENING, **options: make_courier(store, now=now, bounded=False, **options)


def said(deliveries):
    return [(delivery.state, delivery.reason) for delivery in deliveries]


def rows(store):
    return {row.send.removeprefix("id-"): (row.state, row.detail) for row in store.scan_ledger()}


# The wall clock.


def test_in_quiet_hours_a_live_send_waits_unclaimed_for_the_morning(fcm, live, store, make):
    send = make("sleeper", quiet=NIGHT)
    [delivery] = live().deliver([send])
    assert (delivery.state, delivery.reason, delivery.retry_at) == ("later", "quiet", MORNING)
    assert said(live(MORNING - 1).deliver([send])) == [("later", "quiet")]
    assert (rows(store), fcm.requests["sleeper"]) == ({}, 0)
    assert said(live(MORNING).deliver([send, send])) == [("handed_off", ""), ("duplicate", "")]
    assert fcm.requests["sleeper"] == 1


def test_the_hours_are_those_of_the_user(live, make):
    zones = ["America/New_York", "UTC", "Asia/Tokyo", "no zone"]
    deliveries = live().deliver([make(f"z{zone}", zone=zone, quiet=NIGHT) for zone in zones])
    assert [delivery.retry_at for delivery in deliveries] == [None, MORNING, read_time("2026-03-10T23:00:00Z"), MORNING]


@pytest.mark.parametrize(
    ("not_after", "state"), [(MORNING, "later"), (MORNING - 1, "expired"), (EVENING - 1, "expired")]
)
def test_who_would_wait_too_long_is_not_sent_to(live, store, make, not_after, state):
    send = make("late", quiet=NIGHT, not_after=not_after)
    assert [delivery.state for delivery in live().deliver([send])] == [state]
    assert rows(store) == ({"late": ("expired", "")} if state == "expired" else {})


@pytest.mark.parametrize("bounded", [True, False])
def test_a_send_of_a_schedule_that_comes_too_late_is_missed_and_told_so(fcm, make_courier, url, make, bounded):
    store = open_store(url)
    rules = {"win_back": Rule(scheduled=True), "other": Rule()}
    sends = [
        make("missed", not_after=EVENING - 1),
        make("in time", not_after=EVENING),
        make("other", campaign="other", not_after=EVENING - 1),
        make("gone", campaign="gone", not_after=EVENING - 1),
    ]
    ends = [("suppressed", "missed"), ("handed_off", ""), ("expired", ""), ("suppressed", "stopped")]
    first = make_courier(store, now=EVENING, rules=rules, bounded=bounded).deliver(sends)
    assert said(first) == ends
    assert rows(store)["missed"] == ("suppressed", "missed")
    again = make_courier(store, now=EVENING + HOUR, rules=rules, bounded=bounded).deliver(sends)
    assert said(again) == [("duplicate", reason) for _, reason in ends]
    told = [receipt_of(delivery, bounded=bounded) for delivery in first]
    assert told == [receipt_of(delivery, bounded=bounded) for delivery in again]
    assert [(receipt.kind, receipt.reason) for receipt in told[:1]] == [("suppressed", "missed")]
    assert fcm.requests["missed"] == 0
    store.close()


def test_a_send_of_a_schedule_that_waited_for_a_provider_expires(make_courier, url, make):
    """The ledger remembers that, whoever asks next."""
    store = open_store(url)
    rules = {"win_back": Rule(scheduled=True)}
    name = f"quota1-{url.partition(':')[0]}"  # once for each store
    send = make(name, not_after=EVENING + SECOND)
    assert said(make_courier(store, now=EVENING, rules=rules, bounded=False).deliver([send])) == [("later", "quota")]
    too_late = make_courier(store, now=EVENING + HOUR, rules=rules, bounded=False)
    assert said(too_late.deliver([send])) == [("expired", "")]
    assert rows(store) == {name: ("expired", "")}
    store.close()


def test_one_id_that_comes_twice_at_night_waits_once(live, make):
    send = make("twins", quiet=NIGHT)
    assert said(live().deliver([send, send])) == [("later", "quiet"), ("duplicate", "")]


def test_a_bounded_run_has_no_morning(store, make_courier, make):
    send = make("night", quiet=NIGHT)
    assert said(make_courier(store, now=EVENING).deliver([send])) == [("suppressed", "quiet")]
    assert rows(store) == {"night": ("suppressed", "quiet")}
    assert said(make_courier(store, now=MORNING).deliver([send])) == [("duplicate", "quiet")]


def test_a_send_that_was_refused_for_now_waits_on_over_night(fcm, live, make):
    send = make("quota1-night", quiet=NIGHT)
    dusk = EVENING - HOUR - SECOND
    assert said(live(dusk).deliver([send])) == [("later", "quota")]
    [night] = live(dusk + 2 * SECOND).deliver([send])
    assert (night.reason, night.retry_at) == ("quiet", MORNING)
    assert said(live(MORNING).deliver([send])) == [("handed_off", "")]
    assert fcm.requests[send.address] == 2


class Recording(Whole):
    """A channel that takes everything, and notes who got what."""

    def __init__(self):
        self.sent = []

    async def send(self, send, made):
        self.sent.append(send)
        return Outcome.handed_off("")


def test_a_backlog_of_six_hours_read_at_once_sends_nothing_at_night_and_nothing_expired(live, store, make):
    zones = ["Asia/Tokyo", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]
    backlog = [
        make(
            f"b{number}",
            zone=zones[number % 5],
            quiet=NIGHT if number % 7 else None,
            decided_at=(decided := EVENING - number * 6 * HOUR // 700),
            not_after=decided + (1 + number % 12) * HOUR,
        )
        for number in range(700)
    ]
    waiting, at, ends = backlog, EVENING, {}
    while waiting:
        channel = Recording()
        deliveries = live(at, senders={"push": channel}).deliver(waiting)
        for send in channel.sent:
            local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).astimezone(ZoneInfo(send.zone))
            assert at <= send.not_after
            assert send.quiet is None or 8 <= local.hour < 21
        ends |= {each.send.id: each.state for each in deliveries if each.state != "later"}
        later = [delivery for delivery in deliveries if delivery.state == "later"]
        assert all(at < delivery.retry_at <= delivery.send.not_after for delivery in later)
        waiting, at = [each.send for each in later], min((each.retry_at for each in later), default=at)
    assert len(ends) == len(backlog)
    assert set(ends.values()) == {"handed_off", "expired"}
    asleep = [send for send in backlog if send.zone == "UTC" and send.quiet and send.not_after < MORNING]
    assert {ends[send.id] for send in asleep} == {"expired"}


# The campaign as it is now.


@pytest.mark.parametrize(
    "case",  # the campaigns' statuses now, reason
    [({"win_back": "paused"}, "paused"), ({"win_back": "stopped"}, "stopped"), ({"other": "live"}, "stopped")],
)
@pytest.mark.parametrize("bounded", [True, False])
def test_a_campaign_that_was_paused_stopped_or_removed_sends_nothing(make_courier, store, make, case, bounded):
    statuses, reason = case
    send = make(f"status{reason}")
    courier = make_courier(
        store, now=EVENING, bounded=bounded, rules={name: Rule(status) for name, status in statuses.items()}
    )
    assert said(courier.deliver([send])) == [("suppressed", reason)]
    assert rows(store) == {send.address: ("suppressed", reason)}
    resumed = make_courier(store, now=EVENING, bounded=bounded, rules={"win_back": Rule()})
    assert said(resumed.deliver([send, make("another")])) == [("duplicate", reason), ("handed_off", "")]


def test_a_hand_off_stands_whatever_comes_after(live, store, make):
    send = make("stands")
    live(rules={"win_back": Rule()}).deliver([send])
    assert said(live(EVENING + 48 * HOUR, rules={}).deliver([send])) == [("duplicate", "")]
    assert rows(store)["stands"][0] == LedgerState.HANDED_OFF


# What became of the user.


def put(store, user, **profile):
    store.write_users([UserRow(user, 1, b"", msgspec.json.encode({"user": user, **profile}))])


BEFORE, AFTER = write_time(EVENING - HOUR), write_time(EVENING + 1)


@pytest.mark.parametrize(
    "case",  # the profile as the row shows it, reason
    [
        ({"deleted": AFTER}, "deleted"),
        ({"deleted": BEFORE}, "deleted"),  # as the deletion is timed; it may have come later
        ({"deleted": BEFORE, "known_since": AFTER}, "deleted"),
        ({"deleted": BEFORE, "known_since": write_time(EVENING)}, ""),  # decided for who came back
        ({"known_since": AFTER}, ""),
        ({"consent": {"marketing/push": False}}, "no_consent"),
        ({"consent": {"all/push": False, "marketing/push": True}}, "no_consent"),
        ({"consent": {"all/push": True, "marketing/push": True}}, ""),
        ({"consent": {"all/email": False, "marketing/email": False, "news/push": False}}, ""),
        ({"consent": {}}, ""),
        ({"tokens": ["another", "looked-up"]}, ""),
        ({"tokens": ["another"]}, "unreachable"),  # dead, or somebody else's by now
        ({}, ""),
    ],
)
def test_deletion_and_unsubscribe_are_looked_up_when_a_live_send_is_claimed(fcm, live, store, make, case):
    profile, reason = case
    send = make("looked-up")
    before = fcm.requests[send.address]
    put(store, send.user, **profile)
    state = "suppressed" if reason else "handed_off"
    assert said(live().deliver([send])) == [(state, reason)]
    assert fcm.requests[send.address] == before + (not reason)
    # Nothing is kept of who was deleted, not even that.
    assert rows(store).get("looked-up", ("", ""))[0] == ("" if reason == "deleted" else state)


def test_nothing_goes_to_a_mailbox_that_was_blocked_meanwhile(smtp, live, store, make):
    """Not even what is transactional; and the user's other mailboxes are not meant."""
    blocked, other = make("blocked@example.com", topic=None), make("other@example.com", user="owner of both")
    put(store, blocked.user, blocked={"blocked@example.com": "bounced"})
    put(store, other.user, blocked={"blocked@example.com": "complained"}, tokens=[])
    assert said(live().deliver([blocked, other])) == [("suppressed", "unreachable"), ("handed_off", "")]
    assert smtp.tried["blocked@example.com"] == 0
    assert rows(store)["blocked.example.com"] == ("suppressed", "unreachable")


def test_a_mailbox_that_was_blocked_is_known_however_it_is_written(smtp, live, store, make):
    send = make("Blocked.Later@Example.COM")
    put(store, send.user, blocked={"blocked.later@example.com": "bounced"})
    assert said(live().deliver([send])) == [("suppressed", "unreachable")]
    assert smtp.tried[send.address] == 0


def test_a_transactional_send_asks_for_no_consent_and_obeys_deletion(live, store, make):
    denied, gone = make("denied", topic=None), make("gone", topic=None)
    put(store, denied.user, consent={"all/push": False})
    put(store, gone.user, deleted=AFTER)
    assert said(live().deliver([denied, gone])) == [("handed_off", ""), ("suppressed", "deleted")]


def test_an_id_that_was_merged_is_looked_up_at_its_owner(live, store, make):
    sends = [make(f"merged{number}", user=f"~a{number}") for number in range(4)]
    # The last one's token is still on its way to its owner.
    for number, profile in enumerate([{"deleted": AFTER}, {"consent": {"all/push": False}}, {"tokens": []}]):
        put(store, f"~a{number}", owner=f"u{number}")
        put(store, f"u{number}", **profile)
    put(store, "~a3", owner="unknown")
    expected = [("suppressed", "deleted"), ("suppressed", "no_consent"), ("handed_off", ""), ("handed_off", "")]
    assert said(live().deliver(sends)) == expected


def test_of_an_id_that_was_merged_more_than_once_the_last_owner_is_asked(live, store, make):
    for name, owner in (("~a", "u1"), ("u1", "u2"), ("u2", "u3"), ("round", "about"), ("about", "round")):
        put(store, name, owner=owner)
    put(store, "u3", consent={"offers/push": False})
    sends = [make(f"to {user}", user=user, topic="offers") for user in ("~a", "u1", "u2", "round")]
    assert said(live().deliver(sends)) == [("suppressed", "no_consent")] * 3 + [("handed_off", "")]


def test_a_bounded_run_asks_the_state_machine_and_whether_the_user_was_deleted(make_courier, store, make):
    """Its rows are those of the end, and decisions are of before."""
    send, gone = make("replayed"), make("deleted since")
    put(store, send.user, consent={"all/push": False})
    put(store, gone.user, deleted=AFTER)
    assert said(make_courier(store, now=EVENING).deliver([send, gone])) == [
        ("handed_off", ""),
        ("suppressed", "deleted"),
    ]
    assert store.read_ledger(gone.user) == []


def test_users_are_looked_up_together_and_a_store_that_fails_stops_the_batch(fcm, make_courier, store, make):
    class Counting:
        claim, record = staticmethod(store.claim), staticmethod(store.record)

        def __init__(self):
            self.asked = []

        def read_users(self, users):
            if sum(self.asked) == 100:
                raise StoreError("down")
            self.asked.append(len(users))
            return store.read_users(users)

    counting = Counting()
    courier = make_courier(counting, now=EVENING, bounded=False)
    courier.deliver([make(f"together{number}") for number in range(100)])
    assert counting.asked == [100]
    with pytest.raises(StoreError):
        courier.deliver([make("unasked")])
    assert fcm.requests["unasked"] == 0


# What is held back since a budget is used up.

LOW, HIGH, ALWAYS = ({"win_back": Rule(priority=priority)} for priority in (29, 30, None))


@pytest.fixture
def hold(store):
    def hold(until=EVENING + HOUR, since=EVENING - HOUR, below=30):
        store.write_hold(HoldRow(below, ("fast",), since, until))

    return hold


def test_what_is_held_back_waits_unclaimed_and_asks_again(fcm, live, store, make, hold):
    hold()
    send = make("held")
    [delivery] = live(rules=LOW).deliver([send])
    assert (delivery.state, delivery.reason, delivery.retry_at) == ("later", "held", EVENING + 300 * SECOND)
    assert (rows(store), fcm.requests["held"]) == ({}, 0)
    assert said(live(EVENING + HOUR, rules=LOW).deliver([send], waited=True)) == [("handed_off", "")]


@pytest.mark.parametrize("rules", [HIGH, ALWAYS])
def test_others_go_out(live, make, hold, rules):
    hold()
    assert said(live(rules=rules).deliver([make("other")])) == [("handed_off", "")]


@pytest.mark.parametrize("changes", [{"below": 0}, {"until": EVENING}, {"since": EVENING + 1}])
def test_a_hold_that_is_over_holds_nothing(live, make, hold, changes):
    hold(**changes)
    assert said(live(rules=LOW).deliver([make("other")])) == [("handed_off", "")]


def test_a_hold_ends_before_it_is_asked_again(live, make, hold):
    hold(until=EVENING + 60 * SECOND)
    assert live(rules=LOW).deliver([make("held")])[0].retry_at == EVENING + 60 * SECOND


def test_what_is_held_until_it_expires_says_so(live, store, make, hold):
    hold()
    send = make("held", not_after=EVENING + 60 * SECOND)
    [delivery] = live(rules=LOW).deliver([send])
    assert delivery.retry_at == EVENING + 61 * SECOND
    assert said(live(EVENING + 61 * SECOND, rules=LOW).deliver([send], waited=True)) == [("expired", "held")]
    assert rows(store) == {"held": ("expired", "held")}


def test_who_is_deleted_meanwhile_is_not_held_but_refused(live, store, make, hold):
    hold()
    store.write_users([UserRow("gone", 1, b"", b'{"user": "gone", "deleted": true}')])
    assert said(live(rules=LOW).deliver([make("held", user="gone")])) == [("suppressed", "deleted")]


def test_a_run_over_files_waits_for_nothing(make_courier, store, make, hold):
    hold()
    courier = make_courier(store, now=EVENING, bounded=True, rules=LOW)
    assert said(courier.deliver([make("other")])) == [("handed_off", "")]
