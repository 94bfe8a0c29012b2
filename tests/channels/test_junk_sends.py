"""Whatever users and events hold, and whatever templates do with it: each send has an answer, its neighbour goes."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from channels.handing import Whole
from hypothesis import given
from hypothesis import strategies as st

from transforms.campaigns.effects import Send
from transforms.channels.courier import Courier
from transforms.channels.email.message import MailMessage
from transforms.channels.email.settings import parse_smtp
from transforms.channels.email.transport import Mail
from transforms.channels.hosts import parse_allowed
from transforms.channels.inbox.message import InboxMessage
from transforms.channels.inbox.transport import InboxSender
from transforms.channels.line.message import LineMessage
from transforms.channels.line.settings import parse_line
from transforms.channels.line.transport import Line
from transforms.channels.outbox import Outbox
from transforms.channels.outcome import Outcome
from transforms.channels.push.message import PushMessage
from transforms.channels.push.settings import parse_fcm
from transforms.channels.push.transport import Push
from transforms.channels.settings import MailSettings
from transforms.channels.webhook.message import WebhookMessage
from transforms.channels.webhook.transport import Webhook
from transforms.events.plain import plain
from transforms.messages.definitions import Message, Text
from transforms.storage.sqlite.store import SqliteStore

NOW = 1_772_000_000_000_000
SETTINGS = MailSettings()

#: What templates do with a value, some of it what no one would write.
USES = st.sampled_from(
    [
        "{{ V }}",
        "{{ V | date: '%Y %s %L' }}",
        "{{ V | round }}",
        "{{ V | times: V | plus: 1 }}",
        "{{ V | split: '' | sort | join: V }}",
        "{{ V | append: V | truncate: 3 | url_decode | strip_html }}",
        "{{ V | slice: 0, 99999999999 }}",
        "{% for x in V %}{{ x }}{% endfor %}",
        "{% if V > 1 %}a{% else %}b{% endif %}",
        "{{ V.a.b[0] | default: 'x' }}",
        "{{ V | base64_decode }}",
        "{{ V | default: 1 | divided_by: 0 }}",
    ]
)
PLACES = st.sampled_from(["user.v", "event.v", "user.context.location.a", "given.v"])
TEXTS = st.builds(lambda use, place: use.replace("V", place), USES, PLACES)
ODD = st.sampled_from(
    [
        "\r\nBcc: x@y.z",
        "=?utf-8?q?a=0D=0AB:_c?=",
        "me: you; <a@b.c>",
        '"',
        "a@",
        "http://a..b/",
        "http://[::1/",
        "//x",
        "99999999999999999999",
        "-1e400",
        "\x00\x1b[2J\u202e",
        "\u2028",
        "<mj-raw>",
        "{{ user.v }}",
        "\U0010ffff" * 50,
        "x" * 5000,
    ]
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), ODD)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD, inner, max_size=3))


def messages(text: str) -> dict[str, Message]:
    """One message for each channel with a template in each of its fields."""
    t = Text({"": text})
    plain = Text({"": "fine"})
    return {
        "push": PushMessage(id="push", title=t, body=t, data={"d": t}, image=t, deep_link=t),
        "email": MailMessage(id="email", subject=t, text=t, html=t, sender=t, reply_to=t),
        "line": LineMessage(id="line", messages=[{"type": "text", "text": t}]),
        "webhook": WebhookMessage(id="webhook", url=t, headers={"x-a": t}, body={"a": t}),
        "inbox": InboxMessage(id="inbox", title=t, body=t, data={"a": [t]}),
        "fine push": PushMessage(id="fine push", title=plain),
        "fine email": MailMessage(id="fine email", subject=plain, text=plain),
        "fine line": LineMessage(id="fine line", text=plain),
        "fine webhook": WebhookMessage(id="fine webhook", url=Text({"": "https://192.0.2.7/"}), body={"a": plain}),
        "fine inbox": InboxMessage(id="fine inbox", title=plain),
    }


class Made(Whole):
    """Makes a message as a channel does, and hands it to nobody."""

    def __init__(self, channel: Any) -> None:
        self.make = channel.make  # type: ignore[method-assign]

    async def send(self, send: Send, made: Any) -> Outcome:
        return Outcome.handed_off("made")


@pytest.mark.parametrize("bounded", [True, False])
@given(
    text=st.lists(TEXTS | ODD, min_size=1, max_size=3).map("".join),
    value=VALUES,
    event=VALUES,
    address=ODD | st.text(max_size=30),
    zone=st.sampled_from(["UTC", "Asia/Tokyo", "Mars/Olympus", "../etc", "\x00", ""]),
    outbox=st.booleans(),
)
def test_each_send_has_an_answer(
    *, bounded: bool, text: str, value: Any, event: Any, address: str, zone: str, outbox: bool
) -> None:
    folder = Path(tempfile.mkdtemp())
    store = SqliteStore(folder / "store.db")
    fine = {"push": "token", "email": "a@example.com", "line": "U1", "webhook": "", "inbox": "u"}
    real = {
        "push": Made(Push(parse_fcm("fcm:demo@http://127.0.0.1:9"))),
        "email": Made(Mail(parse_smtp("smtp://127.0.0.1:9"), SETTINGS)),
        "line": Made(Line(parse_line("line@http://127.0.0.1:9"), "t")),
        "webhook": Made(Webhook("", parse_allowed(["192.0.2.0/24"]))),
        "inbox": InboxSender(store),
    }
    written = Outbox(folder / "outbox", SETTINGS)
    channels = dict.fromkeys(fine, written) if outbox else real
    sends = []
    for channel, sound in fine.items():
        said = {"v": value, "location": {"a": value}}
        odd = {"attributes": {**said, "context.location.a": value, "context.location": value}, "event": {"v": event}}
        common = {"campaign": "c", "entry": "e", "step": "s", "channel": channel, "decided_at": NOW, "not_after": NOW}
        more = {**odd, "template_events": {"given": {"v": event}}, "zone": zone, "user": "u"}
        sends += [
            Send(id=f"odd {channel}", message=channel, address=address, **common, **more),
            Send(id=f"fine {channel}", message=f"fine {channel}", address=sound, user="u", **common),
        ]
    courier = Courier(messages(text), channels, SETTINGS, "en", lambda _: NOW, store=store, bounded=bounded)
    try:
        answers = courier.deliver(sends)
        assert [answer.send for answer in answers] == sends
        for answer in answers:
            if answer.send.id.startswith("fine"):
                assert answer.state == "handed_off", answer
            assert answer.state in ("handed_off", "failed", "suppressed")
        rows = {row.send: row for row in store.scan_ledger()}
        assert {row.state for row in rows.values()} <= {"handed_off", "failed", "suppressed"}
        assert len(rows) == len(sends)
        assert all(plain(row.detail) == row.detail for row in rows.values() if row.state != "handed_off")
    finally:
        courier.close()
        store.close()
        shutil.rmtree(folder)
