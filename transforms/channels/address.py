"""Servers of providers, as written on the command line."""

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

import msgspec

from transforms.events.plain import quoted, without_user

__all__ = ["Server", "is_local", "is_loopback", "port_of", "server_of"]


class Server(msgspec.Struct, frozen=True):
    """A provider's server, without a path; a `local` one is on this machine, and asks for no credentials."""

    url: str
    local: bool = False


def server_of(text: str, shown: str) -> Server:
    """The server `http://HOST:PORT` or `https://HOST:PORT` in place of a provider's own; mistakes show `shown`.

    Raises:
      ValueError: saying what is expected.
    """
    parts = urlsplit(text)
    port_of(parts, without_user(shown))
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"a local server is http://HOST:PORT with no path; found {quoted(without_user(shown))}")
    return Server(text.rstrip("/"), is_local(parts, shown))


def is_local(server: SplitResult, shown: str) -> bool:
    """Whether a server is on this machine; mistakes show `shown`.

    Raises:
      ValueError: it is not, and what it is told could be read on the way.
    """
    local = is_loopback(server.hostname or "")
    if server.scheme == "http" and not local:
        raise ValueError(
            f"over http:// all could read tokens and messages: {quoted(without_user(shown))} must be https://, or on "
            "this machine"
        )
    return local


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def port_of(parts: SplitResult, shown: str) -> int:
    """The port of a server, which has a host, too.

    Raises:
      ValueError: saying what is expected.
    """
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"the port of {quoted(shown)} is not a number from 0 to 65535") from error
    if not parts.hostname or not port:
        raise ValueError(f"a host and a port are needed, such as localhost:8025; found {quoted(shown)}")
    return port
