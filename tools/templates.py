"""Writes `templates/JOB/*.json` and `templates/infra/generated/` anew from the code: `make templates`.

With an image, the spec file of a job for that image, on standard output:

    python -m tools.templates realtime europe-docker.pkg.dev/shop/todoke/todoke@sha256:…
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from beam_pipelines.template_parameters import BACKFILL, JOBS, REALTIME
from beam_pipelines.template_spec import Place, launch_body, scheduler_job, spec_of
from tools.bigtable_tables import tables

FOLDER = Path(__file__).parent.parent / "templates"
#: What Terraform reads: its module is whole by itself.
INFRA = FOLDER / "infra" / "generated"
#: Words in capitals are for whoever launches to fill in.
IMAGE = "REGION-docker.pkg.dev/PROJECT/todoke/todoke@sha256:DIGEST"
HOURLY = "7 * * * *"
SCHEDULER = "todoke-scheduler@PROJECT.iam.gserviceaccount.com"
ON_PUBSUB = {
    "definitions": "gs://BUCKET/definitions/live.json",
    "events": "projects/PROJECT/subscriptions/todoke-events",
    "store": "bigtable:PROJECT/todoke",
    "dead_letters": "projects/PROJECT/topics/todoke-dead-letters",
    "control": "projects/PROJECT/subscriptions/todoke-control",
    "control_topic": "projects/PROJECT/topics/todoke-control",
    "push": "fcm:PROJECT",
}
VALUES = {
    REALTIME: ON_PUBSUB,
    BACKFILL: {
        "definitions": ON_PUBSUB["definitions"],
        "events": "store",
        "store": ON_PUBSUB["store"],
        "write": "seeds",
        "as_of": "now-1h",
        "control_topic": ON_PUBSUB["control_topic"],
    },
}


def files() -> Iterator[tuple[Path, str]]:
    """Each file, and what is in it."""
    yield INFRA / "bigtable.json", text(tables())
    for job in JOBS:
        place = Place(
            project="PROJECT",
            region="REGION",
            image=IMAGE,
            staging="gs://BUCKET/todoke",
            template=f"gs://BUCKET/templates/{job}.json",
            service_account="todoke-worker@PROJECT.iam.gserviceaccount.com",
        )
        spec = spec_of(job, IMAGE)
        body = launch_body(job, f"todoke-{job}", place, VALUES[job])
        yield FOLDER / job / "metadata.json", text(spec["metadata"])
        yield FOLDER / job / "spec.json", text(spec)
        yield FOLDER / job / "launch.json", text(body)
        yield INFRA / f"{job}.json", text(spec)
        if job == BACKFILL:
            yield INFRA / "backfill_launch.json", text(body)
            yield FOLDER / job / "scheduler.json", text(scheduler_job(body, f"todoke-{job}", place, HOURLY, SCHEDULER))


def text(content: Any) -> str:
    """JSON as it is checked in."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(text(spec_of(sys.argv[1], sys.argv[2])), end="")
    else:
        for path, content in files():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
