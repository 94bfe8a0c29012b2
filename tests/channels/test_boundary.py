"""One message that nobody can make, or whose call raises, costs no other: the 63 beside it go out."""

import asyncio
import re
from base64 import b64decode, b64encode
from urllib.parse import quote

import pytest
from channels.handing import Whole

from transforms.campaigns.release import OlderDefinitions
from transforms.channels.channel import secret_values
from transforms.channels.outbox import Outbox
from transforms.channels.outcome import DETAIL, Outcome
from transforms.channels.push.message import PushMessage
from transforms.channels.receipts import receipt_of
from transforms.channels.settings import MailSettings
from transforms.events.plain import plain
from transforms.messages.definitions import Text
from transforms.messages.secrets import MASK
from transforms.storage.rows import LedgerState
from transforms.storage.store import StoreError

BOTH = pytest.mark.parametrize("bounded", [True, False])


class Fragile(Whole):
    """Takes everything but `odd`, of which `make` or `send` raises."""

    def __init__(self, in_make=None, in_send=None):
        self.in_make, self.in_send = in_make, in_send
        self.calls = []

    def make(self, send, rendered):
        if send.address == "odd" and self.in_make:
            raise self.in_make
        return rendered

    async def send(self, send, made):
        self.calls.append(send.address)
        await asyncio.sleep(0)
        if send.address == "odd" and self.in_send:
            raise self.in_send
        return Outcome.handed_off("taken")


def logged(caplog):
    """What couriers logged: servers of other tests, which end meanwhile, log, too."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("transforms.")]


def batch(make_send):
    return [make_send("odd" if number == 17 else f"token{number}") for number in range(64)]


def row_of(store, send):
    [row] = store.read_ledger(send.user)
    return row


@BOTH
@pytest.mark.parametrize("error", [KeyError("x"), RecursionError(), AttributeError("\x1b[31mred\u202e")])
def test_a_message_that_cannot_be_made_is_refused_alone(store, make_courier, make_send, *, caplog, bounded, error):
    channel, sends = Fragile(in_make=error), batch(make_send)
    courier = make_courier(store, senders={"push": channel}, bounded=bounded)
    deliveries = courier.deliver(sends)
    odd = deliveries.pop(17)
    assert (odd.state, odd.reason) == ("suppressed", "render_error")
    assert {each.state for each in deliveries} == {"handed_off"}
    row = row_of(store, odd.send)
    assert row.state == LedgerState.SUPPRESSED
    assert row.detail.startswith(f"render_error: {type(error).__name__}")
    assert plain(row.detail) == row.detail
    assert receipt_of(odd, bounded=bounded).kind == "suppressed"
    assert len(channel.calls) == 63
    courier.deliver([make_send("odd", id="another")])
    [text] = logged(caplog)
    assert "Traceback" in text
    assert type(error).__name__ in text
    assert "\x1b" not in text


@BOTH
@pytest.mark.parametrize("error", [TypeError("no"), UnicodeError("host"), RecursionError()])
def test_a_call_that_raises_is_unknown_alone(store, make_courier, make_send, *, pauses, caplog, bounded, error):
    channel, sends = Fragile(in_send=error), batch(make_send)
    courier = make_courier(store, senders={"push": channel}, bounded=bounded)
    deliveries = courier.deliver(sends)
    odd = deliveries.pop(17)
    assert (odd.state, odd.reason) == ("unknown", "internal")
    assert {each.state for each in deliveries} == {"handed_off"}
    assert {row.state for row in store.scan_ledger()} == {"handed_off", "unknown"}
    assert row_of(store, odd.send).detail.startswith(f"internal: {type(error).__name__}")
    assert receipt_of(odd, bounded=bounded).kind == "unknown"
    [again] = courier.deliver([odd.send])
    assert (again.state, again.detail, receipt_of(again, bounded=bounded).kind) == ("duplicate", "unknown", "unknown")
    assert (channel.calls.count("odd"), pauses, len(logged(caplog))) == (1, [], 1)


class Unspeakable(Exception):
    def __str__(self):
        raise TypeError("no text")


@BOTH
def test_an_error_without_a_text_and_one_that_quotes_a_secret_say_what_they_may(
    store, make_courier, make_send, caplog, bounded
):
    settings = MailSettings(secrets={"CRM": "hunter2"})
    for error in (Unspeakable(), ValueError("https://hunter2@crm.example")):
        for kind in ("in_make", "in_send"):
            name = f"{kind}{type(error).__name__}"
            courier = make_courier(
                store, senders={"push": Fragile(**{kind: error})}, bounded=bounded, settings=settings
            )
            [odd] = courier.deliver([make_send("odd", id=name, user=name)])
            assert (odd.state, odd.reason) in (("suppressed", "render_error"), ("unknown", "internal"))
            assert type(error).__name__ in odd.detail
    assert len(logged(caplog)) == 4
    assert not any("hunter2" in text for text in logged(caplog))
    assert not any("hunter2" in row.detail for row in store.scan_ledger())


SECRET = "line-token/17+x"


class Echoing(Whole):
    """A provider that answers with what it was sent."""

    def __init__(self, answer):
        self.answer = answer

    async def send(self, send, made):
        return self.answer


@BOTH
@pytest.mark.parametrize(
    "echo",
    [
        f"you sent Bearer {SECRET}.",
        f"https://x.example/?token={quote(SECRET, safe='')}",
        *(f"Basic {b64encode(f'{user}:{SECRET}'.encode()).decode()}" for user in ("A", "AB", "ABC")),
        "x" * (DETAIL - 8) + SECRET,
    ],
)
def test_a_provider_that_echoes_a_secret_tells_nobody(store, make_courier, make_send, bounded, echo):
    answers = [
        Outcome.failed("auth", echo),
        Outcome.unknown("server_error", echo),
        Outcome.retry("quota", 1, echo),
        Outcome.handed_off(echo),
    ]
    for answer in answers:
        courier = make_courier(store, senders={"push": Echoing(answer)}, bounded=bounded, hidden=[SECRET, ""])
        [delivery] = courier.deliver([make_send("t", id=answer.state, user=answer.state)])
        assert MASK in delivery.detail
        assert len(delivery.detail) <= DETAIL
        shown = delivery.detail + row_of(store, delivery.send).detail
        assert not any(shown.count(part) for part in (SECRET[:8], quote(SECRET, safe="")[:8]))
        assert not any(SECRET.encode()[3:-3] in decoded(shown[start:]) for start in range(len(shown)))


def decoded(text):
    """What the beginning of a text is in base64."""
    letters = re.match("[A-Za-z0-9+/]*", text)[0]
    return b64decode(letters[: len(letters) // 4 * 4])


def test_the_secrets_of_every_channel_are_known(tmp_path):
    (tmp_path / "token").write_text("of a file\n")
    environment = {
        "TODOKE_SMTP_PASSWORD": "pw",
        "TODOKE_LINE_TOKEN": f"file:{tmp_path / 'token'}",
        "TODOKE_SMS_TOKEN": "file:/no/such/file",
        "TODOKE_UNSUBSCRIBE_SECRET": "signs",
        "TODOKE_MAIL_FROM": "Shop <shop@example.com>",
    }
    assert {*filter(None, secret_values(environment))} == {"pw", "of a file", "signs"}


@BOTH
@pytest.mark.parametrize("error", [StoreError("down"), OlderDefinitions(1, 2), MemoryError(), OSError(28, "full")])
def test_what_is_no_fault_of_a_message_fails_the_bundle(store, make_courier, make_send, bounded, error):
    sends = batch(make_send)
    unmade = make_courier(store, senders={"push": Fragile(in_make=error)}, bounded=bounded)
    with pytest.raises(type(error)):
        unmade.deliver(sends)
    assert list(store.scan_ledger()) == []
    raising = make_courier(store, senders={"push": Fragile(in_send=error)}, bounded=bounded)
    with pytest.raises(type(error)):
        raising.deliver(sends)
    states = {send.address: row_of(store, send).state for send in sends}
    assert states.pop("odd") == LedgerState.CLAIMED
    assert set(states.values()) == {LedgerState.HANDED_OFF}


def test_nothing_is_claimed_where_an_outbox_cannot_be_written(tmp_path, store, make_courier, make_send):
    (tmp_path / "out").write_text("a file, and no folder")
    outbox = Outbox(tmp_path / "out", MailSettings())
    sends = [make_send("t1"), make_send("a@example.com")]
    for send in sends:
        with pytest.raises(OSError, match="out"):
            make_courier(store, senders={"push": outbox, "email": outbox}).deliver([send])
    assert list(store.scan_ledger()) == []
    (tmp_path / "out").unlink()
    deliveries = make_courier(store, senders={"push": outbox, "email": outbox}).deliver(sends)
    assert [each.state for each in deliveries] == ["handed_off"] * 2


@BOTH
def test_a_full_disk_loses_no_send(tmp_path, store, make_courier, make_send, *, bounded, monkeypatch):
    """Nothing of a message stands anywhere, and whoever comes next writes it, without a sweep and once."""
    outbox = Outbox(tmp_path, MailSettings())
    channels = {"push": outbox, "email": outbox}
    sends = [make_send("t1", id="p1"), make_send("t2", id="p2"), make_send("a@example.com", id="m1")]
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "m1.eml").symlink_to("/dev/full")

    def half(file, line):
        file.write(line[: len(line) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("transforms.channels.outbox._write_all", half)
        for send in sends:
            with pytest.raises(OSError, match=r"No space left on device: '.*(push-|m1\.eml)"):
                make_courier(store, senders=channels, bounded=bounded).deliver([send])
    assert list((tmp_path / "mail").iterdir()) == []
    assert [path.read_bytes() for path in tmp_path.glob("push-*")] == [b""]
    for states in (["handed_off"] * 3, ["duplicate"] * 3):
        deliveries = make_courier(store, senders=channels, bounded=bounded).deliver(sends)
        assert [each.state for each in deliveries] == states
    assert [path.read_bytes().count(b"\n") for path in tmp_path.glob("push-*")] == [2]
    assert [path.name for path in (tmp_path / "mail").iterdir()] == ["m1.eml"]


@BOTH
def test_verdicts_that_are_known_before_are_written_by_the_claim(tmp_path, store, make_courier, make_send, bounded):
    """They keep the state and the reason that a call would have given."""

    claimed = []

    class Counting:
        read_users, record, resolve = staticmethod(store.read_users), None, None

        def claim(self, rows):
            claimed.extend((row.state, row.detail.partition(":")[0]) for row in rows)
            return store.claim(rows)

    long = PushMessage(id="long", title=Text({"": "x" * 4200}))
    ledger = Counting()
    real = make_courier(ledger, bounded=bounded, messages={"long": long})
    outbox = Outbox(tmp_path, MailSettings())
    shown = make_courier(ledger, bounded=bounded, messages={"long": long}, senders={"push": outbox})
    large, same = make_send(f"large{bounded}", message="long"), make_send(f"outbox{bounded}", message="long")
    for courier, send in ((real, large), (shown, same)):
        [delivery] = courier.deliver([send])
        assert (delivery.state, delivery.reason) == ("failed", "too_large")
        assert receipt_of(delivery, bounded=bounded).kind == "failed"
    assert claimed == [("failed", "too_large")] * 2
    assert list(tmp_path.glob("push*")) == []
