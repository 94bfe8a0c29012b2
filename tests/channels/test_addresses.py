import pytest

from transforms.channels.address import Server
from transforms.channels.email.settings import SmtpAddress, parse_smtp
from transforms.channels.inbox.message import InboxMessage
from transforms.channels.line import settings as line
from transforms.channels.line.settings import parse_line
from transforms.channels.push import settings as push
from transforms.channels.push.settings import FcmAddress, parse_fcm
from transforms.channels.settings import MailSettings
from transforms.messages.definitions import Text


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("fcm:my-project1", FcmAddress("my-project1")),
        ("fcm:demo@http://127.0.0.1:80", FcmAddress("demo", Server("http://127.0.0.1:80", local=True))),
        ("fcm:demo@http://localhost:8080/", FcmAddress("demo", Server("http://localhost:8080", local=True))),
    ],
)
def test_fcm(url, address):
    assert parse_fcm(url) == address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("smtp://127.0.0.1:2525", SmtpAddress("127.0.0.1", 2525)),
        ("smtps://mail.example:465", SmtpAddress("mail.example", 465, tls=True)),
        ("smtps://a%40b:p%3Aw@mail.example:465", SmtpAddress("mail.example", 465, True, "a@b", "p:w")),
        ("smtp://[::1]:25/", SmtpAddress("::1", 25)),
    ],
)
def test_smtp(url, address):
    assert parse_smtp(url) == address


@pytest.mark.parametrize(
    "url",
    ["fcm:demo@http://fcm.example.com:80", "fcm:demo@http://127.0.0.1.example.com:80", "",
     "fcm", "fcm:", "fcm:UPPER", "fcm:demo@", "fcm:demo@localhost:1", "fcm:demo@http://h", "fcm:demo@http://h:x",
     "fcm:demo@http://h:1/path", "fcm:demo@http://:1", "http://h:1", "fcm:demo@http://h:99999"],
)  # fmt: skip
def test_what_is_not_fcm(url):
    with pytest.raises(ValueError, match=r"fcm:|http://HOST:PORT|port|over http://"):
        parse_fcm(url)


@pytest.mark.parametrize(
    "url",
    ["", "smtp:", "smtp://", "smtp://h", "smtp://:25", "smtp://h:x", "smtp://h:99999", "smtp://h:0", "smtp://h:1/path",
     "http://h:25", "h:25", "smtp://u:hunter2@h"],
)  # fmt: skip
def test_what_is_not_smtp(url):
    with pytest.raises(ValueError, match=r"smtp|port") as caught:
        parse_smtp(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.0.0.9", True), ("::1", True), ("mail.example", False), ("127.0.0.1.example", False)],
)
def test_loopback(host, loopback):
    assert SmtpAddress(host, 25).is_loopback is loopback


def test_settings_of_the_environment(caplog):
    assert MailSettings.from_environment({}) == MailSettings()
    assert caplog.text == ""
    environment = {"TODOKE_MAIL_FROM": "a@b.c", "TODOKE_UNSUBSCRIBE_URL": "https://b.c/u?x=1"}
    settings = MailSettings.from_environment(environment)
    assert settings == MailSettings("a@b.c", "https://b.c/u?x=1", "local")
    assert "TODOKE_UNSUBSCRIBE_SECRET is not set" in caplog.text
    caplog.clear()
    secret = {**environment, "TODOKE_UNSUBSCRIBE_SECRET": "s"}
    assert MailSettings.from_environment(secret).unsubscribe_secret == "s"
    assert caplog.text == ""


@pytest.mark.parametrize("base", ["ftp://x", "https://x y", "https://x\r\nBcc: y", "x"])
def test_an_unsubscribe_url_that_is_none(base):
    with pytest.raises(ValueError, match="TODOKE_UNSUBSCRIBE_URL"):
        MailSettings.from_environment({"TODOKE_UNSUBSCRIBE_URL": base})


def test_line_and_its_local_server():
    assert parse_line("line") == Server("https://api.line.me")
    assert parse_line("line@http://127.0.0.1:8080/") == Server("http://127.0.0.1:8080", local=True)
    assert parse_line("line@https://line.example.com:8443") == Server("https://line.example.com:8443")


@pytest.mark.parametrize(
    "url",
    [
        "line@http://line.example.com:80",
        "",
        "lines",
        "line@",
        "line@127.0.0.1:80",
        "line@http://127.0.0.1",
        "line@http://a:1/x",
    ],
)
def test_a_line_url_that_is_none(url):
    with pytest.raises(ValueError, match=r"expected line|a host and a port|no path|over http://"):
        parse_line(url)


@pytest.mark.parametrize(("settings", "told"), [(line.SETTINGS, "line"), (push.SETTINGS, "fcm:demo")])
def test_links_that_unsubscribe_are_asked_for_where_a_message_shows_them(settings, told):
    said = {settings.flags[0].name: (told,)}
    message = InboxMessage("leave", body=Text({"": "{{ unsubscribe_url }}"}))
    with pytest.raises(ValueError, match="set TODOKE_UNSUBSCRIBE_URL and TODOKE_UNSUBSCRIBE_SECRET: message `leave`"):
        settings.check_messages(said, {}, [message])
    for said_body in ("Hi", "{{ event.unsubscribe_url | default: 'unsubscribe_url' }}"):
        settings.check_messages(said, {}, [InboxMessage("stay", body=Text({"": said_body}))])
    settings.check_messages({settings.flags[0].name: (f"{told}@http://[::1]:80",)}, {}, [message])
