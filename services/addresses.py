"""Whose address a request comes from, and who may read what is counted."""

import hmac
import ipaddress

import msgspec
from starlette.requests import Request

__all__ = ["METRICS_VARIABLE", "Proxy", "is_forwarded", "may_read_metrics"]

#: The environment's variable with the token for `/metrics`.
METRICS_VARIABLE = "TODOKE_METRICS_TOKEN"

#: Headers that a proxy adds; a request with one of them comes from elsewhere than its connection.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class Proxy(msgspec.Struct, frozen=True):
    """Which header says from where a request comes. Without one, the connection does.

    Anybody can send such a header, so name one only if all requests come through a proxy that writes it. In a list the
    addresses at the end are written by the proxies: `hops` is the place of the client's from there, 1 for the last one.
    """

    header: str = ""
    hops: int = 1

    def address(self, request: Request) -> str:
        """The client's address; of IPv6 its network of 64 bits, which one customer of a provider has. Empty: unknown.

        A header that is missing, too short, or no address leaves the connection's.
        """
        if self.header:
            listed = [part for line in request.headers.getlist(self.header) for part in line.split(",")]
            if len(listed) >= self.hops and (found := _network(listed[-self.hops])):
                return found
        return _network(request.client.host) if request.client is not None else ""


def is_forwarded(request: Request) -> bool:
    """Whether a request says that a proxy passed it on."""
    return any(name in request.headers for name in _FORWARDED)


def may_read_metrics(request: Request, token: str) -> bool:
    """Whether a request may see counts: it has the token (Bearer), or comes from this machine, and through no proxy."""
    scheme, _, said = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return bool(token) and hmac.compare_digest(said.strip().encode(), token.encode())
    if is_forwarded(request):
        return False
    try:
        return request.client is None or ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:  # a socket that is a file
        return True


def _network(text: str) -> str:
    text = text.strip().strip('"').removeprefix("[")
    text = text.partition("]")[0] if "]" in text else text
    if text.count(":") == 1:  # a port behind
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)
