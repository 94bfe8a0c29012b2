"""What Dataflow is told of a template and of a launch, as its API takes it: `dataflow.googleapis.com`, v1b3.

Nothing here imports Beam. Map values of the API are text; the names are those of its discovery document.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from beam_pipelines.template_parameters import REALTIME, Parameter, parameters_of

__all__ = ["SCOPE", "LaunchPlace", "launch_body", "launch_url", "scheduler_job", "spec_of"]

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_ABOUT = {
    "realtime": (
        "Todoke realtime",
        "Reads customers' calls from a subscription, keeps users and segments in Bigtable, and sends what campaigns "
        "decide.",
    ),
    "backfill": (
        "Todoke backfill",
        "Reads a history of calls into Bigtable as whole users, or as seeds for the users of a running job. Sends "
        "nothing.",
    ),
}


class LaunchPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job is launched, and on what. `staging` is a folder of a bucket, `gs://BUCKET/FOLDER`.

    Without `template`, the place of a spec file, the spec goes with the launch. Empty texts and 0 are Dataflow's own
    choice.
    """

    project: str
    region: str
    image: str
    staging: str
    template: str = ""
    service_account: str = ""
    subnetwork: str = ""
    machine_type: str = ""
    workers: int = 0
    max_workers: int = 0
    labels: Mapping[str, str] = {}
    private: bool = False


def spec_of(job: str, image: str) -> dict[str, Any]:
    """The spec file of a template, a `ContainerSpec`."""
    return {
        "image": image,
        "sdkInfo": {"language": "PYTHON"},
        "metadata": _metadata(job),
        "defaultEnvironment": _defaults(job) | {"sdkContainerImage": image},
    }


def _metadata(job: str) -> dict[str, Any]:
    name, description = _ABOUT[job]
    modes = {"supportsExactlyOnce": True, "supportsAtLeastOnce": False}  # a default goes with a choice of both
    return {
        "name": name,
        "description": description,
        "streaming": job == REALTIME,
        **(modes if job == REALTIME else {}),
        "parameters": [_parameter(each) for each in parameters_of(job)],
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    found = {
        "name": parameter.name,
        "label": parameter.label,
        "helpText": parameter.help,
        "groupName": parameter.group,
        "isOptional": not parameter.needed,
        "paramType": parameter.kind,
    }
    if parameter.regex:  # an optional one may come empty
        found["regexes"] = [f"^({parameter.regex}){'' if parameter.needed else '?'}$"]
    if parameter.kind == "ENUM":
        found["enumOptions"] = [{"value": choice, "label": choice} for choice in parameter.choices]
    if parameter.default:
        found["defaultValue"] = parameter.default
    return found


def _defaults(job: str) -> dict[str, Any]:
    """How a job runs where a launch says nothing else: see templates/JOB/README.md."""
    if job == REALTIME:
        return {
            "machineType": "n2-standard-2",
            "numWorkers": 1,
            "maxWorkers": 4,
            "enableStreamingEngine": True,
            "streamingMode": "STREAMING_MODE_EXACTLY_ONCE",
        }
    return {
        "machineType": "n2-highmem-2",
        "numWorkers": 1,
        "maxWorkers": 10,
        "diskSizeGb": 100,
    }


def launch_url(place: LaunchPlace, api: str = "https://dataflow.googleapis.com") -> str:
    """Where a launch is posted."""
    return f"{api}/v1b3/projects/{place.project}/locations/{place.region}/flexTemplates:launch"


def launch_body(
    job: str,
    name: str,
    place: LaunchPlace,
    values: Mapping[str, str],
    *,
    update: bool = False,
    renamed: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The request that launches a job, a `LaunchFlexTemplateRequest`.

    Args:
      job: which.
      name: the job's, one at a time in a region.
      place: where.
      values: parameters of the template by name.
      update: the running job of that name is replaced, and its state goes on.
      renamed: steps of the running job by their new names.
    """
    labels = {"app": "todoke", "job": job, **place.labels}
    said = {
        "machineType": place.machine_type,
        "numWorkers": place.workers,
        "maxWorkers": place.max_workers,
        "serviceAccountEmail": place.service_account,
        "subnetwork": place.subnetwork,
        "ipConfiguration": "WORKER_IP_PRIVATE" if place.private else "",
    }
    environment = {
        **_defaults(job),
        **{field: value for field, value in said.items() if value},
        "sdkContainerImage": place.image,
        "stagingLocation": f"{place.staging}/staging",
        "tempLocation": f"{place.staging}/temp",
        "additionalUserLabels": labels,
    }
    spec = {"containerSpecGcsPath": place.template} if place.template else {"containerSpec": spec_of(job, place.image)}
    given = {"job": job, **{field: value for field, value in values.items() if value}}
    parameter: dict[str, Any] = {"jobName": name, **spec, "parameters": given, "environment": environment}
    if update:
        parameter |= {"update": True, **({"transformNameMappings": dict(renamed)} if renamed else {})}
    return {"launchParameter": parameter}


def scheduler_job(
    body: Mapping[str, Any], name: str, place: LaunchPlace, schedule: str, account: str
) -> dict[str, Any]:
    """A job of Cloud Scheduler that posts a launch as an account, by a schedule (cron, in UTC).

    Scheduler may deliver twice; that a name runs once at a time is what guards against it.
    """
    return {
        "name": f"projects/{place.project}/locations/{place.region}/jobs/{name}",
        "description": f"Launches {name} on Dataflow",
        "schedule": schedule,
        "timeZone": "Etc/UTC",
        "attemptDeadline": "180s",
        "retryConfig": {"retryCount": 2},
        "httpTarget": {
            "uri": launch_url(place),
            "httpMethod": "POST",
            "headers": {"Content-Type": "application/json"},
            "body": base64.b64encode(json.dumps(body, separators=(",", ":")).encode()).decode(),
            "oauthToken": {"serviceAccountEmail": account, "scope": SCOPE},
        },
    }
