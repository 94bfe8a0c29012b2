"""What is known of proxies and scanners: what they call themselves, and which networks are theirs.

Each has its source, which was looked up on 2026-11-30; where a source says its own date, that is named. What has no
source is not here. The lists age; `docs/reference/engage.md` says how, and how to add to them.

Matomo is `regexes/bots.yml` and `regexes/client/libraries.yml` of github.com/matomo-org/device-detector, of 2026-08-19;
crawler-user-agents is github.com/monperrus/crawler-user-agents, of 2026-07-02. Both are lists that many read and mend.
"""

__all__ = ["AGENTS", "NETWORKS"]

#: Words, and what agents with them call themselves: regular expressions, in which case does not matter.
AGENTS = (
    # Apple's proxy of Mail Privacy Protection says this and no more: suped.com/knowledge/email-deliverability,
    # "Why am I seeing multiple opens" (2025).
    ("apple", r"\AMozilla/5\.0\Z"),
    # Google's proxy: Matomo. What it says when it fetches at delivery: gmass.co/blog/false-opens-in-gmail (2018 to
    # 2024), bird.com/blog/gmail-prefetching-images.
    ("google", r"GoogleImageProxy|ggpht\.com|Chrome/42\.0\.2311\.135 Safari/537\.36 Edge/12\.246 Mozilla/5\.0\Z"),
    ("yahoo", r"YahooMailProxy|YahooCacheSystem|Yahoo! Slurp"),  # Matomo
    # Office asks so before it opens a link: learn.microsoft.com/archive/blogs/vsofficedeveloper, "Description of the
    # Microsoft Office Existence Discovery Protocol" (2008), and webmasters.stackexchange.com/questions/71112 (2014).
    # Outlook that shows a mail says `ms-office`, and is a person's.
    ("microsoft", r"Microsoft Office (?:Existence|Protocol) Discovery"),
    ("microsoft", r"SkypeUriPreview|MicrosoftPreview|BingPreview|bingbot"),  # Matomo
    ("barracuda", r"barracuda"),  # Matomo; braze.com's documentation of bot filtering
    # check.live-direct-marketing.online/blog/bot-clicks-security-scanners-detect: what a sender saw. No vendor says it.
    ("proofpoint", r"proofpoint"),
    ("cisco", r"CiscoSecureEmail"),
    ("trendmicro", r"\bTMES\b"),
    ("sophos", r"sophos"),
    ("fortinet", r"fortinet"),
    # Pages that are shown before anybody clicks: both lists.
    ("preview", r"facebookexternalhit|Twitterbot|Slackbot|Slack-ImgProxy|WhatsApp/|TelegramBot|Discordbot|LinkedInBot"),
    (
        "preview",
        r"redditbot|Applebot|Linespider|ViberUrlDownloader|Google-PageRenderer|Google-Read-Aloud|Google-Safety",
    ),
    # Programs: both lists, and Matomo's last rule, with the telephones (Cubot, Power Bot, M Bot) that it leaves out.
    ("program", r"\A(?:curl|Wget|python|Java|Go-http-client|okhttp|libwww|axios|node|Ruby|PHP|AHC)\b"),
    (
        "program",
        r"(?<!cu)(?<!hu)(?<!power[ _])(?<!m[ _])bot\b|crawl|spider|scanner|headless|phantomjs|link.?check|monitor",
    ),
)

#: Words, and networks of theirs. IPv6 has 64 bits at most: more of an address is not looked at (`services.addresses`).
NETWORKS = (
    # Exchange Online Protection: set 10 of learn.microsoft.com/microsoft-365/enterprise/urls-and-ip-address-ranges, the
    # same in versions 2022072800 and 2026081400. Safe Links also comes from elsewhere in Azure: that is published
    # nowhere.
    ("microsoft", "40.92.0.0/15 40.107.0.0/16 52.100.0.0/14 104.47.0.0/17 2a01:111:f400::/48 2a01:111:f403::/48"),
    # proofpoint.my.site.com/support/PPSup_SupportInfo (no date).
    ("proofpoint", "67.231.144.0/20 208.84.64.0/22 208.86.200.0/22"),
    # The other routes of AS22843 and AS26211, which have those three: github.com/Medium1992/MikroTik_IPlist (610857f,
    # 953224894).
    (
        "proofpoint",
        "66.159.227.0/24 66.159.228.0/24 66.159.238.0/23 66.159.240.0/23 66.159.248.0/22 148.163.132.0/22 "
        "148.163.136.0/21 148.163.144.0/20 205.220.160.0/20 205.220.176.0/21 205.220.186.0/23 205.220.190.0/23 "
        "208.56.8.0/21 208.56.16.0/24 208.56.56.0/22 208.83.137.0/24 208.83.139.0/24",
    ),
    # eu._netblocks.mimecast.com, the record that says who sends for it: serverfault.com/questions/884630 (2017). Those
    # of its networks that AS42427 still has, and that AS's others: github.com/Medium1992/MikroTik_IPlist (2fe455b).
    ("mimecast", "91.220.42.0/24 185.58.84.0/22 195.130.217.0/24 207.82.80.0/24"),
    ("mimecast", "170.10.142.0/24 193.7.204.0/23 216.35.243.0/24 216.35.244.0/24"),
    # The routes of AS30031, as there (26a8d49): it has 41.74.203.10, which Mimecast names its own (mimecastsupport
    # .zendesk.com, "Web Security Prerequisites"). Not that one's network, through which people browse.
    (
        "mimecast",
        "63.128.21.0/24 170.10.128.0/22 170.10.132.0/23 170.10.140.0/24 170.10.150.0/23 170.10.152.0/23 "
        "170.10.156.0/23 205.139.110.0/23 207.211.30.0/24 216.145.218.0/23 216.145.222.0/24 216.205.24.0/24",
    ),
    # campus.barracuda.com, Email Gateway Defense, "IP Analysis - Inbound" (no date).
    ("barracuda", "209.222.80.0/21"),
    # Google's fetchers for its users, its mail's proxy among them: developers.google.com/static/crawling/ipranges/
    # user-triggered-fetchers-google.json, as github.com/sefinek/known-bots-ip-whitelist had it on 2026-05-05. Its 51
    # networks of IPv6 are in one here.
    (
        "google",
        "64.233.172.0/23 66.102.6.0/23 66.102.8.0/23 66.249.80.0/22 66.249.84.0/26 66.249.84.96/27 66.249.84.128/25 "
        "66.249.85.0/25 66.249.85.128/26 66.249.88.0/24 66.249.93.0/24 74.125.208.0/24 74.125.209.0/25 "
        "74.125.209.128/26 74.125.209.192/27 74.125.210.0/24 74.125.211.0/25 74.125.212.0/24 74.125.213.0/25 "
        "74.125.214.0/23 142.250.32.0/25 142.250.32.128/26 142.250.33.0/25 142.250.33.128/27 192.178.8.0/25 "
        "192.178.8.128/27 192.178.9.0/24 192.178.10.0/25 192.178.11.0/24 192.178.12.0/25 192.178.12.128/26 "
        "192.178.12.192/27 192.178.13.0/24 192.178.14.0/27 192.178.15.0/24 2001:4860:4801:4000::/55",
    ),
)
