"""The HTTP services on Cloud Run: what they are told, what they may, and from where they are asked."""

import re
from pathlib import Path
from typing import Any

import pytest
from plans import IMAGE, Plan, planned

from services.collect.__main__ import main
from services.engage.__main__ import main as engage_main
from services.engage.access import ENGAGE_SECRETS, ENGAGE_VARIABLES
from services.server import END_SECONDS
from transforms.channels.settings import LINKS_URL
from transforms.channels.tokens import SIGNING_KEYS

SMALL = "-var-file=examples/small/terraform.tfvars"
ALL = ("-var-file=examples/large/terraform.tfvars", f"-var=image={IMAGE}")
COLLECT, ENGAGE = 'collect={keys="write-keys"}', 'engage={secrets={TODOKE_SIGNING_KEYS="signing-keys"}}'


@pytest.fixture
def large(plans: dict[str, Plan]) -> Plan:
    return plans["large"]


def services(plan: Plan) -> dict[str, Any]:
    found = plan.of("google_cloud_run_v2_service")
    return {re.sub(r'.*\["(.+)"\]', r"\1", address): said for address, said in found.items()}


def rights(plan: Plan, who: str) -> set[tuple[str, str]]:
    return {(each["role"].removeprefix("roles/"), each["on"]) for each in plan.outputs["rights"] if each["who"] == who}


def test_each_runs_the_image_as_an_account_of_its_own(large: Plan) -> None:
    found = services(large)
    assert set(found) == {"collect", "engage", "judge"}
    for name, said in found.items():
        [template] = said["template"]
        [container] = template["containers"]
        assert container["image"] == IMAGE
        assert not container.get("command")  # the image's entry point decides
        service = {"judge": "engage"}.get(name, name)
        assert container["args"][:2] == ["serve", service]
        assert template["service_account"] == large.outputs["accounts"][service]
        assert 1 <= template["scaling"][0]["min_instance_count"] <= template["scaling"][0]["max_instance_count"] <= 100
        assert template["max_instance_request_concurrency"] <= 1_000  # Cloud Run's most
        assert container["resources"][0]["cpu_idle"] is False
        for probe in ("startup_probe", "liveness_probe"):
            assert container[probe][0]["http_get"][0]["path"] == "/live"
    assert END_SECONDS <= 10  # after SIGTERM Cloud Run waits for so long


def test_what_collect_is_told_its_command_line_takes(large: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    """All but the file of keys, which is not here."""
    [container] = services(large)["collect"]["template"][0]["containers"]
    with pytest.raises(SystemExit):
        main(container["args"][2:])
    assert "/keys/keys.json: No such file" in capsys.readouterr().err
    assert "--sink=pubsub:projects/my-project/topics/engagement-events" in container["args"]
    assert large.one("google_pubsub_subscription.events")["topic"] == "engagement-events"
    assert "--ordering" in container["args"]


@pytest.mark.parametrize("name", ["engage", "judge"])
def test_what_engage_is_told_its_command_line_takes(
    large: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With a signing key; the file of write keys is not here."""
    monkeypatch.setenv("TODOKE_SIGNING_KEYS", f"a={'0' * 32}")
    [container] = services(large)[name]["template"][0]["containers"]
    with pytest.raises(SystemExit):
        engage_main(container["args"][2:])
    assert "/keys/keys.json: No such file" in capsys.readouterr().err
    assert "--sink=pubsub:projects/my-project/topics/engagement-control" in container["args"]
    assert "--touches=pubsub:projects/my-project/topics/engagement-touches" in container["args"]
    assert any(word.startswith("--judge=") for word in container["args"]) is (name == "judge")


def test_one_process_judges_and_nobody_asks_it(large: Plan) -> None:
    said = services(large)["judge"]
    assert said["template"][0]["scaling"][0] == {"min_instance_count": 1, "max_instance_count": 1}
    assert said["ingress"] == "INGRESS_TRAFFIC_INTERNAL_ONLY"
    waiting = large.one("google_pubsub_subscription.touches[0]")
    assert waiting["topic"] == "engagement-touches"
    assert waiting["ack_deadline_seconds"] >= 60
    assert not waiting["enable_message_ordering"]


def test_each_may_do_what_it_does_and_nothing_else(large: Plan) -> None:
    """Who took over collect could publish calls, which anybody with a key can, and read no user."""
    image = ("artifactregistry.reader", "repository engagement")
    definitions = ("storage.objectViewer", "bucket site/definitions")
    assert rights(large, "collect") == {
        ("pubsub.publisher", "topic events"),
        ("pubsub.publisher", "topic dead_letters"),
        ("secretmanager.secretAccessor", "secret write-keys"),
        definitions,
        image,
    }
    assert rights(large, "engage") == {
        ("pubsub.publisher", "topic control"),
        ("pubsub.publisher", "topic touches"),
        ("pubsub.subscriber", "subscription touches"),
        ("bigtable.reader", "instance engagement"),
        ("bigtable.user", "table inbox"),
        ("bigtable.user", "table metrics"),
        ("bigtable.user", "table dead_letters"),
        ("secretmanager.secretAccessor", "secret write-keys"),
        ("secretmanager.secretAccessor", "secret signing-keys"),
        ("secretmanager.secretAccessor", "secret inbox-keys"),
        definitions,
        image,
    }
    for who in ("collect", "engage"):
        given = large.one(f'google_storage_bucket_iam_member.rights["{who} site storage.objectViewer"]')
        [condition] = given["condition"]
        assert condition["expression"] == (
            'resource.name.startsWith("projects/_/buckets/my-project-engagement-site/objects/definitions/")'
        )
    others = [each for each in large.of("google_storage_bucket_iam_member").values() if not each["condition"]]
    assert others


def test_secrets_are_named_and_files_of_keys_are_mounted(large: Plan) -> None:
    for said in services(large).values():
        [template] = said["template"]
        [container] = template["containers"]
        variables = {each["name"]: each["value"] for each in container["env"]}
        for name, value in variables.items():
            assert value.startswith("sm:projects/my-project/secrets/") or not re.search("KEY|SECRET|TOKEN", name)
        [volume] = template["volumes"]
        assert volume["secret"][0]["secret"] == "write-keys"
        assert volume["secret"][0]["items"][0]["version"] == "2"
        assert container["volume_mounts"] == [{"name": volume["name"], "mount_path": "/keys"}]
    found = services(large)["engage"]["template"][0]["containers"][0]["env"]
    assert {each["name"]: each["value"] for each in found} == {
        "TODOKE_LINKS_URL": "https://links.example.com",
        "TODOKE_SIGNING_KEYS": "sm:projects/my-project/secrets/signing-keys/versions/1",
        "TODOKE_INBOX_KEYS": "sm:projects/my-project/secrets/inbox-keys/versions/3",
    }


def test_what_is_said_by_variables_is_what_they_read(large: Plan) -> None:
    read = {SIGNING_KEYS, LINKS_URL, *ENGAGE_VARIABLES, *ENGAGE_SECRETS}
    for said in services(large).values():
        assert {each["name"] for each in said["template"][0]["containers"][0]["env"]} <= read


def test_urls_of_requests_are_in_no_log(large: Plan) -> None:
    """They have tokens, keys, and calls of pixels."""
    [said] = large.of("google_logging_project_exclusion").values()
    assert said["filter"] == (
        'resource.type="cloud_run_revision" AND '
        'resource.labels.service_name=("engagement-collect" OR "engagement-engage" OR "engagement-judge") AND '
        'logName="projects/my-project/logs/run.googleapis.com%2Frequests"'
    )
    assert not said.get("disabled")


def test_somebody_is_told_when_they_fail(plans: dict[str, Plan]) -> None:
    address = 'google_monitoring_alert_policy.thresholds["services"]'
    assert "5xx" in str(plans["large"].one(address)["conditions"])
    assert address not in plans["small"].resources


@pytest.mark.parametrize(("ingress", "hops"), [("internet", 1), ("load-balancer", 2)])
def test_the_address_of_a_client_is_where_the_way_in_puts_it(tmp_path: Path, ingress: str, hops: int) -> None:
    flags = (SMALL, f"-var=image={IMAGE}", f"-var={COLLECT}", f"-var=ingress={ingress}")
    done, path = planned(tmp_path, *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    plan = Plan(path.read_text("utf-8"))
    [said] = services(plan).values()
    words = said["template"][0]["containers"][0]["args"]
    assert {"--address-header=X-Forwarded-For", f"--address-hops={hops}"} <= set(words)
    assert (said["ingress"] == "INGRESS_TRAFFIC_ALL") is (ingress == "internet")
    assert said["invoker_iam_disabled"] is True
    assert not plan.of("google_cloud_run_v2_service_iam_member")
    assert not rights(plan, "engage")
    assert ("storage.objectViewer", "bucket site/definitions") not in rights(plan, "collect")


def test_a_name_is_mapped_where_one_is_said(tmp_path: Path) -> None:
    named = ENGAGE.removesuffix("}") + ',domain="links.example.com",url="https://links.example.com"}'
    signed = '-var=secrets={TODOKE_SIGNING_KEYS="signing-keys@7"}'
    done, path = planned(tmp_path, SMALL, f"-var=image={IMAGE}", f"-var={COLLECT}", f"-var={named}", signed)
    assert done.returncode == 0, done.stdout + done.stderr
    plan = Plan(path.read_text("utf-8"))
    [mapped] = plan.of("google_cloud_run_domain_mapping").values()
    assert mapped["name"] == "links.example.com"
    assert mapped["spec"][0]["route_name"] == "todoke-engage"
    [job] = plan.of("google_dataflow_flex_template_job").values()
    assert job["parameters"]["links_url"] == "https://links.example.com"
    assert job["parameters"]["signing_keys_secret"] == "projects/my-project/secrets/signing-keys/versions/7"


def test_before_there_is_an_image_there_are_accounts_and_no_services(tmp_path: Path) -> None:
    done, path = planned(tmp_path, SMALL, f"-var={COLLECT}", f"-var={ENGAGE}")
    assert done.returncode == 0, done.stdout + done.stderr
    plan = Plan(path.read_text("utf-8"))
    assert not services(plan)
    assert {"collect", "engage"} <= set(plan.outputs["accounts"])


def test_who_asks_for_no_services_has_none(plans: dict[str, Plan]) -> None:
    plan = plans["small"]
    assert not services(plan)
    assert not {"collect", "engage"} & set(plan.outputs["accounts"])


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("engage={secrets={}}", "name the secret of TODOKE_SIGNING_KEYS"),
        ('engage={secrets={TODOKE_SIGNING_KEYS="a=0123456789"}}', "a value is the id of a secret"),
        ('engage={secrets={TODOKE_SIGNING_KEYS="s"},variables={TODOKE_LINE_SECRETS="x"}}', "A secret is named in"),
        ('engage={secrets={TODOKE_SIGNING_KEYS="s"},url="https://x.example"}', "name TODOKE_SIGNING_KEYS in `secrets`"),
        ('collect={keys="shop=0123456789abcdef"}', "is the id of a secret"),
        ("ingress=all", "`internet` or `load-balancer`"),
    ],
)
def test_what_cannot_be_is_refused_by_the_plan(tmp_path: Path, said: str, cause: str) -> None:
    done, _ = planned(tmp_path, SMALL, f"-var={said}")
    assert done.returncode != 0
    assert cause in " ".join((done.stdout + done.stderr).replace("│", " ").split())
