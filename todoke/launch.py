"""`todoke launch`: look at everything that a job on Dataflow needs, then launch it from its template."""

import json
import os
import sys
from collections.abc import Iterable
from typing import Any

from beam_pipelines import options
from beam_pipelines.launch_options import DATAFLOW, Launch
from beam_pipelines.options import Config
from beam_pipelines.template_parameters import REALTIME
from beam_pipelines.template_spec import SCOPE, launch_body, scheduler_job
from transforms.campaigns.load import compiled
from transforms.errors import WrongUse

__all__ = ["launch", "print_request", "steps_lost"]

_MICROSECONDS = 1_000_000


def print_request(asked: Launch) -> None:
    """Show what would be posted."""
    body = _body(asked)
    shown = scheduler_job(body, asked.name, asked.place, asked.schedule, asked.scheduler) if asked.schedule else body
    print(json.dumps(shown, indent=2))


def launch(asked: Launch) -> None:
    """Launch, and say where the job is.

    Raises:
      WrongUse, DefinitionsError, NoStore, OlderDefinitions: nothing was launched.
      RunFailed: the service failed, or a drain takes too long.
    """
    from todoke.dataflow import Dataflow

    if asked.api == DATAFLOW:
        _check_emulators()
    _check_account()
    config = _check(asked)
    with Dataflow(asked.place.project, asked.place.region, asked.api) as dataflow:
        running = dataflow.running(asked.name)
        if running is None and asked.update:
            raise WrongUse(f"--update: no job {asked.name} runs in {asked.place.region}: launch without it")
        if running is not None and not asked.update and not asked.drain_first:
            raise WrongUse(
                f"a job {asked.name} runs already: --update replaces it and keeps its state, --drain-first ends it"
            )
        if running is not None and asked.update and config is not None:
            names = (step.name for step in running.pipeline_description.original_pipeline_transform)
            _warn_of_lost(steps_lost(config, names, asked.renamed))
        if running is not None and asked.drain_first:
            print(f"draining {asked.name}", file=sys.stderr)
            dataflow.drain(running, asked.wait / _MICROSECONDS)
        job = dataflow.launch(_body(asked))
    place = asked.place
    print(f"{asked.name}: {job.id}")
    print(f"https://console.cloud.google.com/dataflow/jobs/{place.region}/{job.id}?project={place.project}")
    if config is not None and not asked.update:
        print(f"when it runs: todoke wake --store {config.store} --control-topic pubsub:{config.control_topic}")


def steps_lost(config: Config, running: Iterable[str], renamed: Iterable[str]) -> list[str]:
    """The steps of a running job that a new one lacks, and whose state would be lost."""
    import apache_beam as beam

    from beam_pipelines import realtime

    pipeline = beam.Pipeline(options=realtime.launch_options(["--runner=FnApiRunner"]))
    realtime.build(pipeline, config)
    kept = {step.unique_name for step in pipeline.to_runner_api().components.transforms.values()} | set(renamed)
    return sorted(set(running) - kept)


def _warn_of_lost(lost: list[str]) -> None:
    """Dataflow decides by itself whether it updates; the old job goes on where it does not."""
    if lost:
        print(f"todoke: steps that the running job has and the new one lacks: {', '.join(lost)}", file=sys.stderr)


def _check_emulators() -> None:
    """Nothing is looked at on an emulator and then launched at Google."""
    if led := [name for name in ("BIGTABLE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST") if os.environ.get(name)]:
        raise WrongUse(f"{', '.join(led)}: a launch is on Google Cloud, and would look at an emulator: unset it")


def _check_account() -> None:
    """There is an account to ask with: Beam would look for one for minutes before it says that there is none."""
    import google.auth

    from transforms.account import UNREADABLE, auth_fault

    try:
        google.auth.default(scopes=[SCOPE])
    except UNREADABLE as error:
        raise WrongUse(
            f"no credentials for Google Cloud: run `gcloud auth application-default login` ({auth_fault(error)})"
        ) from error


def _check(asked: Launch) -> Config | None:
    """What a launch needs is there; returns the configuration of a live job."""
    from todoke.preflight import check_pubsub, check_store_release, check_topic
    from transforms.campaigns.transforms import read_file
    from transforms.events.sources import parse_topic
    from transforms.storage.open import open_store

    if asked.place.template:
        _check_image(asked.place.image, asked.place.template, read_file(asked.place.template))
    if asked.job != REALTIME:
        from beam_pipelines.backfill_on_dataflow import check

        backfill = check(asked.argv)
        if backfill.control_topic is not None:
            check_topic("--control-topic", parse_topic(backfill.control_topic), here=False)
        if backfill.store is not None:
            open_store(backfill.store, create=backfill.write == "users").close()
        return None
    place = asked.place
    flags = ("--runner=DataflowRunner", f"--project={place.project}", f"--region={place.region}")
    config, _, _ = options.parse([*asked.argv, *flags])
    assert config.store is not None
    check_pubsub(config)
    store = open_store(config.store)
    check_store_release(store, compiled(config.definitions))
    store.close()
    return config


def _check_image(image: str, place: str, spec: bytes) -> None:
    """Launcher and workers run one image, or what one writes the other may not read."""
    try:
        named = json.loads(spec)["image"]
    except (ValueError, KeyError, TypeError) as error:
        raise WrongUse(f"--template: {place} is no spec file of a template") from error
    if named != image:
        raise WrongUse(f"--image: the template's is {named}: workers must run the image that launches them")


def _body(asked: Launch) -> dict[str, Any]:
    return launch_body(asked.job, asked.name, asked.place, asked.values, update=asked.update, renamed=asked.renamed)
