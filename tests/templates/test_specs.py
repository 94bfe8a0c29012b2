"""What is checked in under templates/ is made of the flags, and is what Google's APIs take."""

import base64
import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from discovery import check

from beam_pipelines.template_parameters import JOBS, REALTIME, parameters_of
from beam_pipelines.template_spec import LaunchPlace, launch_body, scheduler_job, spec_of
from tools.templates import FOLDER, IMAGE, files

FILES = dict(files())


def read(job: str, name: str) -> Any:
    return json.loads((FOLDER / job / name).read_text("utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_files_are_made_of_the_flags(path: Path) -> None:
    assert path.read_text("utf-8") == FILES[path], "run `make templates`, and look at what changed"


@pytest.mark.parametrize("job", JOBS)
def test_the_api_takes_them_and_knows_each_field(job: str) -> None:
    check("dataflow", "ContainerSpec", read(job, "spec.json"))
    check("dataflow", "TemplateMetadata", read(job, "metadata.json"))
    check("dataflow", "LaunchFlexTemplateRequest", read(job, "launch.json"))
    inline = launch_body(
        job, "todoke", LaunchPlace(project="p", region="r", image="i", staging="gs://b/f"), {}, update=True
    )
    check("dataflow", "LaunchFlexTemplateRequest", inline)


def test_cloud_scheduler_takes_its_job() -> None:
    scheduled = read("backfill", "scheduler.json")
    check("cloudscheduler", "Job", scheduled)
    assert json.loads(base64.b64decode(scheduled["httpTarget"]["body"])) == read("backfill", "launch.json")
    assert scheduled["retryConfig"]["retryCount"] <= 5
    assert 15 <= int(scheduled["attemptDeadline"].removesuffix("s")) <= 1800
    place = LaunchPlace(project="p", region="r", image="i", staging="gs://b/f")
    check("cloudscheduler", "Job", scheduler_job(read("backfill", "launch.json"), "other", place, "0 0 * * *", "s@p"))


@pytest.mark.parametrize(
    ("events", "is_taken"),
    [
        ("gs://b/history/*.avro", True),
        ("store", True),
        ("bigquery:my-shop.crm.events", True),
        ("bigquery:example.com:my-shop.crm.events", True),
        ("bigquery:gs://b/orders.sql", True),
        ("bigquery:orders.sql", False),
        ("bigquery:crm.events", False),
        ("bigquery:my-shop.crm.a.b.c", False),
        ("history.jsonl", False),
        ("pubsub:projects/p/subscriptions/s", False),
    ],
)
def test_what_a_backfill_reads(events: str, is_taken: bool) -> None:
    known = {each["name"]: each for each in read("backfill", "metadata.json")["parameters"]}
    [pattern] = known["events"]["regexes"]
    assert bool(re.fullmatch(pattern, events)) is is_taken


@pytest.mark.parametrize(
    "spoil",
    [
        lambda spec: spec.update(imagee="x"),
        lambda spec: spec["metadata"].update(supportsAtMostOnce=True),
        lambda spec: spec["metadata"]["parameters"][0].update(regex="x"),
        lambda spec: spec["metadata"]["parameters"][0].update(paramType="GCS_FILE"),
        lambda spec: spec["metadata"]["parameters"][0].update(isOptional="false"),
        lambda spec: spec["defaultEnvironment"].update(maxNumWorkers=3),
        lambda spec: spec["sdkInfo"].update(language="python"),
    ],
)
def test_the_check_is_strict(spoil: Any) -> None:
    spec = copy.deepcopy(read(REALTIME, "spec.json"))
    spoil(spec)
    with pytest.raises(jsonschema.ValidationError):
        check("dataflow", "ContainerSpec", spec)


@pytest.mark.parametrize("job", JOBS)
def test_a_launch_gives_what_the_template_asks_for(job: str) -> None:
    """Dataflow refuses a parameter that is unknown, or missing, or looks otherwise."""
    known = {each["name"]: each for each in read(job, "metadata.json")["parameters"]}
    asked = read(job, "launch.json")["launchParameter"]
    given = asked["parameters"]
    assert given.keys() <= known.keys()
    assert {name for name, each in known.items() if not each["isOptional"]} <= given.keys()
    for name, value in given.items():
        filled_in = value.replace("PROJECT", "my-project")
        assert all(re.fullmatch(regex, filled_in) for regex in known[name].get("regexes", ())), name
    # What stands in the environment is no parameter, too: it would be given twice.
    flags = {re.sub("[A-Z]", lambda sign: f"_{sign[0].lower()}", field) for field in asked["environment"]}
    assert not flags & known.keys()
    assert asked["environment"]["sdkContainerImage"] == read(job, "spec.json")["image"] == IMAGE
    assert read(job, "spec.json") == spec_of(job, IMAGE)


@pytest.mark.parametrize("job", JOBS)
def test_an_optional_parameter_may_come_empty(job: str) -> None:
    for each in read(job, "metadata.json")["parameters"]:
        if each["isOptional"]:
            assert all(re.fullmatch(regex, "") for regex in each.get("regexes", ())), each["name"]


@pytest.mark.parametrize("job", JOBS)
def test_no_parameter_takes_a_secret(job: str) -> None:
    for each in parameters_of(job):
        if each.secret:
            assert not re.fullmatch(each.regex, "hunter2")
            assert not re.fullmatch(each.regex, "whsec_c2lnbi1uby1jYWxscy03NzM0")


@pytest.mark.parametrize("job", JOBS)
def test_each_page_names_its_files(job: str) -> None:
    page = (FOLDER / job / "README.md").read_text("utf-8")
    assert len(page.splitlines()) < 60
    for path in FILES:
        if path.parent.name == job:
            assert f"`{path.name}`" in page
