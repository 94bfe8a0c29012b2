import asyncio
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

import pytest
from channels.handing import hand_over

from transforms.channels.email.message import RenderedMail
from transforms.channels.email.settings import parse_smtp
from transforms.channels.email.transport import Composed, Mail, compose
from transforms.channels.outcome import Outcome
from transforms.channels.push.message import RenderedPush
from transforms.channels.settings import MailSettings
from transforms.channels.unsubscribe import read_unsubscribe
from transforms.identity.mailbox import on_the_wire

GOLDEN = Path(__file__).parent / "golden"
SETTINGS = MailSettings(sender="Shop <hello@shop.example>", unsubscribe_base="https://shop.example/u")


def parse(composed: Composed | Outcome) -> EmailMessage:
    assert isinstance(composed, Composed)
    parsed = BytesParser(policy=policy.default).parsebytes(composed.content)
    assert isinstance(parsed, EmailMessage)
    return parsed


@pytest.mark.parametrize(
    ("name", "mail", "changes"),
    [
        ("text", RenderedMail("Your order", "Shipped.\n.\nThanks"), {"topic": None}),
        (
            "html",
            RenderedMail(
                "カートに商品が残っています。お買い忘れはありませんか。",
                "カートを見る\n",
                "<html><body><p>カートを<b>見る</b></p></body></html>",
                "ショップ <cart@shop.example>",
                "help@shop.example",
            ),
            {},
        ),
    ],
)
def test_the_message_byte_for_byte(make_send, name, mail, changes):
    composed = compose(make_send("ada@example.com", id="0f3a", **changes), mail, SETTINGS)
    assert isinstance(composed, Composed)
    assert composed.content == (GOLDEN / f"{name}.eml").read_bytes()


def test_one_click_unsubscribe_of_a_long_user_id(make_send):
    send = make_send("ada@example.com", user="届" * 85)
    parsed = parse(compose(send, RenderedMail("S", "T"), SETTINGS))
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = parsed["List-Unsubscribe"]
    assert link.startswith("<https://shop.example/u?token=")
    found = read_unsubscribe(link.removesuffix(">").partition("token=")[2], "local")
    assert (found.user, found.topic, found.channel) == (send.user, "marketing", "email")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@@example.com",
        "a@b@c.d",
        "ada@example.com\r\nBcc: v@example.com",
        "ada@example.com\n",
        "ada@example.com, v@example.com",
        "Ada <ada@example.com>",
        "ada lovelace@example.com",
        "a..b@example.com",
        ".a@example.com",
        "ada@-example.com",
        "ada@example..com",
        '"a b"@example.com',
        "adä@example.com",
        "a" * 65 + "@example.com",
        "a@" + ".".join(["b" * 60] * 5),
        "ada@example.com> SIZE=1",
    ],
)
def test_bad_addresses_never_reach_the_server(smtp, make_send, make_courier, address):
    assert on_the_wire(address) is None
    before = smtp.connections
    [delivery] = make_courier().deliver([make_send(address, channel="email", message="mail")])
    assert (delivery.state, delivery.reason) == ("failed", "bad_address")
    assert smtp.connections == before


@pytest.mark.parametrize("address", ["ada@example.com", "a.b+c@x.example", "u1@localhost", "o'hara@example.co.jp"])
def test_good_addresses(make_send, address):
    composed = compose(make_send(address), RenderedMail("S", "T"), SETTINGS)
    assert composed.recipient == str(parse(composed)["To"]) == address


@pytest.mark.parametrize(
    "mail",
    [
        RenderedMail("a\r\nBcc: v@example.com", "T"),
        RenderedMail("S", "T", sender="Shop <a@b.c>\r\nBcc: v@example.com"),
        RenderedMail("S", "T", reply_to="a@b.c\nBcc: v@example.com"),
        RenderedMail("S", "T", sender="nobody"),
        RenderedMail("S", "T", sender="a@b.c, d@e.f"),
        RenderedMail("S", "T", sender="<>"),
    ],
)
def test_headers_that_are_not_one_line_or_one_sender(make_send, mail):
    outcome = compose(make_send("ada@example.com"), mail, SETTINGS)
    assert isinstance(outcome, Outcome)
    assert (outcome.state, outcome.reason) == ("failed", "rejected")


def test_what_the_server_gets_is_what_was_composed(smtp, make_send):
    send = make_send("dots@example.com")
    mail = RenderedMail("S", ".\n..\n.dot\nend", "<p>.</p>")

    async def run() -> list[Outcome]:
        channel = Mail(parse_smtp(smtp.url), SETTINGS)
        try:
            return [await hand_over(channel, send, mail), await hand_over(channel, send, mail)]
        finally:
            await channel.close()

    before = smtp.connections
    first, second = asyncio.run(run())
    assert first == second == Outcome.handed_off("<id-dots.example.com@shop.example>")
    got = [mail for mail in smtp.received if mail.recipients == ("dots@example.com",)]
    assert len(got) == 2
    assert got[0] == got[1]
    assert got[0].sender == "hello@shop.example"
    assert got[0].content == compose(send, mail, SETTINGS).content
    assert smtp.connections == before + 1


def test_a_server_that_closed_an_idle_connection(smtp, make_send):
    async def run() -> list[Outcome]:
        channel = Mail(parse_smtp(smtp.url), SETTINGS)
        try:
            first = await hand_over(channel, make_send("idle1@example.com"), RenderedMail("S", "T"))
            smtp.hang_up()  # blocks the loop too, so the channel cannot have noticed
            return [first, await hand_over(channel, make_send("idle2@example.com"), RenderedMail("S", "T"))]
        finally:
            await channel.close()

    assert [outcome.state for outcome in asyncio.run(run())] == ["handed_off", "handed_off"]


def test_a_push_is_not_a_mail(smtp, make_send):
    with pytest.raises(TypeError):
        asyncio.run(hand_over(Mail(parse_smtp(smtp.url), SETTINGS), make_send("a@b.c"), RenderedPush("a", "b")))


@contextmanager
def speaking(*lines: bytes) -> Iterator[tuple[str, list[list[bytes]]]]:
    """A mail server that answers commands as `lines` say (`MAIL 421 closing`), each once; all others with yes."""
    left = [line.split(b" ", 1) for line in lines]
    heard: list[list[bytes]] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            commands: list[bytes] = []
            heard.append(commands)
            self.wfile.write(b"220 here\r\n")
            for line in self.rfile:
                word = line.split()[0].upper()
                commands.append(word)
                said = next((each for each in left if each[0] == word), None)
                if said is not None:
                    left.remove(said)
                    self.wfile.write(said[1] + b"\r\n")
                elif word == b"EHLO":
                    self.wfile.write(b"250-here\r\n250 AUTH PLAIN\r\n")
                elif word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    while self.rfile.readline() != b".\r\n":
                        pass
                    self.wfile.write(b"250 taken\r\n")
                else:
                    self.wfile.write(b"235 yes\r\n" if word == b"AUTH" else b"250 yes\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"smtp://127.0.0.1:{server.server_address[1]}", heard
        server.shutdown()


def hand_over_all(url: str, *sends) -> list[Outcome]:
    async def run() -> list[Outcome]:
        channel = Mail(parse_smtp(url), SETTINGS)
        try:
            return [await hand_over(channel, send, RenderedMail("S", "T")) for send in sends]
        finally:
            await channel.close()

    return asyncio.run(run())


def test_an_idle_connection_that_the_server_ends_with_421_is_opened_anew(make_send):
    """https://github.com/chatmail/filtermail/issues/143: the answer to a command that it had not read."""
    sends = [make_send("a@example.com"), make_send("b@example.com")]
    with speaking(b"MAIL 250 yes", b"MAIL 421 command timeout") as (url, heard):
        assert [each.state for each in hand_over_all(url, *sends)] == ["handed_off", "handed_off"]
        assert [commands.count(b"DATA") for commands in heard] == [1, 1]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"MAIL 421 too many connections", ("retry", "connect", True)),
        (b"AUTH 454 4.7.0 Temporary authentication failure", ("retry", "connect", True)),
        (b"AUTH 535 5.7.8 Authentication credentials invalid", ("failed", "auth", False)),
        (b"MAIL 451 later", ("retry", "greylisted", False)),
        (b"MAIL 452 full", ("retry", "unavailable", False)),
    ],
)
def test_what_says_nothing_about_a_mail(make_send, monkeypatch, said, expected):
    monkeypatch.setenv("TODOKE_SMTP_USER", "me")
    monkeypatch.setenv("TODOKE_SMTP_PASSWORD", "pw")
    with speaking(said) as (url, _):
        [outcome] = hand_over_all(url, make_send("a@example.com"))
    assert (outcome.state, outcome.reason, outcome.says_nothing) == expected
