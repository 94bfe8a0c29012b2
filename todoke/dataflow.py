"""Dataflow's API by Google's client: launch a template, find the running job of a name, drain it.

Over HTTP, so that another server can stand in for the service. Nothing is tried twice but looks at a job that drains: a
launch is no harmless thing.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import google.auth
from google.api_core.exceptions import Conflict, Forbidden, GoogleAPICallError, NotFound, Unauthorized
from google.auth.credentials import AnonymousCredentials, Credentials
from google.cloud import dataflow_v1beta3 as api
from google.cloud.dataflow_v1beta3.services.flex_templates_service.transports import FlexTemplatesServiceRestTransport
from google.cloud.dataflow_v1beta3.services.jobs_v1_beta3.transports import JobsV1Beta3RestTransport
from google.protobuf.json_format import ParseDict, ParseError
from requests.exceptions import RequestException

from beam_pipelines.launch_options import DATAFLOW
from beam_pipelines.template_spec import SCOPE
from transforms.errors import RunFailed, WrongUse

__all__ = ["Dataflow", "Running"]

#: How long an answer may take, and between looks at a job that drains, in seconds.
ANSWER_SECONDS = 60.0
LOOK_SECONDS = 10.0

_ENDED = {
    api.JobState.JOB_STATE_DONE,
    api.JobState.JOB_STATE_FAILED,
    api.JobState.JOB_STATE_CANCELLED,
    api.JobState.JOB_STATE_UPDATED,
    api.JobState.JOB_STATE_DRAINED,
}

#: A job that runs, as the service describes it.
Running = api.Job


class Dataflow:
    """The jobs of one project and region.

    Args:
      project: of the jobs.
      region: of the jobs.
      url: another server than Google's asks for no credentials.
      sleep: waits between two looks, in seconds.
    """

    def __init__(
        self, project: str, region: str, url: str = DATAFLOW, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._project, self._region, self._sleep = project, region, sleep
        scheme, _, host = url.partition("://")
        told: dict[str, Any] = {"host": host, "url_scheme": scheme, "credentials": _credentials(url)}
        self._jobs = api.JobsV1Beta3Client(transport=JobsV1Beta3RestTransport(**told))
        self._templates = api.FlexTemplatesServiceClient(transport=FlexTemplatesServiceRestTransport(**told))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._jobs.transport.close()  # type: ignore[no-untyped-call]
        self._templates.transport.close()  # type: ignore[no-untyped-call]

    def launch(self, body: Mapping[str, Any]) -> api.Job:
        """Launch a template; returns the job.

        Raises:
          WrongUse: it may not be, or cannot be, as it is asked.
          RunFailed: the service failed, or did not answer: it may be launched nevertheless.
        """
        named = {"projectId": self._project, "location": self._region}
        try:
            request = api.LaunchFlexTemplateRequest(ParseDict({**body, **named}, api.LaunchFlexTemplateRequest.pb()()))
        except ParseError as error:
            raise WrongUse(f"Dataflow's client does not know this request: {error}") from error
        name = body["launchParameter"]["jobName"]
        with _told(f"launching {name}", unknown=f"; whether it was launched is not known: look for a job {name}"):
            answer = self._templates.launch_flex_template(request=request, retry=None, timeout=ANSWER_SECONDS)
        return answer.job

    def running(self, name: str) -> Running | None:
        """The running job of a name, with its steps; None if there is none.

        Raises:
          WrongUse: this account may not look.
          RunFailed: the service failed.
        """
        asked = api.ListJobsRequest(
            project_id=self._project, location=self._region, name=name, filter=api.ListJobsRequest.Filter.ACTIVE
        )
        with _told(f"looking for jobs named {name}"):
            listed = list(self._jobs.list_jobs(request=asked, retry=None, timeout=ANSWER_SECONDS))
            found = [job for job in listed if job.name == name and job.current_state not in _ENDED]
            return self._look(found[0].id, api.JobView.JOB_VIEW_DESCRIPTION) if found else None

    def drain(self, job: Running, seconds: float) -> None:
        """Drain a job, and wait until it has ended.

        Raises:
          WrongUse: this account may not.
          RunFailed: it drains still after so many seconds, or ended otherwise.
        """
        asked = api.UpdateJobRequest(
            project_id=self._project,
            location=self._region,
            job_id=job.id,
            job=api.Job(requested_state=api.JobState.JOB_STATE_DRAINED),
        )
        with _told(f"draining {job.name}"):
            self._jobs.update_job(request=asked, retry=None, timeout=ANSWER_SECONDS)
        state = self._ended(job, time.monotonic() + seconds)
        if state != api.JobState.JOB_STATE_DRAINED:
            raise RunFailed(f"{job.name} was to be drained, and ended as {state.name}")

    def _ended(self, job: Running, until: float) -> api.JobState:
        """How a job that was told to drain has ended; a look that fails is taken again until then."""
        where = f"{job.name} was told to drain, and nothing was launched"
        while True:
            late = time.monotonic() > until
            try:
                with _told(f"looking how {job.name} drains"):
                    state = self._look(job.id).current_state
            except WrongUse as error:
                raise WrongUse(f"{where}: {error}") from error
            except RunFailed as error:
                if late:
                    raise RunFailed(f"{where}; whether it has ended is not known: {error}") from error
            else:
                if state in _ENDED:
                    return state
                if late:
                    raise RunFailed(f"{job.name} drains still, and nothing was launched: launch when it has ended")
            self._sleep(LOOK_SECONDS)

    def _look(self, job_id: str, view: int = api.JobView.JOB_VIEW_SUMMARY) -> api.Job:
        asked = api.GetJobRequest(project_id=self._project, location=self._region, job_id=job_id, view=view)
        return self._jobs.get_job(request=asked, retry=None, timeout=ANSWER_SECONDS)


def _credentials(url: str) -> Credentials:
    if url != DATAFLOW:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    return google.auth.default(scopes=[SCOPE])[0]


@contextmanager
def _told(doing: str, unknown: str = "") -> Iterator[None]:
    """Say what the service said: what no repetition mends is wrong use."""
    try:
        yield
    except (NotFound, Forbidden, Unauthorized, Conflict) as error:
        raise WrongUse(f"Dataflow refuses {doing}: {_said(error)}") from error
    except GoogleAPICallError as error:
        client_fault = error.code is not None and 400 <= int(error.code) < 500
        kind = WrongUse if client_fault else RunFailed
        raise kind(f"Dataflow: {doing}: {_said(error)}{'' if client_fault else unknown}") from error
    except RequestException as error:
        raise RunFailed(f"Dataflow does not answer: {doing}: {error}{unknown}") from error


def _said(error: GoogleAPICallError) -> str:
    """The text of an error without the request that the client puts before it."""
    return re.sub(r"^[A-Z]+ \S+: ", "", error.message)
