"""Proxies and scanners that give themselves away: by what they ask, what they call themselves, or where they are.

No list is whole: scanners call themselves browsers, and rent addresses of clouds. The others are found by what they do
(`verdicts`). Sources are named beside each; all were read in 2026 or earlier, and they age.
"""

import ipaddress
import re
from collections.abc import Mapping

__all__ = ["machine_of"]

#: Words by what agents call themselves.
_AGENTS = (
    # Apple's proxy of Mail Privacy Protection says this and no more.
    ("apple", r"\AMozilla/5\.0\Z"),
    # Google's proxy, and what it calls itself when it fetches at delivery: gmass.co/blog/false-opens-in-gmail
    ("google", r"GoogleImageProxy|ggpht\.com|Chrome/42\.0\.2311\.135 Safari/537\.36 Edge/12\.246 Mozilla/5\.0\Z"),
    ("yahoo", r"YahooMailProxy|Yahoo! ?Slurp|YahooCacheSystem"),
    ("microsoft", r"Microsoft Office Protocol Discovery|MSOffice Existence|Office Existence Discovery|SkypeUriPreview"),
    ("microsoft", r"OutlookSafetyScan|BingPreview|bingbot|Teams/?\b.*LinkPreview|ms-office\b.*existence"),
    ("barracuda", r"barracuda"),
    ("proofpoint", r"proofpoint|pphosted"),
    ("mimecast", r"mimecast"),
    ("cisco", r"CiscoSecureEmail|IronPort|CloudMark"),
    ("symantec", r"symantec|messagelabs"),
    ("trendmicro", r"\bTMES\b|trend ?micro"),
    ("sophos", r"sophos"),
    ("fortinet", r"fortinet|fortimail"),
    # Pages that are shown before anybody clicks, and programs.
    ("preview", r"facebookexternalhit|Twitterbot|Slackbot|Slack-ImgProxy|WhatsApp/|TelegramBot|Discordbot|LinkedInBot"),
    ("preview", r"Line-?(?:Poker|Bot)|SkypeUriPreview|redditbot|Applebot|Google-PageRenderer|Google-Read-Aloud"),
    ("program", r"\A(?:curl|Wget|python|Java|Go-http-client|okhttp|libwww|axios|node|Ruby|PHP|AHC)\b"),
    ("program", r"bot\b|crawl|spider|scanner|headless|phantomjs|link.?check|monitor"),
)
#: Words by where they are.
_NETWORKS = {
    "apple": "17.0.0.0/8",  # all of Apple's own: support.apple.com/101555
    # Exchange Online Protection: learn.microsoft.com/microsoft-365/enterprise/urls-and-ip-address-ranges
    "microsoft": "40.92.0.0/15 40.107.0.0/16 52.100.0.0/14 104.47.0.0/17 2a01:111:f400::/48 2a01:111:f403::/48",
    # AS22843 and AS26211
    "proofpoint": "67.231.144.0/20 148.163.128.0/18 185.132.180.0/22 185.183.28.0/22 205.220.160.0/19 208.84.64.0/22",
    # AS30031, AS42427, AS34440 and others: community.mimecast.com, Data Centers and URLs
    "mimecast": (
        "41.74.192.0/20 91.220.42.0/24 103.96.20.0/22 146.101.78.0/24 170.10.128.0/20 185.58.84.0/22 185.249.124.0/22 "
        "194.104.108.0/22 195.130.217.0/24 205.139.110.0/23 207.82.80.0/24 207.211.30.0/23 216.205.24.0/24"
    ),
    "barracuda": "64.235.144.0/20 209.222.80.0/21",  # campus.barracuda.com, Email Gateway Defense
    "google": "66.102.0.0/20 66.249.80.0/20",  # proxies: www.gstatic.com/ipranges/special.json
}
#: Headers by which browsers say that nobody has clicked yet.
_BEFORE = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_AHEAD = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)

_named = [(word, re.compile(pattern, re.IGNORECASE)) for word, pattern in _AGENTS]
_placed = [
    (network.version, int(network.network_address), int(network.broadcast_address), word)
    for word, listed in _NETWORKS.items()
    for network in map(ipaddress.ip_network, listed.split())
]


def machine_of(method: str, headers: Mapping[str, str], address: str) -> str:
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
    agent = headers.get("user-agent", "").strip()[:1_000]
    if not agent:
        return "nameless"
    for word, pattern in _named:
        if pattern.search(agent):
            return word
    return _at(address)


def _at(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    version, number = found.version, int(found)
    for known, first, last, word in _placed:
        if known == version and first <= number <= last:
            return word
    return ""
