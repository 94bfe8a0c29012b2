"""Proxies and scanners that give themselves away: by what they ask, what they call themselves, or where they are.

No list is whole: scanners call themselves browsers, and rent addresses of clouds. The others are found by what they do
(`verdicts`), without a list. What is known is in `known_machines`; operators add what they know in a file.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from services.engage.tracking.known_machines import AGENTS, NETWORKS
from transforms.events.plain import quoted

__all__ = ["KNOWN", "MACHINES_VARIABLE", "Machines", "machines_of", "parse_machines"]

#: The environment's variable with the path of a file that adds to what is known.
MACHINES_VARIABLE = "TODOKE_MACHINES"

#: Headers by which browsers say that nobody has clicked yet.
_BEFORE = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_AHEAD = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)
#: So much of an agent is looked at, in characters.
_AGENT = 1_000
#: A file's words are as short as our own, and its agents not so short that they are in every browser's name.
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_SHORTEST_AGENT = 4
#: Addresses of IPv6 are known by so many bits (`services.addresses.Proxy`).
_BITS_OF_V6 = 64

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Machines:
    """Words for machines, found by their agents and networks.

    Args:
      agents: words, and regular expressions; the first that matches says the word.
      networks: words and networks; of several that hold an address, the smallest says the word, and of two that are the
        same the first.
    """

    def __init__(self, agents: Iterable[tuple[str, str]], networks: Iterable[tuple[str, _Network]]) -> None:
        self._agents = [(word, re.compile(pattern, re.IGNORECASE)) for word, pattern in agents]
        by_size: dict[tuple[int, int], dict[int, str]] = {}
        for word, network in networks:
            host_bits = network.max_prefixlen - network.prefixlen
            known = by_size.setdefault((network.version, host_bits), {})
            known.setdefault(int(network.network_address) >> host_bits, word)
        self._networks = sorted(by_size.items())

    def word(self, method: str, headers: Mapping[str, str], address: str) -> str:
        """The word for the machine that asks; empty where it may be a person.

        Args:
          method: of the request.
          headers: its headers.
          address: whence it comes; empty where nobody knows.
        """
        if method == "HEAD":
            return "head"
        if any(_AHEAD.search(headers.get(name, "")) for name in _BEFORE):
            return "prefetch"
        agent = headers.get("user-agent", "").strip()[:_AGENT]
        if not agent:
            return "nameless"
        for word, pattern in self._agents:
            if pattern.search(agent):
                return word
        return self._at(address)

    def _at(self, address: str) -> str:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return ""
        number = int(found)
        for (version, host_bits), known in self._networks:
            if version == found.version and (word := known.get(number >> host_bits)):
                return word
        return ""


def _known_networks() -> list[tuple[str, _Network]]:
    return [(word, ipaddress.ip_network(each)) for word, listed in NETWORKS for each in listed.split()]


#: What is known without a file.
KNOWN = Machines(AGENTS, _known_networks())


def machines_of(environment: Mapping[str, str]) -> Machines:
    """What is known, and what a file adds whose path the environment has.

    Raises:
      ValueError: the file cannot be read, or a line is none; the text says which.
    """
    path = environment.get(MACHINES_VARIABLE, "")
    if not path:
        return KNOWN
    try:
        return parse_machines(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{MACHINES_VARIABLE}: {path}: {getattr(error, 'strerror', None) or error}") from error


def parse_machines(text: str) -> Machines:
    """What is known, and what lines add: `WORD agent TEXT` and `WORD network NETWORK`. They go before what is known.

    Empty lines and those that begin with `#` say nothing. An agent is one whose name has the text in it, in any case.

    Raises:
      ValueError: a line is none of these.
    """
    agents: list[tuple[str, str]] = []
    networks: list[tuple[str, _Network]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word, kind, rest = (*line.split(maxsplit=2), "", "", "")[:3]
        rest = rest.strip()
        if not _WORD.fullmatch(word):
            raise ValueError(f"line {number}: a word has small letters, digits, _ and -; found {quoted(word)}")
        if kind == "agent" and len(rest) >= _SHORTEST_AGENT:
            agents.append((word, re.escape(rest)))
        elif kind == "network":
            networks.append((word, _network(rest, number)))
        else:
            raise ValueError(
                f"line {number}: expected WORD agent TEXT, of 4 characters at least, or WORD network NETWORK"
            )
    return Machines([*agents, *AGENTS], [*networks, *_known_networks()])


def _network(text: str, number: int) -> _Network:
    try:
        found = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None
    if found.version == 6 and found.prefixlen > _BITS_OF_V6:
        raise ValueError(f"line {number}: of IPv6 no network is smaller than /{_BITS_OF_V6}; found {text}")
    return found
