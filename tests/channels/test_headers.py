"""Nothing that a user writes becomes a header, ends one, or is read as anything but text."""

import re
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.campaigns.effects import Send
from transforms.channels.email.message import MailMessage, RenderedMail
from transforms.channels.email.transport import Composed, compose
from transforms.channels.outcome import Outcome
from transforms.channels.settings import MailSettings
from transforms.identity.mailbox import named_mailbox
from transforms.messages.definitions import Text
from transforms.messages.render import RenderError, has_break, render

SEND = Send("0f3a", "c", "e", "s", "u", "email", "m", "ada@example.com", 0, 1, topic="news")
NAMES = ["From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post"]
ATTACK = "=?utf-8?q?hi=0D=0AReply-To:_evil@example.com=0D=0A=0D=0AYour_account_is_locked?="

#: Text as users write it, with what stands for something in a header.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=200) | st.lists(
    st.sampled_from(
        [ATTACK, "=?utf-8?b?", "?=", " ", "  ", "a", "ü", "\u3000", '"', "\\", "<a@b.c>", ":", ";", ",", "()"]
    )
).map("".join)


def composed(**texts: str) -> Composed:
    found = compose(SEND, RenderedMail(**{"subject": "S", "text": "T", **texts}), MailSettings())
    assert isinstance(found, Composed)
    return found


def head_of(mail: Composed) -> list[tuple[str, str]]:
    """The header by hand: lines that begin with a blank go on with the one before."""
    head = mail.content.partition(b"\r\n\r\n")[0].decode("ascii")
    assert max(map(len, head.split("\r\n"))) <= 998
    lines = re.sub(r"\r\n(?=[ \t])", "", head).split("\r\n")
    return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]


def name_of(header: str) -> str:
    """The display name, by the old parser: the new one of Python 3.11 puts blanks between encoded words of names."""
    name, _, _ = header.rpartition("<")
    decoded = str(make_header(decode_header(name.strip())))
    return re.sub(r"\\(.)", r"\1", decoded[1:-1]) if name.startswith('"') else decoded


@given(TEXTS | st.text(st.characters(exclude_categories=["Cs"])), TEXTS | st.none())
def test_bodies_are_those_of_the_standard_library(text, html):
    message = EmailMessage(policy=policy.SMTP.clone(cte_type="7bit"))
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
        message.set_boundary("=0f3a=")
    made = compose(SEND, RenderedMail("S", text, html), MailSettings())
    assert isinstance(made, Composed)
    assert made.content.endswith(message.as_bytes())


def test_an_encoded_word_of_a_user_is_text():
    mail = composed(subject=f"New comment: {ATTACK}", sender=f"{ATTACK} <a@b.c>", reply_to=f'"{ATTACK}" <d@e.f>')
    parsed = BytesParser(policy=policy.default).parsebytes(mail.content)
    assert parsed["Subject"] == f"New comment: {ATTACK}"
    assert name_of(dict(head_of(mail))["From"]) == ATTACK
    assert [address.addr_spec for address in parsed["Reply-To"].addresses] == ["d@e.f"]
    assert parsed.get_content() == "T\r\n"
    assert b"evil" not in mail.content


@given(subject=TEXTS, name=TEXTS, reply=TEXTS)
def test_headers_hold_what_was_written_and_nothing_else(subject, name, reply):
    subject, name = subject.strip() or "S", name.strip()
    mail = composed(subject=subject, sender=f"{name} <a@b.c>", reply_to=f"{reply} <d@e.f>")
    head = head_of(mail)
    assert [name for name, _ in head if not name.startswith(("MIME", "Content"))] == [NAMES[0], "Reply-To", *NAMES[1:]]
    parsed = BytesParser(policy=policy.default).parsebytes(mail.content)
    assert parsed["Subject"] == subject
    assert name_of(dict(head)["From"]) == named_mailbox(f"{name} <a@b.c>")[0]
    assert [address.addr_spec for address in parsed["From"].addresses] == ["a@b.c"]
    assert [address.addr_spec for address in parsed["Reply-To"].addresses] == ["d@e.f"]
    assert not parsed["From"].groups[0].display_name
    assert parsed.get_content() == "T\r\n"
    assert (mail.sender, mail.recipient) == ("a@b.c", "ada@example.com")


@given(st.text())
def test_what_is_rendered_into_a_header_is_one_line_or_refused(text):
    message = MailMessage(
        "m", Text({"": "New: {{ event.text }}"}), text=Text({"": "T"}), sender=Text({"": "{{ event.text }} <a@b.c>"})
    )
    try:
        rendered = render(message, {"event": {"text": text}}, None, "en")
    except RenderError:
        assert has_break(text) or "\ud800" <= max(text) <= "\udfff"
        return
    assert isinstance(rendered, RenderedMail)
    mail = compose(SEND, rendered, MailSettings())
    assert isinstance(mail, Composed)
    assert [name for name, _ in head_of(mail) if not name.startswith(("MIME", "Content"))] == NAMES


@pytest.mark.parametrize(
    "subject", ["カートに商品が残っています。 " * 8, "ü " * 90, "a" * 300, "a b  c " * 40, "x" + " " * 200 + "y"]
)
def test_a_long_subject_loses_no_blank(subject):
    parsed = BytesParser(policy=policy.default).parsebytes(composed(subject=subject.strip()).content)
    assert parsed["Subject"] == subject.strip()


def test_nobody_can_end_a_part():
    forged = "\n--=0f3a=\nContent-Type: text/html\n\n<b>forged</b>\n--=0f3a==\n--=0f3a=--\n"
    mail = composed(text=forged, html=f"<p>x</p>{forged}")
    parts = list(BytesParser(policy=policy.default).parsebytes(mail.content).iter_parts())
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/html"]
    assert parts[0].get_content().replace("\r\n", "\n") == forged


@pytest.mark.parametrize("key", ["sender", "reply_to"])
@pytest.mark.parametrize("value", ["a@", '"', "Bob <", "nobody", "a@b.c, d@e.f", ""])
def test_who_sends_is_refused_when_it_is_rendered(key, value):
    message = MailMessage("m", Text({"": "S"}), text=Text({"": "T"}), **{key: Text({"": "{{ event.text }}"})})
    field = {"sender": "from"}.get(key, key)
    with pytest.raises(RenderError, match=f"{field}: expected a mailbox"):
        render(message, {"event": {"text": value}}, None, "en")


def test_a_sender_of_the_environment_is_checked():
    for wrong in ("nobody", "a@b.c\nBcc: d@e.f"):
        with pytest.raises(ValueError, match="TODOKE_MAIL_FROM must be like"):
            MailSettings.from_environment({"TODOKE_MAIL_FROM": wrong})


def test_an_international_domain(make_send):
    mail = compose(make_send("info@müller.example", id="0f3a"), RenderedMail("S", "T"), MailSettings())
    assert not isinstance(mail, Outcome)
    assert mail.recipient == "info@xn--mller-kva.example"
    assert b"To: info@xn--mller-kva.example\r\n" in mail.content


def test_no_text_ends_a_part_of_a_mail():
    texts = "--=0f3a=\r\n--=0f3a=0=--", f"<p>{'=0f3a=' + '=' * 100}</p>"
    parsed = BytesParser(policy=policy.default).parsebytes(composed(text=texts[0], html=texts[1]).content)
    assert len(parsed.get_boundary()) <= 70  # RFC 2046, 5.1.1
    assert tuple(part.get_content().strip() for part in parsed.iter_parts()) == texts
