"""Parts of addresses of servers, as written on the command line."""

from urllib.parse import SplitResult, urlsplit

from transforms.events.plain import quoted, without_user

__all__ = ["local_server", "port_of"]


def local_server(text: str, url: str) -> str:
    """The server `http://HOST:PORT` that stands in `url`, which mistakes show.

    Raises:
      ValueError: saying what is expected.
    """
    server = urlsplit(text)
    port_of(server, without_user(url))
    if server.path.strip("/") or server.query or server.fragment:
        raise ValueError(f"a local server is http://HOST:PORT with no path; found {quoted(without_user(url))}")
    return text.rstrip("/")


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
