"""Addresses of servers that messages call."""

import re
from ipaddress import IPv6Address
from urllib.parse import unquote, urlsplit

__all__ = ["web_address"]

#: A scheme, user and host without a backslash (parsers disagree about it), and printable ASCII.
_URL = re.compile(r"https?://[^/?#\s\\]+([/?#][!-~]*)?")
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,254}}\Z){_LABEL}(\.{_LABEL})*\.?")
_USER = re.compile(r"[!-?A-~]*")


def web_address(url: str) -> str | None:
    """An address with its host in ASCII, for connecting to it; None if it cannot be called.

    UTS 46 brings other letters to one form: full-width digits are digits.
    """
    match = _URL.fullmatch(url)
    if match is None:
        return None
    try:
        parts = urlsplit(url)
        host, port = _host(parts.hostname or ""), parts.port
    except ValueError:  # a port that is no number, an open bracket, a name that IDNA does not allow
        return None
    user, at, _ = parts.netloc.rpartition("@")
    if not host or port == 0 or not _USER.fullmatch(user):
        return None
    return f"{parts.scheme}://{user}{at}{host}{'' if port is None else f':{port}'}{match[1] or ''}"


def _host(host: str) -> str:
    if ":" in host:
        return f"[{IPv6Address(host)}]"
    host = unquote(host)
    if not host.isascii():
        import idna  # noqa: PLC0415 - its tables are for the few names that need them

        host = idna.encode(host, uts46=True).decode()
    return host if _HOST.fullmatch(host) else ""
