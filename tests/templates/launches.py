"""Launches of templates by the emulated launcher."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from apache_beam.portability.api import beam_runner_api_pb2 as RunnerApi
from wheels import ROOT, surroundings

__all__ = ["IMAGE", "Launched", "alone", "launch", "words_of"]

HERE = Path(__file__).parent
#: What becomes of the field `ipConfiguration`.
PUBLIC = {"": "", "WORKER_IP_PUBLIC": "true", "WORKER_IP_PRIVATE": "false"}
IMAGE = "europe-docker.pkg.dev/proj-x/todoke/todoke@sha256:" + "7" * 64


class Launched(NamedTuple):
    """How a launch ended, and what it staged."""

    code: int
    err: str
    seconds: float
    way_out: bool
    left: list[str]
    buckets: Path

    @property
    def job(self) -> dict[str, Any]:
        """The job file, which the real launcher posts."""
        return json.loads((self.buckets / "staged/template_launches/1/job_object").read_bytes())

    @staticmethod
    def staged_name(artifact: RunnerApi.ArtifactInformation) -> str:
        """What a file is called where workers find it."""
        return RunnerApi.ArtifactStagingToRolePayload.FromString(artifact.role_payload).staged_name

    @property
    def proto(self) -> RunnerApi.Pipeline:
        """The pipeline of the job."""
        (path,) = self.buckets.rglob("pipeline.pb")
        return RunnerApi.Pipeline.FromString(path.read_bytes())


@cache
def alone() -> tuple[str, ...]:
    """What gives a command a network of its own; nothing where that is not allowed."""
    command = ("unshare", "--map-root-user", "--net")
    try:
        done = subprocess.run([*command, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return ()
    return command if done.returncode == 0 else ()


def words_of(body: Mapping[str, Any], seed: int) -> list[str]:
    """What the launcher makes of a launch: one word for each parameter and option, in any order."""
    asked = body["launchParameter"]
    environment = asked["environment"]
    options = {
        "runner": "DataflowRunner",
        "project": "proj-x",
        "region": "europe-west1",
        "job_name": asked["jobName"],
        "template_location": "gs://staged/template_launches/1/job_object",
        "temp_location": environment["tempLocation"],
        "staging_location": environment["stagingLocation"],
        "service_account_email": environment.get("serviceAccountEmail", ""),
        "machine_type": environment["machineType"],
        "num_workers": environment["numWorkers"],
        "max_num_workers": environment["maxWorkers"],
        "sdk_container_image": environment["sdkContainerImage"],
        "labels": json.dumps(environment["additionalUserLabels"]),
        "enable_streaming_engine": json.dumps(environment.get("enableStreamingEngine", False)),
        "subnetwork": "",
        "disk_size_gb": environment.get("diskSizeGb", ""),
        "autoscaling_algorithm": environment.get("autoscalingAlgorithm", ""),
        "streaming_mode": environment.get("streamingMode", ""),
        "use_public_ips": PUBLIC[environment.get("ipConfiguration", "")],
    }
    words = [f"--{name}={value}" for name, value in {**options, **asked["parameters"]}.items()]
    random.Random(seed).shuffle(words)
    return words


def launch(installed: Path, folder: Path, words: Sequence[str]) -> Launched:
    """Launch with the installed package, with a copy of the image's program, in an empty environment."""
    program = folder / "main.py"
    shutil.copy(ROOT / "templates" / "main.py", program)
    (folder / "buckets").mkdir(exist_ok=True)
    subprocess.run(
        [*alone(), sys.executable, HERE / "emulated_launcher.py", folder, installed / "python", program, *words],
        env=surroundings(),
        check=True,
        timeout=180,
    )
    found = json.loads((folder / "result.json").read_text())
    return Launched(found["code"], found["err"], found["seconds"], found["way_out"], found["left"], folder / "buckets")
