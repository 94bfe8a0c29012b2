"""Which mailboxes may be written to, and which are one."""

import pytest
from core import HOUR, START
from hypothesis import given
from hypothesis import strategies as st

from transforms.events.event import RECEIPT, Event
from transforms.identity.mailbox import mailbox_key, named_mailbox, on_the_wire
from transforms.identity.profile import Profile


@pytest.mark.parametrize(
    ("mailbox", "wire"),
    [
        ("ada@example.com", "ada@example.com"),
        ("me@localhost", "me@localhost"),
        ("info@müller.example", "info@xn--mller-kva.example"),
        ("Info@MÜLLER.example", "Info@xn--mller-kva.example"),
        ("届@例え.jp", None),
        ("info@例え.jp", "info@xn--r8jz45g.jp"),
        ("foo..bar@docomo.ne.jp", '"foo..bar"@docomo.ne.jp'),
        ("foo.@ezweb.ne.jp", '"foo."@ezweb.ne.jp'),
        (".foo@t.vodafone.ne.jp", '".foo"@t.vodafone.ne.jp'),
        ("foo..bar@example.com", None),
        ("a@ü..example", None),
        ("a@" + "ü" * 300, None),
    ],
)
def test_a_mailbox_on_the_wire(mailbox, wire):
    assert on_the_wire(mailbox) == wire


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a@b.c", ("", "a@b.c")),
        (" <a@b.c> ", ("", "a@b.c")),
        ("Shop: Offers <shop@example.com>", ("Shop: Offers", "shop@example.com")),
        ("me: you; <shop@example.com>", ("me: you;", "shop@example.com")),
        (r'"A \"B\" \\ C" <a@b.c>', ('A "B" \\ C', "a@b.c")),
        ('"A" B <a@b.c>', ('"A" B', "a@b.c")),
        ("a@b.c, d <e@f.g>", ("a@b.c, d", "e@f.g")),
        ("Bob <", None),
        ("a@", None),
        ('"', None),
        ("", None),
        ("a@b.c d@e.f", None),
    ],
)
def test_a_mailbox_with_a_name(text, found):
    assert named_mailbox(text) == found


@given(st.text() | st.text('<>@".,;: a\\ü\n=?', max_size=20))
def test_no_text_makes_a_mailbox_raise(text):
    wire, found = on_the_wire(text), named_mailbox(text)
    for mailbox in filter(None, (wire, found and found[1])):
        assert mailbox.isascii()
        assert mailbox.count("@") == 1 or mailbox.startswith('"')
    assert mailbox_key(mailbox_key(text)) == mailbox_key(text)


@pytest.mark.parametrize("kind", ["bounced", "complained"])
@pytest.mark.parametrize(
    ("known", "told"),
    [
        ("ada@example.com", "Ada@Example.COM"),
        ("Ada@EXAMPLE.com", "ada@example.com"),
        ("info@müller.example", "INFO@XN--MLLER-KVA.example"),
        ("info@xn--mller-kva.example", "info@MÜLLER.example"),
    ],
)
def test_a_bounce_counts_however_the_mailbox_is_written(kind, known, told):
    profile = Profile()
    profile.apply(Event("m1", "identify", "", START, START, "u", traits={"email": known}))
    assert profile.addresses("email", user="u")
    said = {"kind": kind, "channel": "email", "address": told}
    profile.apply(Event("r1", RECEIPT, "Email Bounced", START, START + HOUR, "u", properties=said))
    assert not profile.addresses("email", user="u")


def test_what_was_blocked_by_an_older_version_stays_blocked():
    profile = Profile({"email": (1, "m", "Ada@example.com")}, blocked={"Ada@example.com": (2, "r", "bounced")})
    assert profile.addresses("email") == []
