"""What Terraform would make, by its own plan.

The plan needs the schemas of Google's providers, which come from Terraform's registry. So `TODOKE_TERRAFORM_CHECK`
names a program that has them: `PROGRAM DIR --plan FLAGS…` looks at form, validity and plan of a module without a
network, writes the plan as JSON to `$PLAN_JSON`, and ends with 0 if all is well. Without it the plan is not looked at.
The form is looked at wherever there is Terraform, and what needs neither always.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
from discovery import check
from emulators import Instance
from google.cloud.bigtable import Client

from tools.bigtable_tables import tables
from tools.templates import files
from transforms.storage.open import open_store

ROOT = Path(__file__).parent.parent.parent
INFRA = ROOT / "templates" / "infra"
IMAGE = "europe-west1-docker.pkg.dev/my-project/todoke/todoke@sha256:" + "0123456789abcdef" * 4
TAG = IMAGE.partition("@")[0] + ":latest"
SIZES = ("small", "large")
#: Roles that may do nearly everything to what they are given for.
BROAD = re.compile(r"roles/(owner|editor|viewer|.*\.(admin|editor|owner))$")
#: And those of them for which there is a reason.
NARROWEST = {"roles/firebasecloudmessaging.admin"}


class Plan:
    """The resources of a plan, by their addresses, with what is known before the apply."""

    def __init__(self, text: str) -> None:
        self.text = text
        planned = json.loads(text)["planned_values"]
        self.outputs = {name: said.get("value") for name, said in planned["outputs"].items()}
        self.resources = {each["address"]: each["values"] for each in planned["root_module"]["resources"]}

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The resources of one type."""
        return {address: said for address, said in self.resources.items() if address.startswith(f"{kind}.")}

    def one(self, address: str) -> dict[str, Any]:
        return self.resources[address]


def planned(folder: Path, *flags: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Look at the module; a test that cannot is skipped."""
    program = os.environ.get("TODOKE_TERRAFORM_CHECK")
    if program is None or shutil.which("terraform") is None:
        pytest.skip("no plan: it wants Terraform, and TODOKE_TERRAFORM_CHECK (see tests/templates/test_infra.py)")
    plan = folder / "plan.json"
    done = subprocess.run(
        [program, str(INFRA), "--plan", *flags],
        env=os.environ | {"PLAN_JSON": str(plan)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return done, plan


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Plan]:
    """The plans of both examples, with an image."""
    found = {}
    for size in SIZES:
        flags = (f"-var-file=examples/{size}/terraform.tfvars", f"-var=image={IMAGE}")
        done, plan = planned(tmp_path_factory.mktemp(size), *flags)
        assert done.returncode == 0, done.stdout + done.stderr
        found[size] = Plan(plan.read_text("utf-8"))
    return found


@pytest.fixture(params=SIZES)
def plan(request: pytest.FixtureRequest, plans: dict[str, Plan]) -> Plan:
    return plans[request.param]


def test_the_files_have_terraforms_form() -> None:
    if shutil.which("terraform") is None:
        pytest.skip("no Terraform")
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", "-diff", str(INFRA)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_comes_from_the_code_is_as_the_code_says() -> None:
    """`make templates` writes it."""
    written = {path.name: path.read_text("utf-8") for path in (INFRA / "generated").iterdir()}
    assert written == {path.name: content for path, content in files() if path.parent == INFRA / "generated"}
    assert json.loads(written["bigtable.json"]) == tables()


def test_the_code_makes_the_same_tables_where_there_are_none(bigtable: Instance) -> None:
    """So a store that `todoke run` made, as in tests and tries, is as one of Terraform's."""
    open_store(bigtable.url).close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the client says that it uses the emulator
        client = Client(bigtable.project, admin=True).table_admin_client
    made = {}
    for each in client.list_tables(request={"parent": f"projects/{bigtable.project}/instances/{bigtable.name}"}):
        table = client.get_table(request={"name": each.name})
        families = {name: family.gc_rule.max_num_versions for name, family in table.column_families.items()}
        made[each.name.rpartition("/")[2]] = families
    client.transport.close()
    assert made == {
        name: {family: rule["max_versions"] for family, rule in said["families"].items()}
        for name, said in tables()["tables"].items()
    }


def test_no_file_holds_a_secret() -> None:
    """Secrets are named; nothing makes a version of one, or reads it into a state."""
    for path in INFRA.rglob("*.tf"):
        text = path.read_text("utf-8")
        assert "secret_manager_secret_version" not in text
        assert "secret_data" not in text
        assert "service_account_key" not in text


def test_what_matters_most_stands_there_without_a_plan_too() -> None:
    text = "\n".join(path.read_text("utf-8") for path in INFRA.glob("*.tf"))
    assert re.findall(r"on_delete\s*= (\S+)", text) == ['"drain"']
    assert re.findall(r"for_each = local\.(bigtable\.tables|families)", text) == ["bigtable.tables", "families"]
    assert all(int(count) <= 5 for count in re.findall(r"retry_count\s*= (\d+)", text))
    assert not re.search(r"_iam_(binding|policy)\"", text)
    assert not re.search(r"roles/(owner|editor|viewer)\b", text)


def test_bigtable_has_every_table_with_its_family_and_rule(plan: Plan) -> None:
    expected = tables()["tables"]
    made = {said["name"]: said for said in plan.of("google_bigtable_table").values()}
    assert set(made) == set(expected)
    for name, said in made.items():
        assert {each["family"] for each in said["column_family"]} == set(expected[name]["families"])
        assert said["deletion_protection"] == "PROTECTED"
    rules = {(said["table"], said["column_family"]): said for said in plan.of("google_bigtable_gc_policy").values()}
    assert set(rules) == {(name, family) for name in expected for family in expected[name]["families"]}
    for (name, family), said in rules.items():
        rule = json.loads(said["gc_rules"])
        kept = expected[name]["families"][family]["max_versions"]
        assert rule["rules"][0] == {"max_version": kept}
        if name == "events":  # the archive, by age too; what is older goes even if it is the newest version
            assert rule["mode"] == "union"
            assert re.fullmatch(r"\d+h", rule["rules"][1]["max_age"])
        else:
            assert len(rule["rules"]) == 1
    (instance,) = plan.of("google_bigtable_instance").values()
    assert instance["deletion_protection"] is True
    (cluster,) = instance["cluster"]  # one: claims need it
    assert cluster["autoscaling_config"][0]["min_nodes"] <= cluster["autoscaling_config"][0]["max_nodes"]


def test_the_job_drains_and_runs_the_image_that_its_template_names(plan: Plan) -> None:
    (job,) = plan.of("google_dataflow_flex_template_job").values()
    assert job["on_delete"] == "drain"
    assert not job["skip_wait_on_job_termination"]
    assert job["enable_streaming_engine"]
    assert job["sdk_container_image"] == IMAGE
    spec = plan.one('google_storage_bucket_object.specs["realtime"]')
    assert job["container_spec_gcs_path"] == f"gs://{spec['bucket']}/{spec['name']}"
    for each in plan.of("google_storage_bucket_object").values():
        said = json.loads(each["content"])
        check("dataflow", "ContainerSpec", said)
        assert said["image"] == said["defaultEnvironment"]["sdkContainerImage"] == IMAGE
        assert "DIGEST" not in each["content"]
        assert said["sdkInfo"] == {"language": "PYTHON"}
        assert each["deletion_policy"] == "ABANDON"
    assert job["service_account_email"] == plan.outputs["accounts"]["worker"]
    assert re.fullmatch(r"[a-z][a-z0-9-]*", job["name"])


def test_an_image_that_is_no_digest_is_refused(tmp_path: Path) -> None:
    done, _ = planned(tmp_path, "-var-file=examples/small/terraform.tfvars", f"-var=image={TAG}")
    assert done.returncode != 0
    assert "by its digest" in " ".join(done.stdout.split())


def test_before_there_is_an_image_nothing_runs(tmp_path: Path) -> None:
    """The first apply makes the registry that the image is pushed to."""
    done, path = planned(tmp_path, "-var-file=examples/large/terraform.tfvars")
    assert done.returncode == 0, done.stdout + done.stderr
    plan = Plan(path.read_text("utf-8"))
    for kind in ("dataflow_flex_template_job", "cloud_scheduler_job", "cloud_run_v2_job", "storage_bucket_object"):
        assert not plan.of(f"google_{kind}")
    assert plan.of("google_artifact_registry_repository")
    assert plan.of("google_bigtable_table")


def test_parameters_are_of_the_template(plan: Plan) -> None:
    (job,) = plan.of("google_dataflow_flex_template_job").values()
    check_parameters("realtime", job["parameters"])


def check_parameters(template: str, parameters: dict[str, str]) -> None:
    """Unknown ones are refused by Dataflow, as is one that is needed and missing, or does not match."""
    spec = json.loads((INFRA / "generated" / f"{template}.json").read_text("utf-8"))
    known = {each["name"]: each for each in spec["metadata"]["parameters"]}
    assert set(parameters) <= set(known)
    assert {name for name, said in known.items() if not said.get("isOptional")} <= set(parameters)
    for name, value in parameters.items():
        assert isinstance(value, str)
        for pattern in known[name].get("regexes", ()):
            assert re.fullmatch(pattern, value), (name, value)


def test_the_clock_launches_the_backfill_by_its_template(plans: dict[str, Plan]) -> None:
    plan = plans["large"]
    scheduled = plan.one("google_cloud_scheduler_job.backfill[0]")
    (target,) = scheduled["http_target"]
    assert target["http_method"] == "POST"
    assert target["uri"] == (
        "https://dataflow.googleapis.com/v1b3/projects/my-project/locations/europe-west1/flexTemplates:launch"
    )
    body = json.loads(base64.b64decode(target["body"]))
    check("dataflow", "LaunchFlexTemplateRequest", body)
    launch = body.pop("launchParameter")
    assert body == {}
    spec = plan.one('google_storage_bucket_object.specs["backfill"]')
    assert launch["containerSpecGcsPath"] == f"gs://{spec['bucket']}/{spec['name']}"
    assert launch["jobName"] == "engagement-backfill"  # fixed: a second launch is refused while the first runs
    written = json.loads((INFRA / "generated" / "backfill_launch.json").read_text("utf-8"))["launchParameter"]
    assert set(launch) == set(written)
    assert set(written["environment"]) <= set(launch["environment"])
    assert {name: launch["parameters"][name] for name in ("job", "events", "write", "as_of")} == {
        name: written["parameters"][name] for name in ("job", "events", "write", "as_of")
    }
    assert not re.search(r"\b(BUCKET|DIGEST|PROJECT|REGION)\b", json.dumps(launch))
    assert launch["environment"]["sdkContainerImage"] == IMAGE
    assert launch["environment"]["serviceAccountEmail"] == plan.outputs["accounts"]["worker"]
    check_parameters("backfill", launch["parameters"])
    assert not plans["small"].of("google_cloud_scheduler_job.backfill")


def test_everything_by_the_clock_has_a_token_and_few_repetitions(plan: Plan) -> None:
    scheduled = plan.of("google_cloud_scheduler_job")
    assert {said["name"].partition("-")[2] for said in scheduled.values()} >= {"sweep", "report", "doctor"}
    commands = {said["name"]: said for said in plan.of("google_cloud_run_v2_job").values()}
    for said in scheduled.values():
        (target,) = said["http_target"]
        (token,) = target["oauth_token"]
        assert token["service_account_email"] == plan.outputs["accounts"]["scheduler"]
        assert token["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        assert 0 < said["retry_config"][0]["retry_count"] <= 5
        assert 15 <= int(said["attempt_deadline"].removesuffix("s")) <= 1800
        called = re.search(r"/jobs/([^/:]+):run$", target["uri"])
        assert called is None or called[1] in commands
    for said in commands.values():
        (outer,) = said["template"]
        (inner,) = outer["template"]
        (container,) = inner["containers"]
        assert container["image"] == IMAGE
        assert inner["service_account"] == plan.outputs["accounts"]["commands"]
        assert not [word for word in container["args"] if word.isupper()]
        assert container["args"][0] != "doctor" or "--control" in container["args"]  # else it misses Prism there


def test_commands_by_the_clock_are_commands(plan: Plan) -> None:
    """Each is read by the command line itself."""
    from typer.main import get_command

    from todoke.cli import app

    group: Any = get_command(app)
    for said in plan.of("google_cloud_run_v2_job").values():
        (container,) = said["template"][0]["template"][0]["containers"]
        assert container["command"] == ["todoke"]
        name, *words = container["args"]
        command = group.commands[name]
        command.make_context(name, list(words), parent=group.make_context("todoke", [], resilient_parsing=True))


def test_every_right_has_its_reason_and_none_is_broad(plan: Plan) -> None:
    rights = plan.outputs["rights"]
    assert all(len(each["why"]) > 10 for each in rights)
    given = [
        (address, said)
        for address, said in plan.resources.items()
        if re.match(r"google_\w+_iam_(member|binding|policy)\.", address)
    ]
    assert len(given) == len(rights)
    assert all("_iam_member." in address for address, _ in given)  # the others take rights from those whom they forget
    for address, said in given:
        assert not BROAD.match(said["role"]) or said["role"] in NARROWEST, address
        assert said["member"].startswith("serviceAccount:"), address
    accounts = plan.outputs["accounts"]
    members = {f"serviceAccount:{email}": who for who, email in accounts.items()}
    expected = {(each["who"], each["role"]) for each in rights}
    assert {(members.get(said["member"], said["member"]), said["role"]) for _, said in given} == expected


def test_who_may_do_what(plan: Plan) -> None:
    """The scheduler launches and starts, and reads templates: nothing more. Only the worker reads secrets."""
    of: dict[str, set[str]] = {}
    for each in plan.outputs["rights"]:
        of.setdefault(each["who"], set()).add(each["role"].rpartition("/")[2])
    launch = next(role for role in of["scheduler"] if role.endswith("_launch"))
    assert of["scheduler"] == {launch, "storage.objectViewer", "iam.serviceAccountUser", "run.invoker"} - (
        {"run.invoker"} if not plan.of("google_cloud_run_v2_job") else set()
    )
    (custom,) = plan.of("google_project_iam_custom_role").values()
    assert set(custom["permissions"]) == {"dataflow.jobs.create", "dataflow.jobs.get", "dataflow.jobs.list"}
    assert {"dataflow.worker", "bigtable.user", "pubsub.subscriber"} <= of["worker"]
    assert not {"dataflow.developer", "iam.serviceAccountUser", "bigtable.admin"} & of["worker"]
    readers = {each["who"] for each in plan.outputs["rights"] if "secretmanager" in each["role"]}
    assert readers == {"worker"}


def test_secrets_are_named_and_never_there(plans: dict[str, Plan]) -> None:
    for size in SIZES:
        plan = plans[size]
        assert not plan.of("google_secret_manager_secret_version")
        assert not plan.of("google_service_account_key")
        (job,) = plan.of("google_dataflow_flex_template_job").values()
        said = json.dumps(job["parameters"])
        for each in plan.of("google_secret_manager_secret_iam_member").values():
            assert f"/secrets/{each['secret_id']}/versions/" in said
            assert each["role"] == "roles/secretmanager.secretAccessor"
    ids = {said["secret_id"] for said in plans["large"].of("google_secret_manager_secret_iam_member").values()}
    assert ids == {"unsubscribe", "smtp-password", "crm-token"}


def test_what_comes_in_is_kept_in_order_and_can_be_sought_back(plan: Plan) -> None:
    subscriptions = {said["name"].rpartition("-")[2]: said for said in plan.of("google_pubsub_subscription").values()}
    events, control, letters = subscriptions["events"], subscriptions["control"], subscriptions["letters"]
    assert events["enable_message_ordering"]
    for said in (events, control):
        assert said["retain_acked_messages"]
        assert said["message_retention_duration"] == "604800s"
        assert not said["dead_letter_policy"]  # Dataflow supports none
    for said in (events, control, letters):
        assert said["expiration_policy"] == [{"ttl": ""}]


def test_undelivered_messages_go_where_somebody_may_look(tmp_path: Path) -> None:
    flags = ("-var-file=examples/small/terraform.tfvars", "-var=undelivered_after=50")
    done, path = planned(tmp_path, *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    plan = Plan(path.read_text("utf-8"))
    (policy,) = plan.one("google_pubsub_subscription.events")["dead_letter_policy"]
    assert policy["max_delivery_attempts"] == 50
    topic = plan.one("google_pubsub_topic.undelivered[0]")["name"]
    assert policy["dead_letter_topic"].endswith(f"/topics/{topic}")
    assert plan.one("google_pubsub_subscription.undelivered[0]")["topic"] == topic


def test_alerts_say_what_to_do(plan: Plan) -> None:
    policies = plan.of("google_monitoring_alert_policy")
    watched = set(re.findall(r"metric\.type = \\+\"([^\"\\]+)", plan.text))
    assert {
        "dataflow.googleapis.com/job/system_lag",
        "dataflow.googleapis.com/job/data_watermark_age",
        "dataflow.googleapis.com/job/is_failed",
        "pubsub.googleapis.com/subscription/oldest_unacked_message_age",
        "pubsub.googleapis.com/subscription/num_undelivered_messages",
        "bigtable.googleapis.com/cluster/cpu_load",
    } <= watched
    made = {f"logging.googleapis.com/user/{said['name']}" for said in plan.of("google_logging_metric").values()}
    assert {each for each in watched if each.startswith("logging.")} == made
    for address, said in policies.items():
        (text,) = said["documentation"]
        named = re.search(r"More: (docs/\S+\.md)$", text["content"])
        assert named is not None, address
        assert (ROOT / named[1]).is_file(), address
        assert len(said["conditions"]) == 1


def test_buckets_are_closed_and_what_running_jobs_need_stays(plan: Plan) -> None:
    buckets = plan.of("google_storage_bucket")
    for said in buckets.values():
        assert said["uniform_bucket_level_access"]
        assert said["public_access_prevention"] == "enforced"
        assert not said["force_destroy"]
    for rule in plan.one("google_storage_bucket.work")["lifecycle_rule"]:
        assert rule["condition"][0]["matches_prefix"] == ["temp/"]
    (job,) = plan.of("google_dataflow_flex_template_job").values()
    assert "/temp" in job["temp_location"]
    assert "/staging" in job["staging_location"]
