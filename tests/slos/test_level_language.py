"""Service levels as they are written: what is read, and each mistake at its place."""

from fractions import Fraction

import pytest

from transforms.campaigns.load import check
from transforms.segments.values import DAY, MINUTE
from transforms.slos.definitions import AT_LEAST, Indicator

HEAD = """\
policies:
  owners: {growth: {name: Growth team, contact: growth@example.com, page: "https://pager.example/growth"}}
segments:
  vip: {owner: crm, members: {event: Order}}
messages:
  hello: {channel: push, title: Hello}
campaigns:
  greet: {owner: crm, consent: news, trigger: {enters: vip}, steps: [{send: hello}]}
"""
LEVEL = """\
slos:
  fast:
    owner: growth
    indicator: {latency: {from: arrival, to: handed_off, channel: push, campaign: greet, below: 60s}}
    objective: 99.5
    window: 28d
    status: trial
    at_least: 100
    on_exhausted: {hold_below_priority: 30}
"""


def level(text):
    definitions, problems = check((("f.yaml", HEAD + text),))
    assert definitions is not None, problems.errors
    return definitions.slos["fast"]


def test_the_contract_is_read_as_it_is_written():
    read = level(LEVEL)
    assert (read.owner.contact, read.owner.page) == ("growth@example.com", "https://pager.example/growth")
    assert read.indicator == Indicator("latency", "push", "greet", start="arrival", below=MINUTE)
    assert read.objective == Fraction(995, 1000)
    assert (read.length, read.status, read.at_least, read.hold_below) == (28 * DAY, "trial", 100, 30)


def test_what_a_level_does_not_say():
    read = level("slos: {fast: {owner: growth, indicator: accounting, objective: 99.9}}\n")
    assert (read.window, read.status, read.at_least, read.hold_below) == ("28d", "trial", AT_LEAST, None)
    minutes = level("slos: {fast: {owner: growth, indicator: {freshness: {job: true, below: 5m}}, objective: 99}}\n")
    assert minutes.at_least == 1


#: Each kind of indicator.
INDICATORS = [
    ("{latency: {from: trigger, below: 500ms}}", Indicator("latency", start="trigger", below=500_000)),
    ("{latency: {service: collect, below: 50ms}}", Indicator("latency", service="collect", below=50_000)),
    ("{success: {}}", Indicator("success")),
    ("{success: {channel: email}}", Indicator("success", "email")),
    ("{freshness: {segment: vip, below: 1m}}", Indicator("freshness", segment="vip", below=MINUTE)),
    ("{freshness: {job: true, below: 60s}}", Indicator("freshness", below=MINUTE)),
    ("accounting", Indicator("accounting")),
    ("{accounting: {}}", Indicator("accounting")),
    ("correctness", Indicator("correctness")),
    ("{availability: {service: engage}}", Indicator("availability", service="engage")),
]


@pytest.mark.parametrize(("text", "indicator"), INDICATORS)
def test_indicators(text, indicator):
    assert level(f"slos: {{fast: {{owner: growth, objective: 99, indicator: {text}}}}}\n").indicator == indicator


@pytest.mark.parametrize("percent", ["99.9", "0.1", "99.999999", "50", "1e-3", "33.333333333333"])
def test_an_objective_is_as_exact_as_it_is_written(percent):
    text = f"slos: {{fast: {{owner: growth, objective: {percent}, indicator: accounting}}}}\n"
    assert level(text).objective == Fraction(percent) / 100


#: What is changed in the level, and the path of the mistake with a part of its cause.
MISTAKES = [
    (
        "owner: growth\n",
        "owner: nobody\n",
        "owner",
        "owner `nobody`, which does not exist in `policies.owners`; there: growth",
    ),
    ("    owner: growth\n", "", "", "`owner` is missing"),
    ("objective: 99.5", "objective: 100", "objective", "leaves no budget"),
    ("objective: 99.5", "objective: 0", "objective", "always met"),
    ("objective: 99.5", "objective: 101", "objective", "expected a number from 0 to 100"),
    ("objective: 99.5", "objective: '99.5'", "objective", "write 99.5"),
    ("window: 28d", "window: 14d", "window", "expected one of 7d, 28d, 30d"),
    ("status: trial", "status: draft", "status", "expected one of trial, live"),
    ("at_least: 100", "at_least: 0", "at_least", "expected a whole number from 1"),
    ("{hold_below_priority: 30}", "{hold_below_priority: 0}", "on_exhausted.hold_below_priority", "from 1 to 100"),
    ("{hold_below_priority: 30}", "stop", "on_exhausted", "write warn, or {hold_below_priority: 30}"),
    ("below: 60s", "below: 61s", "indicator.latency.below", "is no bound of the histograms"),
    ("below: 60s", "below: 60", "indicator.latency.below", "duration"),
    ("from: arrival", "from: entry", "indicator.latency.from", "expected one of arrival, trigger"),
    ("to: handed_off", "to: opened", "indicator.latency.to", "expected one of handed_off"),
    ("channel: push", "channel: fax", "indicator.latency.channel", "expected one of"),
    (
        "channel: push",
        "channel: email",
        "indicator.latency.channel",
        "campaign `greet` sends nothing by email, only by push",
    ),
    (
        "campaign: greet",
        "campaign: bye",
        "indicator.latency.campaign",
        "refers to campaign `bye`, which does not exist",
    ),
    ("    at_least: 100\n", "    at_last: 100\n", "at_last", "unknown key `at_last`; allowed are at_least"),
]


@pytest.mark.parametrize(
    ("part", "instead", "path", "cause"), MISTAKES, ids=[each[1].strip() or each[0].strip() for each in MISTAKES]
)
def test_a_mistake_is_found_at_its_place(part, instead, path, cause):
    assert LEVEL.count(part) == 1
    text = HEAD + LEVEL.replace(part, instead)
    [problem] = check((("f.yaml", text),))[1].errors
    assert problem.path == ".".join(filter(None, ["slos.fast", path]))
    assert cause in problem.cause
    assert problem.file == "f.yaml"
    key = path.rpartition(".")[2] or "fast"
    assert key in text.splitlines()[problem.line - 1]


#: Indicators that are none, and the causes.
NOT_INDICATORS = [
    ("speed", "", "expected a mapping with accounting"),
    ("{}", "", "expected one of latency"),
    ("{accounting: {}, correctness: {}}", "", "found accounting and correctness"),
    ("{accounting: {channel: push}}", ".accounting.channel", "unknown key"),
    ("{freshness: {below: 60s}}", ".freshness", "expected one of segment, job"),
    ("{freshness: {segment: vip, job: true, below: 60s}}", ".freshness", "found segment and job"),
    ("{freshness: {job: no, below: 60s}}", ".freshness.job", "expected true"),
    (
        "{freshness: {segment: gone, below: 60s}}",
        ".freshness.segment",
        "refers to segment `gone`, which does not exist",
    ),
    ("{availability: {}}", ".availability", "`service` is missing"),
    ("{availability: {service: shop}}", ".availability.service", "expected one of collect, engage"),
    ("{latency: {service: collect, from: arrival, below: 1s}}", ".latency.from", "unknown key"),
]


@pytest.mark.parametrize(("indicator", "path", "cause"), NOT_INDICATORS)
def test_what_is_no_indicator(indicator, path, cause):
    text = f"slos: {{fast: {{owner: growth, objective: 99, indicator: {indicator}}}}}\n"
    [problem] = check((("f.yaml", HEAD + text),))[1].errors
    assert (problem.path, cause in problem.cause) == (f"slos.fast.indicator{path}", True), problem


TOO_MANY = (
    f"{HEAD}slos: {{fast: {{owner: growth, objective: 99, "
    "indicator: {freshness: {job: true, below: 60s}}, at_least: 61}}\n"
)


def test_an_alert_of_minutes_must_be_able_to_fire():
    [problem] = check((("f.yaml", TOO_MANY),))[1].errors
    assert (problem.path, "could never fire" in problem.cause) == ("slos.fast.at_least", True)


def test_owners_say_whom_to_ask():
    text = HEAD.replace('contact: growth@example.com, page: "https:', 'page: "ftp:')
    causes = {(problem.path, problem.cause) for problem in check((("f.yaml", text),))[1].errors}
    assert causes == {
        ("policies.owners.growth", "`contact` is missing"),
        (
            "policies.owners.growth.page",
            "expected a URL that begins with http:// or https://, which alerts are sent to",
        ),
    }


def test_a_critical_campaign_has_a_level_of_its_own():
    critical = HEAD.replace("consent: news", "consent: news, critical: true")
    elsewhere = "slos: {fast: {owner: growth, objective: 99, indicator: {success: {channel: push}}}}\n"
    for text in (critical, critical + elsewhere):
        [problem] = check((("f.yaml", text),))[1].errors
        assert (problem.line, problem.path) == (8, "campaigns.greet.critical")
        assert "no service level is of it" in problem.cause
    definitions, problems = check((("campaigns.yaml", critical), ("levels.yaml", LEVEL)))
    assert (problems.errors, definitions.campaigns["greet"].critical) == ([], True)


def test_a_faulty_level_is_one_mistake_for_a_critical_campaign():
    critical = HEAD.replace("consent: news", "consent: news, critical: true")
    [problem] = check((("f.yaml", critical + LEVEL.replace("99.5", "100")),))[1].errors
    assert problem.path == "slos.fast.objective"


def test_a_level_is_not_called_like_a_command():
    [problem] = check((("f.yaml", HEAD + LEVEL.replace("  fast:", "  check:")),))[1].errors
    assert (problem.path, problem.cause) == ("slos.check", "`check` is taken: `todoke slo check` means something else")


#: Every text here, for the test of the schema.
CORPUS = [
    HEAD + LEVEL,
    TOO_MANY,
    HEAD + LEVEL.replace("  fast:", "  check:"),
    *(HEAD + LEVEL.replace(part, instead) for part, instead, *_ in MISTAKES),
    *(
        f"{HEAD}slos: {{fast: {{owner: growth, objective: 99, indicator: {indicator}}}}}\n"
        for indicator, *_ in (*INDICATORS, *NOT_INDICATORS)
    ),
    HEAD.replace('contact: growth@example.com, page: "https:', 'page: "ftp:'),
    HEAD.replace("consent: news", "consent: news, critical: true"),
    HEAD.replace("consent: news", "consent: news, critical: maybe"),
    *(f"slos: {section}\npolicies: {{owners: {section}}}\n" for section in ("{}", "~", "[]", "x", "{X: {}}")),
]
