"""Who may do what, what comes in, what somebody is told of: by Terraform's own plan (`plans.py`)."""

import json
import re
from pathlib import Path

import pytest
from google.pubsub_v1.types import Subscription
from plans import IMAGE, INFRA, ROOT, SIZES, Plan, planned

from transforms.errors import WrongUse
from transforms.events.accounted.deadline import check_deadline

#: Roles that may do nearly everything to what they are given for.
BROAD = re.compile(r"roles/(owner|editor|viewer|.*\.(admin|editor|owner))$")
#: And those of them for which there is a reason.
NARROWEST = {"roles/firebasecloudmessaging.admin"}


def test_no_file_holds_a_secret() -> None:
    """Secrets are named; nothing makes a version of one, or reads it into a state."""
    for path in INFRA.rglob("*.tf"):
        text = path.read_text("utf-8")
        assert "secret_manager_secret_version" not in text
        assert "secret_data" not in text
        assert "service_account_key" not in text


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
    """The scheduler launches and starts, and reads templates: no more. Only the worker and services read secrets."""
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
    services = {each for each in ("collect", "engage") if each in plan.outputs["accounts"]}
    assert readers == {"worker", *services}


def test_secrets_are_named_and_never_there(plans: dict[str, Plan]) -> None:
    for size in SIZES:
        plan = plans[size]
        assert not plan.of("google_secret_manager_secret_version")
        assert not plan.of("google_service_account_key")
        (job,) = plan.of("google_dataflow_flex_template_job").values()
        said = json.dumps(job["parameters"])
        for address, each in plan.of("google_secret_manager_secret_iam_member").items():
            assert f"/secrets/{each['secret_id']}/versions/" in said or '["worker ' not in address
            assert each["role"] == "roles/secretmanager.secretAccessor"
    ids = {said["secret_id"] for said in plans["large"].of("google_secret_manager_secret_iam_member").values()}
    assert ids == {"unsubscribe", "smtp-password", "crm-token", "write-keys", "signing-keys", "inbox-keys"}


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


def test_accounted_reading_gets_subscriptions_that_its_preflight_takes(tmp_path: Path) -> None:
    """As the job itself looks at them, at its longest interval between checkpoints that fits 600 s."""
    done, path = planned(
        tmp_path, "-var-file=examples/small/terraform.tfvars", f"-var=image={IMAGE}", "-var=read=accounted"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    plan = Plan(path.read_text("utf-8"))
    for which in ("events", "control"):
        check_deadline(f"--{which}", subscription(plan, which), interval=240.0)
    (job,) = plan.of("google_dataflow_flex_template_job").values()
    assert job["parameters"]["read"] == "accounted"
    assert job["on_delete"] == "cancel"  # a drain never ends, and what is not done comes again


def test_beams_own_reading_keeps_its_subscriptions(plan: Plan) -> None:
    (job,) = plan.of("google_dataflow_flex_template_job").values()
    assert "read" not in job["parameters"]
    with pytest.raises(WrongUse, match="in order"):
        check_deadline("--events", subscription(plan, "events"), interval=10.0)


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        (("-var=read=accounted", "-var=undelivered_after=50"), "each lease that ends is a delivery"),
        (('-var=parameters={read="accounted"}',), "stands in the variable `read`"),
        (("-var=read=checkpoints",), "`beam` or `accounted`"),
        (('-var=bigquery={tables=["crm.customers"]}',), "Name tables as PROJECT.DATASET.TABLE"),
        (('-var=bigquery={datasets=["p.crm"],readers=["scheduler"]}',), "readers among worker"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_plan(tmp_path: Path, flags: tuple[str, ...], cause: str) -> None:
    done, _ = planned(tmp_path, "-var-file=examples/small/terraform.tfvars", *flags)
    assert done.returncode != 0
    assert cause in " ".join((done.stdout + done.stderr).replace("│", " ").split())


def test_bigquery_is_read_only_where_asked_for_and_only_what_is_named(plan: Plan, tmp_path: Path) -> None:
    assert not [each for each in plan.outputs["rights"] if "bigquery" in each["role"]]
    asked = '-var=bigquery={tables=["crm.shop.orders"],datasets=["crm.events"],queries=true}'
    done, path = planned(tmp_path, "-var-file=examples/small/terraform.tfvars", f"-var=image={IMAGE}", asked)
    assert done.returncode == 0, done.stdout + done.stderr
    found = Plan(path.read_text("utf-8"))
    test_every_right_has_its_reason_and_none_is_broad(found)
    given = {
        (each["who"], each["role"].rpartition(".")[2], each["on"])
        for each in found.outputs["rights"]
        if "bigquery" in each["role"]
    }
    assert given == {
        (who, *right)
        for who in ("worker", "commands")
        for right in (
            ("readSessionUser", "project my-project"),
            ("jobUser", "project my-project"),
            ("dataViewer", "BigQuery crm.shop.orders"),
            ("dataViewer", "BigQuery crm.events"),
        )
    }
    table = found.one('google_bigquery_table_iam_member.rights["worker crm.shop.orders"]')
    assert (table["project"], table["dataset_id"], table["table_id"]) == ("crm", "shop", "orders")
    data = found.one('google_bigquery_dataset_iam_member.rights["commands crm.events"]')
    assert (data["project"], data["dataset_id"]) == ("crm", "events")
    served = {said["service"] for said in found.of("google_project_service").values()}
    assert {"bigquery.googleapis.com", "bigquerystorage.googleapis.com"} <= served


def subscription(plan: Plan, which: str) -> Subscription:
    """One of the plan's, as Pub/Sub would tell of it."""
    said = plan.one(f"google_pubsub_subscription.{which}")
    return Subscription(
        name=said["name"],
        ack_deadline_seconds=said["ack_deadline_seconds"],
        enable_message_ordering=bool(said.get("enable_message_ordering")),
        enable_exactly_once_delivery=bool(said.get("enable_exactly_once_delivery")),
    )
