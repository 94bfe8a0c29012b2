"""Where channels are, as written on the command line."""

import re
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from transforms.events.plain import without_user

__all__ = ["FcmAddress", "LineAddress", "SmtpAddress", "parse_fcm", "parse_line", "parse_smtp"]

_FCM = re.compile(r"fcm:(?P<project>[a-z][a-z0-9-]{2,62})(@(?P<server>https?://.+))?")
_LINE = re.compile(r"line(@(?P<server>https?://.+))?")


class FcmAddress(msgspec.Struct, frozen=True):
    """A Firebase project and its server; a `local` server asks for no credentials."""

    project: str
    server: str = "https://fcm.googleapis.com"
    local: bool = False


class LineAddress(msgspec.Struct, frozen=True):
    """The server of LINE's Messaging API; a `local` one asks for no token."""

    server: str = "https://api.line.me"
    local: bool = False


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
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


def parse_fcm(url: str) -> FcmAddress:
    """Read `fcm:PROJECT` or, for a local server, `fcm:PROJECT@http://HOST:PORT`.

    Raises:
      ValueError: saying what is expected.
    """
    match = _FCM.fullmatch(url)
    if not match:
        raise ValueError(f"expected fcm:PROJECT or fcm:PROJECT@http://HOST:PORT; found {without_user(url)!r}")
    if match["server"] is None:
        return FcmAddress(match["project"])
    return FcmAddress(match["project"], _local_server(match["server"], url), local=True)


def parse_line(url: str) -> LineAddress:
    """Read `line` or, for a local server, `line@http://HOST:PORT`.

    Raises:
      ValueError: saying what is expected.
    """
    match = _LINE.fullmatch(url)
    if not match:
        raise ValueError(f"expected line or line@http://HOST:PORT; found {without_user(url)!r}")
    return LineAddress() if match["server"] is None else LineAddress(_local_server(match["server"], url), local=True)


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
        port=_port(parts, shown),
        tls=parts.scheme == "smtps",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def _local_server(text: str, url: str) -> str:
    server = urlsplit(text)
    _port(server, without_user(url))
    if server.path.strip("/") or server.query or server.fragment:
        raise ValueError(f"a local server is http://HOST:PORT with no path; found {without_user(url)!r}")
    return text.rstrip("/")


def _port(parts: SplitResult, shown: str) -> int:
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"the port of {shown!r} is not a number from 0 to 65535") from error
    if not parts.hostname or not port:
        raise ValueError(f"a host and a port are needed, such as localhost:8025; found {shown!r}")
    return port
