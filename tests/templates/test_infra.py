"""What Terraform would make of the job, its store, and what happens by the clock: by its own plan (`plans.py`)."""

import base64
import json
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
from plans import IMAGE, INFRA, Plan, planned

from tools.bigtable_tables import tables
from tools.templates import files
from transforms.storage.open import open_store

TAG = IMAGE.partition("@")[0] + ":latest"


def test_the_files_have_terraforms_form() -> None:
    if shutil.which("terraform") is None:
        pytest.skip("no Terraform")
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", "-diff", str(INFRA)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "fits"),
    [("shop", False), ("shops", False), ("todoke", True), ("a-shop-of-20-letters", True), ("s" * 21, False)],
)
def test_a_name_fits_the_instance_and_the_accounts(name: str, fits: bool) -> None:
    """Bigtable: 6 to 33 for an instance. Accounts: 30, with `-scheduler` after it."""
    said = (INFRA / "variables.tf").read_text("utf-8").partition('variable "name"')[2]
    found = re.search(r'regex\("([^"]+)", var\.name\)', said)
    assert found is not None
    assert (re.search(found[1], name) is not None) is fits


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


def test_what_matters_most_stands_there_without_a_plan_too() -> None:
    text = "\n".join(path.read_text("utf-8") for path in INFRA.glob("*.tf"))
    assert re.findall(r"on_delete\s*= (.+)", text) == ['var.read == "accounted" ? "cancel" : "drain"']
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
            age = rule["rules"][1]["max_age"]
            assert re.fullmatch(r"\d+h", age)
            assert int(age.removesuffix("h")) % 24 == 1  # the provider reads whole days back as days
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
    spec = plan.one('google_storage_bucket_object.specs["realtime"]')
    assert job["container_spec_gcs_path"] == f"gs://{spec['bucket']}/{spec['name']}"
    for each in plan.of("google_storage_bucket_object").values():
        said = json.loads(each["content"])
        check("dataflow", "ContainerSpec", said)
        environment = said["defaultEnvironment"]
        assert said["image"] == environment["sdkContainerImage"] == IMAGE
        assert environment["tempLocation"].endswith("-work/temp")
        assert environment["stagingLocation"].endswith("-work/staging")
        assert ("subnetwork" in environment) == (environment.get("ipConfiguration") == "WORKER_IP_PRIVATE")
        assert "DIGEST" not in each["content"]
        assert said["sdkInfo"] == {"language": "PYTHON"}
        assert each["deletion_policy"] == "ABANDON"
    assert job["service_account_email"] == plan.outputs["accounts"]["worker"]
    assert re.fullmatch(r"[a-z][a-z0-9-]*", job["name"])


def test_nothing_stands_in_the_job_that_the_provider_reads_back_as_none(plan: Plan) -> None:
    """It would update the job at each apply, or replace it: templates/infra/dataflow.tf says why."""
    (job,) = plan.of("google_dataflow_flex_template_job").values()
    read_back = ("machine_type", "network", "num_workers", "max_workers", "sdk_container_image", "subnetwork")
    assert {name: job.get(name) for name in (*read_back, "staging_location", "temp_location")} == dict.fromkeys(
        (*read_back, "staging_location", "temp_location")
    )
    spec = json.loads(plan.one('google_storage_bucket_object.specs["realtime"]')["content"])
    environment = spec["defaultEnvironment"]
    assert environment["machineType"].startswith("n2-standard-")
    assert 0 < environment["numWorkers"] <= environment["maxWorkers"]
    assert environment["enableStreamingEngine"] is True


def test_an_image_that_is_no_digest_is_refused(tmp_path: Path) -> None:
    done, _ = planned(tmp_path, "-var-file=examples/small/terraform.tfvars", f"-var=image={TAG}")
    assert done.returncode != 0
    assert "by its digest" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ('parameters={smtp_password="hunter2"}', "The realtime template has no such parameter"),
        ('parameters={psh="fcm:my-project"}', "The realtime template has no such parameter"),
        ('secrets={TODOKE_SMTP_PASWORD="smtp-password"}', "No channel takes such a secret"),
        ('backfill={schedule="0 1 * * *",parameters={asof="now"}}', "The backfill template has no such parameter"),
    ],
)
def test_what_no_template_takes_is_refused_by_the_plan(tmp_path: Path, said: str, cause: str) -> None:
    done, _ = planned(tmp_path, "-var-file=examples/small/terraform.tfvars", f"-var={said}")
    assert done.returncode != 0
    assert cause in " ".join((done.stdout + done.stderr).replace("│", " ").split())


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
        assert not value.startswith("pubsub:"), "the console's own form has no such word"
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
