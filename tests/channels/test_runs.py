"""Sends of campaigns that reach many at once: one mail a mailbox, and no faster than their rate."""

import pytest
from channels.handing import Whole

from transforms.channels.outcome import Outcome
from transforms.channels.rules import Rule, rules_of
from transforms.storage.rows import LedgerState
from transforms.storage.store import StoreError


class Kept(Whole):
    """A channel that takes everything."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, send, made):
        self.sent.append(send.id)
        return Outcome.handed_off("kept")


RULES = {"win_back": Rule(broadcast=True)}


def said(deliveries):
    return [(delivery.send.id, delivery.state, delivery.reason) for delivery in deliveries]


@pytest.mark.parametrize("bounded", [True, False])
def test_who_shares_a_mailbox_gets_one_mail_of_a_run(make_courier, store, make_send, bounded):
    channel = Kept()
    courier = make_courier(store, senders={"email": channel, "push": channel}, rules=RULES, bounded=bounded)
    both = f"both{bounded}@example.com"
    sends = [
        make_send(both, id=f"a{bounded}", user="ada"),
        make_send(both.upper(), id=f"b{bounded}", user="bob"),
        make_send(f"one{bounded}@example.com", id=f"c{bounded}", user="eve"),
        make_send("token", id=f"d{bounded}", user="dan"),
    ]
    assert said(courier.deliver(sends)) == [
        (f"a{bounded}", "handed_off", ""),
        (f"b{bounded}", "suppressed", "same_mailbox"),
        (f"c{bounded}", "handed_off", ""),
        (f"d{bounded}", "handed_off", ""),
    ]
    later = make_send(both, id=f"e{bounded}", user="fay")
    assert said(courier.deliver([later])) == [(f"e{bounded}", "suppressed", "same_mailbox")]
    assert channel.sent == [f"{name}{bounded}" for name in "acd"]


def test_another_run_and_another_step_have_mails_of_their_own(make_courier, store, make_send):
    courier = make_courier(store, senders={"email": Kept()}, rules=RULES)
    sends = [
        make_send("own@example.com", id=f"own{entry}{step}", user=f"u{entry}{step}", entry=entry, step=step)
        for entry in ("e1", "e2")
        for step in ("s1", "s2")
    ]
    assert {state for _, state, _ in said(courier.deliver(sends))} == {"handed_off"}


def test_a_campaign_that_reaches_one_at_a_time_asks_for_no_mailbox(make_courier, store, make_send):
    courier = make_courier(store, senders={"email": Kept()}, rules={"win_back": Rule()})
    sends = [make_send("family@example.com", id=f"family{user}", user=user) for user in ("ada", "bob")]
    assert [state for _, state, _ in said(courier.deliver(sends))] == ["handed_off", "handed_off"]


def test_the_one_who_has_the_mailbox_is_sent_to_after_a_crash(make_courier, store, make_send):
    """The mailbox was claimed, and then the process died before the send was."""
    send = make_send("crash@example.com", id="crash", user="ada")

    class Dying:
        read_users = staticmethod(store.read_users)

        def claim(self, rows):
            if [row.send for row in rows] == ["crash"]:
                raise StoreError("gone")
            return store.claim(rows)

    with pytest.raises(StoreError):
        make_courier(Dying(), senders={"email": Kept()}, rules=RULES).deliver([send])
    again = make_courier(store, senders={"email": Kept()}, rules=RULES)
    assert said(again.deliver([send])) == [("crash", "handed_off", "")]


def test_the_claim_of_a_mailbox_is_no_claim_that_lapses(make_courier, store, make_send):
    courier = make_courier(store, senders={"email": Kept()}, rules=RULES)
    courier.deliver([make_send("lapse@example.com", id="lapse", user="ada")])
    claims = [row for row in store.scan_ledger() if row.state == LedgerState.CLAIMED]
    assert {row.lease for row in claims} <= {0}


def test_what_campaigns_say(compiled_run):
    assert rules_of(compiled_run) == {
        "sale": Rule("paused", resend=True, broadcast=True, scheduled=True, interval=60_000.0, priority=50),
        "hello": Rule("live", priority=50),
    }


@pytest.fixture
def compiled_run():
    from core import compile_plain

    return compile_plain(
        {
            "segments": {"a": {"members": {"event": "A"}}},
            "campaigns": {
                "sale": {
                    "status": "paused",
                    "trigger": {"schedule": {"cron": "0 9 * * *"}},
                    "audience": {"segment": "a"},
                    "steps": [{"id": "s", "send": "m"}],
                    "consent": "news",
                    "reenter": "always",
                    "on_unknown": "resend",
                    "rate": {"at_most": 1000, "per": "1m"},
                },
                "hello": {"trigger": {"enters": "a"}, "steps": [{"id": "h", "send": "m"}], "consent": "news"},
            },
            "messages": {"m": {"channel": "push", "title": "x"}},
        }
    )
