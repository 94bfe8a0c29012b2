"""Which servers a webhook may call: none on this machine, in a private network, or where clouds keep their secrets.

A URL may hold what a user wrote. So the address is judged that a connection is made to, when it is made: what a name
stood for a moment earlier says nothing, and neither does how it is spelled.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

import idna
import msgspec

from transforms.channels.address import is_loopback
from transforms.events.plain import quoted, without_user

__all__ = ["Allowed", "RefusedHost", "canonical_host", "is_address", "is_inside", "is_public", "parse_allowed"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Beyond what Python 3.11 calls private (https://www.iana.org/assignments/iana-ipv4-special-registry/): shared address
#: space, protocol assignments (Oracle's metadata), the old relays of 6to4, and Azure's WireServer.
_REFUSED_V4 = [
    ipaddress.IPv4Network(text) for text in ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")
]
#: All that IANA has given out to be routed (https://www.iana.org/assignments/ipv6-unicast-address-assignments/), and of
#: it what is for documents.
_GLOBAL_V6, _REFUSED_V6 = ipaddress.IPv6Network("2000::/3"), [ipaddress.IPv6Network("3fff::/20")]
#: Where an IPv4 address stands in an IPv6 address: NAT64 (RFC 6052) in the last 32 bits, 6to4 (RFC 3056) from the 16th.
_NAT64, _6TO4 = ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("2002::/16")
#: The second half of an ISATAP address (RFC 5214) begins so, and ends with an IPv4 address.
_ISATAP = (0x00005EFE, 0x02005EFE)

#: What may be looked up (RFC 1123), and the underscores that some hosts have.
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")


class RefusedHost(OSError):
    """A connection that was not made."""

    def __init__(self) -> None:
        super().__init__("the address is not a public one")


class Allowed(msgspec.Struct, frozen=True):
    """What may be called beside public addresses; the port is None for all.

    `names` are hosts as `canonical_host` has them, wherever they lead to.
    """

    names: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[tuple[_Network, int | None], ...] = ()

    def has_name(self, host: str, port: int | None) -> bool:
        """Whether a host may be called by its name."""
        return bool({(host, None), (host, port)} & self.names)

    def has_address(self, address: str, port: int) -> bool:
        """Whether an address may be called."""
        ip = ipaddress.ip_address(address.partition("%")[0])
        ip = getattr(ip, "ipv4_mapped", None) or ip
        named = any(ip in network and asked in (None, port) for network, asked in self.networks)
        return named or is_public(ip)

    def open_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket for an address that `getaddrinfo` gave.

        Raises:
          RefusedHost: the address may not be called.
        """
        family, kind, protocol, _, address = info
        if not self.has_address(address[0], address[1]):
            raise RefusedHost
        return socket.socket(family, kind, protocol)


def is_inside(host: str) -> bool:
    """Whether a host is this machine, or an address that is not public, which is called only where that is allowed."""
    return is_loopback(host) or (is_address(host) and not is_public(ipaddress.ip_address(host.partition("%")[0])))


def is_public(ip: _Address) -> bool:
    """Whether an address is one of the Internet's, for one receiver, and stands for no other one that is not."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast and not any(ip in network for network in _REFUSED_V4)
    number = int(ip)
    if ip in _NAT64:
        return is_public(ipaddress.IPv4Address(number & 0xFFFFFFFF))
    if ip in _6TO4 and not is_public(ipaddress.IPv4Address(number >> 80 & 0xFFFFFFFF)):
        return False
    if number >> 32 & 0xFFFFFFFF in _ISATAP and not is_public(ipaddress.IPv4Address(number & 0xFFFFFFFF)):
        return False
    return ip in _GLOBAL_V6 and ip.is_global and not any(ip in network for network in _REFUSED_V6)


def canonical_host(host: str) -> str:
    """A host as it is looked up: a number in any spelling as an address, a name in ASCII and small letters.

    Raises:
      ValueError: it is no host.
    """
    host = unquote(host).strip("[]")
    if ":" in host:
        return str(ipaddress.ip_address(host))
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except idna.IDNAError as error:
        raise ValueError(f"{quoted(host)} is not a host: {error}") from error
    name = name.removesuffix(".").lower()
    try:
        # Decimal, octal, hexadecimal and short forms, as a resolver takes them: https://url.spec.whatwg.org/#ipv4
        return socket.inet_ntoa(socket.inet_aton(name))
    except (OSError, ValueError):
        pass
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise ValueError(f"{quoted(host)} is not a host")
    return name


def is_address(host: str) -> bool:
    """Whether a canonical host is a number."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def parse_allowed(texts: Iterable[str]) -> Allowed:
    """Read `HOST`, `HOST:PORT` and networks such as `10.0.0.0/8` or `fd00::/8`.

    Raises:
      ValueError: saying what is expected.
    """
    names: set[tuple[str, int | None]] = set()
    networks: list[tuple[_Network, int | None]] = []
    for text in texts:
        try:
            if "/" in text:
                networks.append((ipaddress.ip_network(text), None))
                continue
            parts = urlsplit(f"//{f'[{text}]' if text.count(':') > 1 and '[' not in text else text}")
            if (
                not parts.hostname
                or parts.username is not None
                or parts.path
                or parts.query
                or parts.fragment
                or parts.netloc.endswith(":")
            ):
                raise ValueError("there is more than a host and a port")
            host = canonical_host(parts.hostname)
            port = parts.port
        except ValueError as error:
            raise ValueError(
                f"expected HOST, HOST:PORT or a network such as 10.0.0.0/8; found {quoted(without_user(text))}"
            ) from error
        try:
            networks.append((ipaddress.ip_network(host), port))
        except ValueError:
            names.add((host, port))
    return Allowed(frozenset(names), tuple(networks))
