"""Proxies and scanners that give themselves away, and people who must not be taken for one."""

import asyncio
import json
from contextlib import closing
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import httpx
import pytest
from engage_service import KEYS, SECRET
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp
from touched_shop import DEFINITIONS, links, path, sent

from services.engage.serving import EngageSettings, checked, engaging
from services.engage.tracking.machines import KNOWN, MACHINES_VARIABLE, machines_of, parse_machines
from transforms.errors import WrongUse
from transforms.storage.open import open_store

#: Of browsers and mail clients that people use.
PEOPLE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile "
    "Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
    "Safari Line/14.9.0",
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17628; Pro)",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:115.0) Gecko/20100101 Thunderbird/115.12.0",
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Trident/7.0; Microsoft Outlook 16.0.5134; ms-office; "
    "MSOffice 16)",
    "Mozilla/5.0 (Linux; Android 10; CUBOT NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile "
    "Safari/537.36",
)
MACHINES = {
    "Mozilla/5.0": "apple",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)": "google",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 "
    "Safari/537.36 Edge/12.246 Mozilla/5.0": "google",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html": "yahoo",
    "Barracuda Sentinel (EE)": "barracuda",
    "Microsoft Office Existence Discovery": "microsoft",
    "facebookexternalhit/1.1": "preview",
    "curl/8.5.0": "program",
    "python-requests/2.32": "program",
    "Mozilla/5.0 (compatible; SomeScanner/1.0)": "program",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0 "
    "Safari/537.36": "program",
    "": "nameless",
}


@pytest.mark.parametrize("agent", PEOPLE)
def test_people(agent: str) -> None:
    for address in ("203.0.113.7", "2001:db8::", "", "no address"):
        assert KNOWN.word("GET", {"user-agent": agent}, address) == ""


@pytest.mark.parametrize("agent", MACHINES)
def test_machines_by_what_they_call_themselves(agent: str) -> None:
    assert KNOWN.word("GET", {"user-agent": agent}, "203.0.113.7") == MACHINES[agent]


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("17.58.1.1", ""),  # Apple's own people; its proxy is elsewhere
        ("40.94.31.1", ""),
        ("40.107.3.4", "microsoft"),
        ("52.103.255.255", "microsoft"),
        ("52.104.0.0", ""),
        ("2a01:111:f400::", "microsoft"),
        ("2a01:111:f402::", ""),
        ("148.163.159.255", "proofpoint"),
        ("148.163.160.0", ""),
        ("207.211.30.1", "mimecast"),
        ("207.211.31.1", ""),
        ("209.222.87.255", "barracuda"),
        ("66.249.84.1", "google"),
        ("2001:4860:4801:4016::", "google"),
        ("255.255.255.255", ""),
    ],
)
def test_machines_by_where_they_are(address: str, word: str) -> None:
    assert KNOWN.word("GET", {"user-agent": PEOPLE[0]}, address) == word


@pytest.mark.parametrize(
    "headers", [{"sec-purpose": "prefetch;prerender"}, {"purpose": "prefetch"}, {"x-moz": "prefetch"}]
)
def test_what_is_fetched_before_anybody_clicks(headers: dict[str, str]) -> None:
    assert KNOWN.word("GET", {"user-agent": PEOPLE[0], **headers}, "") == "prefetch"


def test_a_head_is_never_a_click() -> None:
    assert KNOWN.word("HEAD", {"user-agent": PEOPLE[0]}, "") == "head"


def test_a_long_name_costs_no_time() -> None:
    assert KNOWN.word("GET", {"user-agent": "a" * 1_000_000 + " bot"}, "") == ""


ADDED = """
# Asked of our customers in November 2026.
acme network 203.0.113.0/24
acme network 2001:db8:1::/48
acme agent Acme (Mail) Gate

ours network 66.249.84.0/27
"""


def test_a_file_adds_to_what_is_known_and_goes_before_it(tmp_path: Path) -> None:
    (tmp_path / "machines").write_text(ADDED)
    found = machines_of({MACHINES_VARIABLE: str(tmp_path / "machines")})

    def word(agent: str, address: str = "") -> str:
        return found.word("GET", {"user-agent": agent}, address)

    assert word("Mozilla/5.0 (X11) acme (mail) gate/2 Googlebot") == "acme"
    assert word(PEOPLE[0], "203.0.113.255") == word(PEOPLE[0], "2001:db8:1:2::") == "acme"
    assert word(PEOPLE[0], "66.249.84.31") == "ours"
    assert word(PEOPLE[0], "66.249.84.32") == "google"
    assert word(PEOPLE[0], "203.0.114.0") == word(PEOPLE[0]) == ""
    assert word("curl/8.5.0") == "program"
    assert machines_of({}) is machines_of({MACHINES_VARIABLE: ""}) is KNOWN


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("acme", "line 2: expected WORD agent TEXT"),
        ("acme agent Moz", "line 2: expected WORD agent TEXT"),
        ("acme networks 203.0.113.0/24", "line 2: expected WORD agent TEXT"),
        ("Acme network 203.0.113.0/24", "line 2: a word has small letters"),
        ("acme network 203.0.113.1/24", "line 2: 203.0.113.1/24 has host bits set"),
        ("acme network 2001:db8::/65", "line 2: of IPv6 no network is smaller than /64"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "machines").write_text(f"# ours\n{line}\n")
    with pytest.raises(ValueError, match=says):
        machines_of({MACHINES_VARIABLE: str(tmp_path / "machines")})
    with pytest.raises(ValueError, match="none: No such file"):
        machines_of({MACHINES_VARIABLE: str(tmp_path / "none")})


@given(st.ip_addresses(v=4), st.integers(0, 32), st.integers(0, 32))
def test_the_smallest_network_that_holds_an_address_says_the_word(address: IPv4Address, one: int, other: int) -> None:
    sizes = sorted({one, other})
    networks = [f"n{size} network {IPv4Network((int(address), size), strict=False)}" for size in sizes]
    assert parse_machines("\n".join(networks)).word("GET", {"user-agent": PEOPLE[0]}, str(address)) in (
        f"n{sizes[-1]}",
        KNOWN.word("GET", {"user-agent": PEOPLE[0]}, str(address)),
    )


def test_the_service_reads_the_file_and_does_not_start_with_a_bad_one(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(DEFINITIONS)
    (tmp_path / "machines").write_text(ADDED)
    store = f"sqlite:{tmp_path / 'store.db'}"
    settings = EngageSettings(store, definitions=str(tmp_path / "shop.yaml"))
    environment = {"TODOKE_SIGNING_KEYS": f"b={SECRET}", MACHINES_VARIABLE: str(tmp_path / "machines")}
    url = path(links(KEYS).click(sent(), "shoes", "https://shop.example", 2))

    async def clicked(app: ASGIApp, agent: str) -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://shop.example") as client:
            return (await client.get(url, headers={"User-Agent": agent})).status_code

    checked(settings, environment)
    with engaging(settings, environment) as app:
        assert [asyncio.run(clicked(app, agent)) for agent in ("Acme (Mail) Gate/2", PEOPLE[0])] == [302, 302]
    with closing(open_store(store)) as opened:
        said = [json.loads(row.payload) for row in opened.read_control(10)]
    assert [each["reason"] for each in said] == ["acme", ""]
    (tmp_path / "machines").write_text("acme")
    with pytest.raises(WrongUse, match="machines: line 1: expected WORD agent TEXT"):
        checked(settings, environment)
