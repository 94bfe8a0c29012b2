"""Each template is launched by the emulated launcher from the built package: words in any order, no environment and no
network.

What comes of it is the job's own file and graph, as the service gets them.
"""

import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from apache_beam.internal import pickler
from apache_beam.portability.api import beam_runner_api_pb2 as RunnerApi
from emulated_launcher import CANARY
from graphs import carried, do_fns, labels
from launches import IMAGE, Launched, alone, launch, words_of
from wheels import ROOT, run

from beam_pipelines.options import FIRST_BEAM
from beam_pipelines.template_parameters import BACKFILL, REALTIME
from beam_pipelines.template_spec import LaunchPlace, launch_body

PLACE = LaunchPlace(project="proj-x", region="europe-west1", image=IMAGE, staging="gs://staged/todoke", private=True)
SECRET = "projects/proj-x/secrets/{}/versions/3"
VALUES = {
    REALTIME: {
        "definitions": "gs://definitions/live.json",
        "events": "projects/proj-x/subscriptions/events",
        "store": "bigtable:proj-x/todoke",
        "control": "projects/proj-x/subscriptions/control",
        "control_topic": "projects/proj-x/topics/control",
        "dead_letters": "projects/proj-x/topics/dead-letters",
        "push": "fcm:proj-x",
        "email": "smtps://mail.example.com:465",
        "mail_from": "Shop <shop@example.com>",
        "unsubscribe_url": "https://shop.example.com/unsubscribe",
        "unsubscribe_secret": SECRET.format("unsubscribe"),
        "smtp_password_secret": SECRET.format("smtp"),
        "secrets": f"CRM={SECRET.format('crm')},ERP={SECRET.format('erp')}",
    },
    BACKFILL: {
        "definitions": "gs://definitions/live.json",
        "events": "store",
        "store": "bigtable:proj-x/todoke",
        "write": "seeds",
        "as_of": "now-1h",
        "control_topic": "projects/proj-x/topics/control",
        "rate": "500",
    },
}
#: What the console leaves empty, and switches that nobody turned on.
UNTOUCHED = {REALTIME: {"line": "", "sms": "", "webhook": "false", "webhook_allow": ""}, BACKFILL: {"engine": ""}}

Launch = Callable[..., Launched]


@pytest.fixture(scope="module")
def definitions(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bucket with published definitions."""
    folder = tmp_path_factory.mktemp("published")
    run(installed / "todoke", "publish", ROOT / "todoke/demo/shop.yaml", "--to", folder / "live.json", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def launched(installed: Path, definitions: Path, tmp_path_factory: pytest.TempPathFactory) -> Launch:
    """Launches a template: with other values, without some words, with others in addition."""

    def go(job: str, /, *more: str, seed: int = 0, less: str = "", **values: str) -> Launched:
        folder = tmp_path_factory.mktemp(job)
        shutil.copytree(definitions, folder / "buckets/definitions")
        body = launch_body(job, f"todoke-{job}", PLACE, VALUES[job])
        body["launchParameter"]["parameters"] |= {**UNTOUCHED[job], **values}
        words = [word for word in words_of(body, seed) if not less or not word.startswith(f"--{less}=")]
        return launch(installed, folder, [*words, *more])

    return go


@pytest.fixture(scope="module", params=[REALTIME, BACKFILL])
def done(request: pytest.FixtureRequest, launched: Launch) -> tuple[str, Launched]:
    """A launch of each template that went well."""
    found = launched(request.param)
    assert found.code == 0, found.err
    return request.param, found


def option(job: dict[str, Any], name: str) -> Any:
    return job["environment"]["sdkPipelineOptions"]["options"][name]


def test_a_launch_ends_at_once_and_leaves_nothing(done: tuple[str, Launched]) -> None:
    _, found = done
    assert found.seconds < 60
    assert found.left == []


def test_a_launch_needs_no_network(done: tuple[str, Launched]) -> None:
    if not alone():
        pytest.skip("no network namespace may be made here: launches ran beside the network")
    assert not done[1].way_out


def test_the_job_is_what_was_asked(done: tuple[str, Launched]) -> None:
    name, found = done
    job = found.job
    assert job["name"] == f"todoke-{name}"
    assert job["type"] == ("JOB_TYPE_STREAMING" if name == REALTIME else "JOB_TYPE_BATCH")
    assert job["labels"] == {"app": "todoke", "job": name}
    [pool] = job["environment"]["workerPools"]
    assert {each["containerImage"] for each in pool["sdkHarnessContainerImages"]} == {IMAGE}
    environments = found.proto.components.environments.values()
    images = {RunnerApi.DockerPayload.FromString(each.payload).container_image for each in environments}
    assert images == {IMAGE}
    staged = {found.staged_name(each) for environment in environments for each in environment.dependencies}
    assert staged == {"submission_environment_dependencies.txt"}  # a list for people; no package of the launcher's
    assert pool["ipConfiguration"] == "WORKER_IP_PRIVATE"
    assert pool.get("diskSizeGb", 0) == (0 if name == REALTIME else 100)
    assert option(job, "max_num_workers") == (4 if name == REALTIME else 10)


def test_versions_are_pinned(done: tuple[str, Launched]) -> None:
    name, found = done
    if name == REALTIME:
        assert option(found.job, "update_compatibility_version") == FIRST_BEAM
    assert found.job["environment"]["userAgent"]["version"] == version("apache-beam")


def test_the_live_graph_has_the_labels_of_all_others(done: tuple[str, Launched]) -> None:
    name, found = done
    golden = (ROOT / "tests/golden/dataflow_labels.txt").read_text("utf-8").splitlines()
    steps = golden if name == REALTIME else ["Asked", "Backfill"]
    assert set(steps) <= set(labels(found.proto))
    if name == REALTIME:
        assert labels(found.proto) == golden


@pytest.mark.all_in_ci
@pytest.mark.parametrize(("write", "step"), [("audit", "Audit/Compare"), ("memberships", "Memberships/AskParts/Ask")])
def test_what_is_asked_by_columns_is_spread_among_workers(launched: Launch, write: str, step: str) -> None:
    out = {"out": "gs://definitions/members"} if write == "memberships" else {}
    found = launched(BACKFILL, write=write, control_topic="", rate="", **out)
    assert found.code == 0, found.err
    steps = set(labels(found.proto))
    assert {step, "Finish"} <= steps
    assert "Backfill" not in steps
    assert b"now-1h" not in carried(found.proto)


def test_nothing_comes_from_the_program_that_was_run(done: tuple[str, Launched]) -> None:
    """Workers have no such program. Each step is unpickled here, where it is another one."""
    _, found = done
    assert b"__main__" not in carried(found.proto)
    steps = do_fns(found.proto)
    assert steps
    for payload in steps.values():
        pickler.loads(payload)


def test_the_graph_knows_secrets_by_name_alone(done: tuple[str, Launched]) -> None:
    name, found = done
    inside = carried(found.proto)
    assert CANARY.encode() not in inside + json.dumps(found.job).encode()
    assert CANARY not in found.err
    assert (f"sm:{SECRET.format('smtp')}".encode() in inside) == (name == REALTIME)
    assert (f"sm:{SECRET.format('erp')}".encode() in inside) == (name == REALTIME)


def test_a_time_before_now_becomes_a_time(done: tuple[str, Launched]) -> None:
    """Otherwise a step that is tried again would mean another one."""
    name, found = done
    inside = carried(found.proto)
    assert b"now-1h" not in inside
    assert (b"--as-of=2" in inside) == (name == BACKFILL)


@pytest.mark.all_in_ci
def test_the_order_of_words_is_any(launched: Launch, done: tuple[str, Launched]) -> None:
    name, first = done
    if name == BACKFILL:
        pytest.skip("its words are read by the same code")
    other = launched(name, seed=1)
    assert other.code == 0, other.err
    assert labels(other.proto) == labels(first.proto)


@pytest.mark.all_in_ci
def test_an_update_names_the_job_that_it_replaces(launched: Launch, done: tuple[str, Launched]) -> None:
    """Beam looks for it while it launches, so the launcher's account must be let."""
    name, _ = done
    if name == BACKFILL:
        pytest.skip("a backfill is not updated")
    found = launched(name, "--update=true", "--dataflow_endpoint=DATAFLOW")
    assert found.code == 0, found.err
    assert found.job["replaceJobId"] == "id-0"


WRONG: dict[str, tuple[dict[str, str], str, str]] = {
    "parameter": ({"store": ""}, "", "give the parameter store"),
    "image": ({}, "sdk_container_image", "--sdk_container_image is missing"),
    "mail": ({"mail_from": ""}, "", "set TODOKE_MAIL_FROM"),
    "definitions": ({"definitions": "gs://definitions/none.json"}, "", "gs://definitions/none.json"),
}


@pytest.mark.all_in_ci
@pytest.mark.parametrize("missing", WRONG)
def test_what_is_missing_ends_a_launch_with_2_and_its_cause(launched: Launch, missing: str) -> None:
    values, less, cause = WRONG[missing]
    found = launched(REALTIME, less=less, log_format="text", **values)
    assert found.code == 2, found.err
    assert cause in found.err
    assert "Traceback" not in found.err


@pytest.mark.all_in_ci
def test_what_only_the_launcher_knows_is_passed_over(launched: Launch) -> None:
    found = launched(BACKFILL, "--launcher_secret_switch=on")
    assert found.code == 0, found.err
    warned = [json.loads(line)["message"] for line in found.err.splitlines() if line.startswith("{")]
    assert any("--launcher_secret_switch=on" in message for message in warned)
