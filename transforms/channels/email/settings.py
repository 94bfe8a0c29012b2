"""What mails are told at a launch: a mail server, and from whom they are."""

import os
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import msgspec

from transforms.channels.address import is_loopback, port_of
from transforms.channels.channel import ChannelSettings, Flag, Told, read_flag
from transforms.channels.settings import LINKS_URL, UNSUBSCRIBE_URL, missing_links

__all__ = ["SETTINGS", "SMTP_PASSWORD", "SMTP_USER", "SmtpAddress", "parse_smtp"]

#: Who logs in to the mail server.
SMTP_USER, SMTP_PASSWORD = "TODOKE_SMTP_USER", "TODOKE_SMTP_PASSWORD"


class SmtpAddress(msgspec.Struct, frozen=True):
    """A mail server; `tls` is TLS from the first byte on. `user` and `password` are empty where none were given."""

    host: str
    port: int
    tls: bool = False
    user: str = ""
    password: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine."""
        return is_loopback(self.host)


def parse_smtp(url: str) -> SmtpAddress:
    """Read `smtp://[USER:PASSWORD@]HOST:PORT` or `smtps://…`; `%40` and the like stand for themselves.

    Raises:
      ValueError: saying what is expected, without the password.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("expected smtp://HOST:PORT or smtps://[USER:PASSWORD@]HOST:PORT")
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return SmtpAddress(
        host=parts.hostname or "",
        port=port_of(parts, shown),
        tls=parts.scheme == "smtps",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def _check(told: Told, environment: Mapping[str, str]) -> None:
    server = read_flag("email", parse_smtp, told["email"][0])
    if server.is_loopback:
        return
    if server.password:
        raise ValueError(f"--email: a password in a URL is seen by all: set {SMTP_USER} and {SMTP_PASSWORD}")
    sender = () if environment.get("TODOKE_MAIL_FROM") else ("TODOKE_MAIL_FROM",)
    if missing := [*sender, *missing_links(environment)]:
        raise ValueError(
            f"--email: set {', '.join(missing)}: without them mails come from nobody, and anybody can forge the "
            "links that unsubscribe"
        )


def _travels(told: Told) -> Told:
    """The password for a server on this machine goes to the environment."""
    [url] = told["email"]
    server = parse_smtp(url)
    if not (server.user or server.password):
        return told
    os.environ.update({SMTP_USER: server.user, SMTP_PASSWORD: server.password})
    parts = urlsplit(url)
    return {**told, "email": (parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),)}


SETTINGS = ChannelSettings(
    flags=(Flag("email", "smtp://HOST:PORT or smtps://HOST:PORT"),),
    variables=("TODOKE_MAIL_FROM", UNSUBSCRIBE_URL, LINKS_URL, SMTP_USER),
    secrets=(SMTP_PASSWORD,),
    receipts={"bad_address": "bounced"},
    check=_check,
    travels=_travels,
)
