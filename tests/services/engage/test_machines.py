"""Proxies and scanners that give themselves away, and people who must not be taken for one."""

import pytest

from services.engage.tracking.machines import machine_of

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
)
MACHINES = {
    "Mozilla/5.0": "apple",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)": "google",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 "
    "Safari/537.36 Edge/12.246 Mozilla/5.0": "google",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html": "yahoo",
    "Barracuda Sentinel (EE)": "barracuda",
    "Mozilla/5.0 (compatible; Mimecast)": "mimecast",
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
        assert machine_of("GET", {"user-agent": agent}, address) == ""


@pytest.mark.parametrize("agent", MACHINES)
def test_machines_by_what_they_call_themselves(agent: str) -> None:
    assert machine_of("GET", {"user-agent": agent}, "203.0.113.7") == MACHINES[agent]


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("17.58.1.1", "apple"),
        ("40.94.31.1", ""),
        ("40.107.3.4", "microsoft"),
        ("52.103.0.1", "microsoft"),
        ("2a01:111:f400::", "microsoft"),
        ("148.163.191.255", "proofpoint"),
        ("148.163.192.0", ""),
        ("207.211.31.1", "mimecast"),
        ("209.222.82.5", "barracuda"),
        ("66.249.84.1", "google"),
    ],
)
def test_machines_by_where_they_are(address: str, word: str) -> None:
    assert machine_of("GET", {"user-agent": PEOPLE[0]}, address) == word


@pytest.mark.parametrize(
    "headers", [{"sec-purpose": "prefetch;prerender"}, {"purpose": "prefetch"}, {"x-moz": "prefetch"}]
)
def test_what_is_fetched_before_anybody_clicks(headers: dict[str, str]) -> None:
    assert machine_of("GET", {"user-agent": PEOPLE[0], **headers}, "") == "prefetch"


def test_a_head_is_never_a_click() -> None:
    assert machine_of("HEAD", {"user-agent": PEOPLE[0]}, "") == "head"


def test_a_long_name_costs_no_time() -> None:
    assert machine_of("GET", {"user-agent": "a" * 1_000_000 + " bot"}, "") == ""
