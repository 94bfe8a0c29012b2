"""`todoke launch`: what is looked at before a job is launched, the request, and what the service may say to it."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bucket import leads_to, serve_buckets
from commands import COMMAND, run_todoke
from dataflow_api import DataflowApi, serve_dataflow
from discovery import check
from emulators import Instance, Project
from google.cloud.dataflow_v1beta3 import JobState
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from beam_pipelines.template_spec import LaunchPlace, launch_body, spec_of
from todoke.dataflow import Dataflow
from transforms.errors import RunFailed, TodokeError, WrongUse
from transforms.storage.open import open_store

DEFINITIONS = """\
segments: {buyers: {owner: crm, members: {event: Order Completed}}}
messages: {thanks: {channel: push, title: Thank you}}
campaigns: {greet: {owner: crm, trigger: {enters: buyers}, steps: [{send: thanks}], consent: offers}}
"""
IMAGE = "europe-docker.pkg.dev/proj-x/todoke/todoke@sha256:" + "7" * 64
OF_LAUNCH = ("--project", "proj-x", "--region", "europe-west1", "--image", IMAGE, "--staging", "gs://staged/todoke")
OF_JOB = (
    *("--definitions", "gs://site/live.json", "--store", "bigtable:proj-x/prod", "--push", "fcm:proj-x"),
    *("--events", "pubsub:projects/proj-x/subscriptions/events"),
    *("--control", "pubsub:projects/proj-x/subscriptions/control"),
    *("--control-topic", "pubsub:projects/proj-x/topics/control"),
    *("--dead-letters", "pubsub:projects/proj-x/topics/dead-letters"),
)
BODY = launch_body(
    "realtime", "todoke", LaunchPlace(project="proj-x", region="europe-west1", image=IMAGE, staging="gs://work"), {}
)


@pytest.fixture
def api() -> Iterator[DataflowApi]:
    with serve_dataflow() as served:
        yield served


@pytest.fixture
def dataflow(api: DataflowApi) -> Iterator[Dataflow]:
    with Dataflow("proj-x", "europe-west1", api.url, sleep=lambda _: None) as found:
        yield found


def printed(tmp_path: Path, *words: str) -> dict:
    done = run_todoke(tmp_path, "launch", *words, "--print")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(tmp_path: Path, *words: str) -> str:
    done = run_todoke(tmp_path, "launch", *words, "--print")
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def test_the_request_is_shown_and_nobody_is_asked(tmp_path: Path) -> None:
    body = printed(tmp_path, "realtime", *OF_LAUNCH, *OF_JOB, "--label", "team=crm", "--workers", "2", "--update")
    check("dataflow", "LaunchFlexTemplateRequest", body)
    asked = body["launchParameter"]
    assert asked["jobName"] == "todoke-realtime"
    assert asked["update"]
    assert asked["containerSpec"]["image"] == asked["environment"]["sdkContainerImage"] == IMAGE
    assert asked["environment"]["additionalUserLabels"] == {"app": "todoke", "job": "realtime", "team": "crm"}
    assert asked["environment"]["numWorkers"] == 2
    assert asked["parameters"]["push"] == "fcm:proj-x"
    filed = printed(tmp_path, "realtime", *OF_LAUNCH, *OF_JOB, "--template", "gs://site/realtime.json")
    assert filed["launchParameter"]["containerSpecGcsPath"] == "gs://site/realtime.json"
    assert "containerSpec" not in filed["launchParameter"]


def test_values_are_in_the_forms_of_the_template(tmp_path: Path) -> None:
    words = ("realtime", *OF_LAUNCH, *OF_JOB)
    parameters = printed(tmp_path, *words, "--log-format", "text")["launchParameter"]["parameters"]
    assert parameters["log_format"] == "text"
    assert parameters["events"] == "projects/proj-x/subscriptions/events"
    assert parameters["control_topic"] == "projects/proj-x/topics/control"
    assert "log_format" not in printed(tmp_path, *words)["launchParameter"]["parameters"]
    seeds = ("--write", "seeds", "--control-topic", "pubsub:projects/proj-x/topics/control", "--rate", "2000000")
    body = printed(tmp_path, "backfill", *OF_LAUNCH, *OF_JOB[:4], *seeds)
    assert body["launchParameter"]["parameters"]["rate"] == "2000000"


def test_nothing_is_launched_at_google_by_what_an_emulator_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    done = run_todoke(tmp_path, "launch", "realtime", *OF_LAUNCH, *OF_JOB)
    assert (done.returncode, done.stdout) == (2, "")
    assert "PUBSUB_EMULATOR_HOST: a launch is on Google Cloud" in done.stderr


def test_a_schedule_is_a_job_of_cloud_scheduler(tmp_path: Path) -> None:
    seeds = ("--write", "seeds", "--as-of", "now-1h", "--control-topic", "pubsub:projects/proj-x/topics/control")
    words = ("backfill", *OF_LAUNCH, *OF_JOB[:4], *seeds, "--scheduler-account", "a@b")
    check("cloudscheduler", "Job", printed(tmp_path, *words, "--schedule", "7 * * * *"))


def test_seeds_on_dataflow_go_to_a_topic(tmp_path: Path) -> None:
    said = refused(tmp_path, "backfill", *OF_LAUNCH, *OF_JOB[:4], "--write", "seeds")
    assert "--control-topic: seeds of a job on Dataflow go to its control topic" in said


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--name", "My Job"), "--name: expected small letters"),
        (("--image", "europe-docker.pkg.dev/proj-x/todoke/todoke:latest"), "--image: expected …@sha256:…"),
        (("--sms", "https://user:hunter2@sms.example.com/x"), "--sms: expected twilio:"),
        (("--email", "smtps://user:hunter2@mail.example.com:465"), "--email: expected smtps://HOST:PORT"),
        (("--staging", "work"), "--staging: expected gs://BUCKET/FOLDER"),
        (("--update", "--drain-first"), "--update, --drain-first"),
        (("--renamed", "{}"), "--renamed goes with --update"),
        (("--update", "--renamed", "[1]"), "--renamed: expected JSON"),
        (("--schedule", "* * * * *"), "--schedule and --scheduler-account go together: Cloud Scheduler"),
        (("--scheduler-account", "a@b"), "--schedule and --scheduler-account go together: Cloud Scheduler"),
        (("--label", "team"), "--label: expected KEY=VALUE"),
        (("--outbox", "here"), "--outbox: the template of realtime has no such parameter"),
        (("--no-seed",), "--no-seed: the template of realtime has no such parameter"),
        (("--num_workers=3",), "--num_workers: no parameter of this template"),
        (("--definitions", "shop.yaml"), "--definitions: expected gs://BUCKET/PATH.json"),
        (("--store", "sqlite:x.db"), "--store: expected bigtable:PROJECT/INSTANCE"),
        (("--variable", "TODOKE_SMTP_PASSWORD=hunter2"), "names no secret in plain"),
        (("--variable", "TODOKE_MAIL=a"), "did you mean TODOKE_MAIL_FROM?"),
        (("--pussh", "fcm:x"), "did you mean `--push`?"),
        (("--worker", "3"), "did you mean `--workers`?"),
        (("--machine", "n2-standard-2"), "did you mean `--machine-type`?"),
        (("--max-worker=3",), "did you mean `--max-workers`?"),
        (("--smtp-password-secret", "hunter2"), "--variable TODOKE_SMTP_PASSWORD=sm:projects/P/secrets/S/versions/V"),
        (("--smtp_password_secret=hunter2",), "--variable TODOKE_SMTP_PASSWORD=sm:"),
        (("--smtp-pasword", "hunter2"), "neither Todoke nor Beam knows --smtp-pasword;"),
        (("--keep-dead-letters", "999999999999999999999d"), "--keep-dead-letters"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(tmp_path: Path, words: tuple[str, ...], cause: str) -> None:
    said = refused(tmp_path, "realtime", *OF_LAUNCH, *OF_JOB, *words)
    assert cause in said
    assert len(said.splitlines()) == 1
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--write", "users"), "--events: name the files"),
        (("--write", "users", "--events", "gs://site/a.jsonl"), "--as-of: name the time"),
        (("--write", "seeds", "--events", "gs://site/a.jsonl"), "--as-of: name the time"),
        (("--write", "seeds", "--as-of", "2999-01-01T00:00:00Z"), "is ahead"),
        (("--write", "seeds", "--activation", "2026-13-01T00:00:00Z"), "--activation"),
        (
            ("--write", "seeds", "--scheduler-account", "a@b", "--schedule", "hourly"),
            "--schedule: expected five fields",
        ),
    ],
)
def test_what_is_shown_of_a_backfill_would_be_launched(tmp_path: Path, words: tuple[str, ...], cause: str) -> None:
    assert cause in refused(tmp_path, "backfill", *OF_LAUNCH, *OF_JOB[:4], *OF_JOB[10:12], *words)


def test_variables_become_parameters_and_secrets_only_names(tmp_path: Path) -> None:
    said = [
        "TODOKE_MAIL_FROM=Shop <shop@example.com>",
        "TODOKE_SMTP_PASSWORD=sm:projects/proj-x/secrets/smtp/versions/latest",
        "TODOKE_SECRET_CRM=sm:projects/proj-x/secrets/crm/versions/1",
    ]
    words = [word for each in said for word in ("--variable", each)]
    parameters = printed(tmp_path, "realtime", *OF_LAUNCH, *OF_JOB, *words)["launchParameter"]["parameters"]
    assert parameters["mail_from"] == "Shop <shop@example.com>"
    assert parameters["smtp_password_secret"] == "projects/proj-x/secrets/smtp/versions/latest"
    assert parameters["secrets"] == "CRM=sm:projects/proj-x/secrets/crm/versions/1"


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (404, WrongUse, "Dataflow refuses launching todoke: the service says 404"),
        (409, WrongUse, "the service says 409"),
        (403, WrongUse, "the service says 403"),
        (400, WrongUse, "the service says 400"),
        (500, RunFailed, "whether it was launched is not known: look for a job todoke"),
        (503, RunFailed, "the service says 503"),
    ],
)
def test_what_the_service_says_is_told_and_nothing_tried_twice(
    api: DataflowApi, dataflow: Dataflow, status: int, kind: type[TodokeError], said: str
) -> None:
    api.refuses["POST"] = status
    with pytest.raises(kind, match=said):
        dataflow.launch(BODY)
    assert len(api.asked) == 1


def test_a_service_that_is_not_there_is_a_failure() -> None:
    with serve_dataflow() as gone:
        url = gone.url
    with (
        Dataflow("proj-x", "europe-west1", url) as dataflow,
        pytest.raises(RunFailed, match="Dataflow does not answer: launching todoke"),
    ):
        dataflow.launch(BODY)


def test_a_running_job_is_found_and_drained(api: DataflowApi, dataflow: Dataflow) -> None:
    assert dataflow.running("todoke") is None
    api.run("todoke", "Advance")
    found = dataflow.running("todoke")
    assert found is not None
    assert [step.name for step in found.pipeline_description.original_pipeline_transform] == ["Advance"]
    dataflow.drain(found, 60)
    assert api.changed == [(found.id, {"requestedState": JobState.JOB_STATE_DRAINED})]
    assert dataflow.running("todoke") is None


def test_a_drain_that_takes_too_long_is_a_failure(api: DataflowApi, dataflow: Dataflow) -> None:
    api.looks = 99
    api.run("todoke")
    found = dataflow.running("todoke")
    assert found is not None
    with pytest.raises(RunFailed, match="todoke drains still"):
        dataflow.drain(found, 0)


def test_a_look_that_fails_while_a_job_drains_is_taken_again(api: DataflowApi, dataflow: Dataflow) -> None:
    api.run("todoke")
    found = dataflow.running("todoke")
    assert found is not None
    api.failing_looks = 2
    dataflow.drain(found, 60)
    assert len(api.changed) == 1

    api.run("again")
    other = dataflow.running("again")
    assert other is not None
    api.failing_looks = 99
    with pytest.raises(RunFailed, match="again was told to drain, and nothing was launched; whether it has ended"):
        dataflow.drain(other, 0)


def test_without_an_account_nobody_is_asked(tmp_path: Path, api: DataflowApi) -> None:
    nobody = {"HOME": str(tmp_path), "NO_GCE_CHECK": "true", "PATH": "/usr/bin:/bin"}
    command = [COMMAND, "launch", "realtime", *OF_LAUNCH, *OF_JOB, "--api", api.url]
    environment = {**nobody, **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no credentials for Google Cloud: run `gcloud auth application-default login`" in done.stderr
    assert api.asked == []


class Site:
    """All that a launch looks at: definitions in a bucket, emulators with a store, topics and subscriptions."""

    def __init__(self, folder: Path, pubsub: Project, bigtable: Instance, buckets: str, api: DataflowApi) -> None:
        self.folder, self.api = folder, api
        project = pubsub.name
        publisher, subscriber = PublisherClient(), SubscriberClient()
        for name in ("events", "control", "dead-letters"):
            topic = f"projects/{project}/topics/{name}"
            publisher.create_topic(name=topic)
            subscriber.create_subscription(name=f"projects/{project}/subscriptions/{name}", topic=topic)
        subscriber.close()
        open_store(bigtable.url).close()
        self.environment = os.environ | leads_to(buckets)
        self.flags = [word.replace("projects/proj-x/", f"projects/{project}/") for word in OF_JOB]
        self.flags[self.flags.index("bigtable:proj-x/prod")] = bigtable.url

    def launch(self, *words: str, job: str = "realtime", flags: list[str] | None = None) -> tuple[int, str, str]:
        command = [COMMAND, "launch", job, *OF_LAUNCH, "--api", self.api.url, *(flags or self.flags), *words]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=200
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def site(
    tmp_path: Path, pubsub: Project, bigtable: Instance, api: DataflowApi, todoke: Callable[..., object]
) -> Iterator[Site]:
    (tmp_path / "shop.yaml").write_text(DEFINITIONS)
    todoke("publish", "shop.yaml", "--to", tmp_path / "buckets/site/live.json")
    with serve_buckets(tmp_path / "buckets") as buckets:
        yield Site(tmp_path, pubsub, bigtable, buckets, api)


@pytest.mark.all_in_ci
def test_a_launch_says_where_the_job_is_and_a_second_one_is_refused(site: Site) -> None:
    code, out, err = site.launch()
    assert code == 0, err
    first, second, third = out.splitlines()
    assert first == "todoke-realtime: id-0"
    assert second == "https://console.cloud.google.com/dataflow/jobs/europe-west1/id-0?project=proj-x"
    assert third.startswith("when it runs: todoke wake --store bigtable:")
    [body] = site.api.launched
    assert body["launchParameter"]["parameters"]["dead_letters"].endswith("/topics/dead-letters")
    assert body["launchParameter"]["environment"]["sdkContainerImage"] == IMAGE

    code, out, err = site.launch()
    assert (code, out) == (2, "")
    assert "a job todoke-realtime runs already: --update replaces it" in err
    assert len(site.api.launched) == 1


@pytest.mark.all_in_ci
def test_an_update_lists_the_steps_that_it_would_lose(site: Site) -> None:
    code, _, err = site.launch("--update")
    assert code == 2
    assert "no job todoke-realtime runs in europe-west1" in err
    site.api.run("todoke-realtime", "Advance", "Deliver/Send", "Older/Step", "Other")
    code, _, err = site.launch("--update", "--renamed", '{"Other": "Advance"}')
    assert code == 0, err
    assert "the running job has and the new one lacks: Older/Step\n" in err
    [body] = site.api.launched
    assert body["launchParameter"]["update"]
    assert body["launchParameter"]["transformNameMappings"] == {"Other": "Advance"}


@pytest.mark.all_in_ci
def test_a_drained_job_is_followed_by_another_whose_users_are_to_be_woken(site: Site) -> None:
    old = site.api.run("todoke-realtime", "Advance")
    site.api.looks = 1
    code, out, err = site.launch("--drain-first")
    assert code == 0, err
    assert site.api.changed == [(old, {"requestedState": JobState.JOB_STATE_DRAINED})]
    [body] = site.api.launched
    assert "update" not in body["launchParameter"]
    assert "draining todoke-realtime" in err
    assert "todoke wake" in out


@pytest.mark.all_in_ci
def test_nothing_is_launched_where_something_is_missing(site: Site) -> None:
    known = {
        "definitions": (["gs://site/none.json"], "gs://site/none.json cannot be read"),
        "dead-letters": (["pubsub:projects/proj-x/topics/nowhere"], "--dead-letters: there is no topic"),
    }
    for flag, ([value], cause) in known.items():
        flags = list(site.flags)
        flags[flags.index(f"--{flag}") + 1] = value
        code, out, err = site.launch(flags=flags)
        assert (code, out) == (2, "")
        assert cause in err
    without_push = [word for word in site.flags if "push" not in word and "fcm" not in word]
    code, _, err = site.launch(flags=without_push)
    assert code == 2
    assert "--push: on Dataflow name where message `thanks` goes" in err
    assert site.api.asked == []


@pytest.mark.all_in_ci
def test_workers_run_the_image_of_the_template(site: Site) -> None:
    spec = site.folder / "buckets/site/realtime.json"
    spec.write_text(json.dumps(spec_of("realtime", "europe-docker.pkg.dev/proj-x/todoke/todoke:other")))
    code, out, err = site.launch("--template", "gs://site/realtime.json")
    assert (code, out) == (2, "")
    assert "--image: the template's is europe-docker.pkg.dev/proj-x/todoke/todoke:other" in err
    spec.write_text("[]")
    assert "is no spec file of a template" in site.launch("--template", "gs://site/realtime.json")[2]
    spec.write_text(json.dumps(spec_of("realtime", IMAGE)))
    assert site.launch("--template", "gs://site/realtime.json")[0] == 0
    [body] = site.api.launched
    assert body["launchParameter"]["containerSpecGcsPath"] == "gs://site/realtime.json"


@pytest.mark.all_in_ci
def test_a_backfill_is_launched_likewise(site: Site) -> None:
    flags = site.flags[:4]
    topic = site.flags[site.flags.index("--control-topic") + 1]
    seeds = ("--write", "seeds", "--as-of", "now-1h", "--control-topic")
    code, out, err = site.launch(*seeds, f"{topic}s", job="backfill", flags=flags)
    assert (code, out) == (2, "")
    assert "--control-topic: there is no topic" in err
    code, out, err = site.launch(*seeds, topic, job="backfill", flags=flags)
    assert code == 0, err
    [body] = site.api.launched
    assert body["launchParameter"]["parameters"]["as_of"] == "now-1h"
    assert out.splitlines()[0] == "todoke-backfill: id-0"
    code, _, err = site.launch("--write", "users", "--as-of", "now", job="backfill", flags=flags)
    assert code == 2
    assert "--events: name the files" in err
