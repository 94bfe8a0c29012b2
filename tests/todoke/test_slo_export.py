"""`todoke slo export`: rules that promtool takes and whose tests pass, OpenSLO, and Google's objectives."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from commands import Todoke

HEAD = """\
policies:
  owners:
    growth: {name: Growth team, contact: growth@example.com, page: "https://pager.example/growth", escalation: CTO}
segments: {vip: {owner: crm, members: {event: Order}}}
messages: {hello: {channel: push, title: Hello}}
campaigns: {greet: {owner: crm, consent: news, trigger: {enters: vip}, steps: [{send: hello}]}}
slos:
"""
#: By the name of a level: its indicator, objective and window.
LEVELS = {
    "pushed": ("{latency: {from: arrival, channel: push, campaign: greet, below: 60s}}", "99.5", "28d"),
    "collected": ("{latency: {service: collect, below: 50ms}}", "99.9", "30d"),
    "sent": ("{success: {channel: push}}", "90", "30d"),
    "accounted": ("accounting", "99.99", "30d"),
    "audited": ("correctness", "99", "7d"),
    "engaged": ("{availability: {service: engage}}", "99.9", "28d"),
    "fresh": ("{freshness: {job: true, below: 60s}}", "99", "28d"),
    "known": ("{freshness: {segment: vip, below: 60s}}", "99", "28d"),
}


def line(name: str, status: str = "live") -> str:
    indicator, objective, window = LEVELS[name]
    said = f"indicator: {indicator}, objective: {objective}, window: {window}, status: {status}"
    return f"  {name}: {{owner: growth, {said}}}\n"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    (tmp_path / "levels.yaml").write_text(
        HEAD + "".join(map(line, LEVELS)) + line("sent", "trial").replace("sent", "tried")
    )
    return tmp_path


def exported(todoke: Todoke, *flags: str) -> str:
    done = todoke("slo", "export", *flags, "--definitions", "levels.yaml")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rules_record_each_window_and_alert_owners_of_levels_that_are_live(written: Path, todoke: Todoke) -> None:
    groups = {each["name"]: each["rules"] for each in yaml.safe_load(exported(todoke, "--prometheus"))["groups"]}
    assert groups.keys() == {f"todoke_slo_{name}" for name in (*LEVELS, "tried")}
    rules = {rule.get("alert") or rule["record"]: rule for rule in groups["todoke_slo_pushed"]}
    windows = ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "28d")
    alerts = ("pushed_page_1h", "pushed_page_6h", "pushed_ticket_1d", "pushed_ticket_3d")
    assert list(rules) == [*(f"todoke_slo:bad_ratio:{window}" for window in windows), *alerts]
    page = rules["pushed_page_1h"]
    assert page["labels"] == {"severity": "page", "owner": "growth", "slo": "pushed"}
    assert page["annotations"]["contact"] == "growth@example.com"
    assert "> (42 / 625) and " in page["expr"]  # 13.44 times half a percent
    assert page["expr"].endswith(">= 100)")
    assert not any("alert" in rule for rule in groups["todoke_slo_tried"])
    audited = [rule["alert"] for rule in groups["todoke_slo_audited"] if "alert" in rule]
    assert audited == ["audited_page_1h", "audited_page_6h"]


@pytest.mark.parametrize("name", LEVELS)
def test_promtool_takes_the_rules_and_their_tests_pass(
    name: str, tmp_path: Path, todoke: Todoke, promtool: str
) -> None:
    (tmp_path / "levels.yaml").write_text(HEAD + line(name))
    (tmp_path / "todoke-rules.yaml").write_text(exported(todoke, "--prometheus"))
    tests = exported(todoke, "--prometheus", "--tests")
    (tmp_path / "todoke-rules-test.yaml").write_text(tests)
    for command in (("check", "rules", "todoke-rules.yaml"), ("test", "rules", "todoke-rules-test.yaml")):
        done = subprocess.run([promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    fired = [test for test in yaml.safe_load(tests)["tests"] if test["alert_rule_test"][0]["exp_alerts"]]
    of_these = {"audited": 2, "sent": 3, "fresh": 6, "known": 8}  # of 7 days, of 90 %, and those of the dead
    assert len(fired) == of_these.get(name, 4)


def test_a_rule_that_is_wrong_fails_its_tests(tmp_path: Path, todoke: Todoke, promtool: str) -> None:
    """The tests see what they are there for: here a factor that is a tenth too high."""
    (tmp_path / "levels.yaml").write_text(HEAD + line("engaged"))
    rules = exported(todoke, "--prometheus")
    assert rules.count("(42 / 3125)") == 2
    (tmp_path / "todoke-rules.yaml").write_text(rules.replace("(42 / 3125)", "(42 / 2840)"))
    (tmp_path / "tests.yaml").write_text(exported(todoke, "--prometheus", "--tests"))
    done = subprocess.run([promtool, "test", "rules", "tests.yaml"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1


def test_openslo(written: Path, todoke: Todoke) -> None:
    documents = list(yaml.safe_load_all(exported(todoke, "--openslo")))
    assert all(each["apiVersion"] == "openslo/v1" for each in documents)
    kinds = [each["kind"] for each in documents]
    assert kinds == ["Service", "AlertNotificationTarget", *["SLO"] * (len(LEVELS) + 1)]
    levels = {each["metadata"]["name"]: each["spec"] for each in documents if each["kind"] == "SLO"}
    assert levels["sent"]["objectives"] == [{"displayName": "sent", "target": 0.9}]
    assert levels["sent"]["timeWindow"] == [{"duration": "30d", "isRolling": True}]
    asked = [  # a policy has one condition at most
        [
            tuple(each["spec"]["condition"][name] for name in ("lookbackWindow", "threshold"))
            for each in policy["spec"]["conditions"]
        ]
        for policy in levels["collected"]["alertPolicies"]
    ]
    assert asked == [[("1h", 14.4)], [("6h", 6)], [("1d", 3)], [("3d", 1)]]
    assert "alertPolicies" not in levels["tried"]


def test_texts_of_people_are_no_templates(tmp_path: Path, todoke: Todoke, promtool: str) -> None:
    """Prometheus takes annotations for templates: it would refuse the whole file, or run what they ask."""
    hostile = json.dumps("{{ query \"up\" }}{{end}}, {{{ 'quoted' }}\n</script>\u202e$labels | [x](y) " + "A" * 10_000)
    owner = f'{{name: {hostile}, contact: {hostile}, escalation: {hostile}, page: "https://pager.example/{{{{.X}}"}}'
    head = "\n".join(f"    growth: {owner}" if "growth:" in each else each for each in HEAD.splitlines())
    (tmp_path / "levels.yaml").write_text(f"{head}\n{line('audited').replace('{owner', f'{{name: {hostile}, owner')}")
    (tmp_path / "todoke-rules.yaml").write_text(exported(todoke, "--prometheus"))
    (tmp_path / "tests.yaml").write_text(exported(todoke, "--prometheus", "--tests"))
    for command in (("check", "rules", "todoke-rules.yaml"), ("test", "rules", "tests.yaml")):
        done = subprocess.run([promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[:2_000]


def test_names_of_openslo_are_dns_labels_and_distinct(tmp_path: Path, todoke: Todoke) -> None:
    ids = ["sent_", "sent", *(f"{'long_' * 20}{end}" for end in ("a", "b"))]
    (tmp_path / "levels.yaml").write_text(HEAD + "".join(line("sent").replace("sent", each, 1) for each in ids))
    levels = [each for each in yaml.safe_load_all(exported(todoke, "--openslo")) if each["kind"] == "SLO"]
    names = [each["metadata"]["name"] for each in levels]
    policies = [policy for each in levels for policy in each["spec"]["alertPolicies"]]
    alerts = [each["metadata"]["name"] for each in policies]
    conditions = [each["metadata"]["name"] for policy in policies for each in policy["spec"]["conditions"]]
    indicators = [each["spec"]["indicator"]["metadata"]["name"] for each in levels]
    for said in (names, alerts, conditions, indicators):
        assert len(set(said)) == len(said)
        assert all(re.fullmatch("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", each) for each in said)


def test_google(written: Path, todoke: Todoke) -> None:
    levels = {each["serviceLevelObjectiveId"]: each for each in json.loads(exported(todoke, "--google"))}
    pushed = levels["pushed"]["serviceLevelObjective"]
    assert (pushed["goal"], pushed["rollingPeriod"], pushed["userLabels"]["owner"]) == (0.995, "2419200s", "growth")
    cut = pushed["serviceLevelIndicator"]["requestBased"]["distributionCut"]
    assert cut["range"] == {"max": 60}
    assert 'metric.labels.campaign="greet"' in cut["distributionFilter"]
    [page, *_] = levels["pushed"]["alertPolicies"]
    assert [each["conditionThreshold"]["thresholdValue"] for each in page["conditions"]] == [13.44, 13.44]
    assert (page["userLabels"], levels["tried"]["alertPolicies"]) == ({"owner": "growth", "severity": "page"}, [])


@pytest.mark.parametrize("flags", [(), ("--openslo", "--google"), ("--google", "--tests")])
def test_one_form_is_asked_for(written: Path, todoke: Todoke, flags: tuple[str, ...]) -> None:
    assert todoke("slo", "export", *flags, "--definitions", "levels.yaml").returncode == 2


def test_google_takes_no_objective_that_high(tmp_path: Path, todoke: Todoke) -> None:
    (tmp_path / "levels.yaml").write_text(HEAD + line("accounted").replace("99.99", "99.995"))
    done = todoke("slo", "export", "--google", "--definitions", "levels.yaml")
    assert (done.returncode, "takes no objective above" in done.stderr) == (2, True)
