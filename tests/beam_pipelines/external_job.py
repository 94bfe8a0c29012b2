"""The live job's graph over files, as a program: on Prism, with its steps in workers that somebody else started.

    python external_job.py EVENTS DEFINITIONS STORE OUTBOX PRISM WORKERS

It is the graph that Dataflow gets, but for what it reads and where it writes: the source is files, whose order is any,
and what goes back to users goes to the store's table.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.options import Config
from beam_pipelines.portable import Portable
from beam_pipelines.realtime import build_live
from transforms.campaigns.load import read_texts
from transforms.events.sources import Files
from transforms.users.way_back.transforms import PublishControl

__all__ = ["ELSEWHERE", "OverFiles", "build_over_files"]

#: The steps that read and write elsewhere than Dataflow's.
ELSEWHERE = ("Read", "ReadControl", "PublishControl", "WriteDeadLetters")


class OverFiles(Portable):
    """Nothing is read back while it runs: what waits in the table is for whoever looks at it."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._table = config.store

    def publish_back(self) -> beam.PTransform:
        assert self._table is not None
        return PublishControl(self._table)


def build_over_files(
    pipeline: beam.Pipeline,
    events: str,
    definitions: str,
    store: str,
    outbox: str,
    *,
    runtime: Callable[[Config], Portable] = OverFiles,
) -> None:
    """Add the steps to a pipeline."""
    nothing = Path(outbox) / "nothing.jsonl"
    nothing.parent.mkdir(exist_ok=True)
    nothing.touch()
    config = Config(
        definitions=read_texts(definitions),
        source=Files(events),
        launched=0,
        store=store,
        outbox=outbox,
        dead_letters=str(Path(outbox) / "dead_letters.jsonl"),
        control=Files(str(nothing)),  # read as a subscription is
        control_topic="",
    )
    build_live(pipeline, config, runtime(config))


def main(arguments: list[str]) -> None:
    *places, prism, workers = arguments
    flags = [f"--prism_location={prism}", "--environment_type=EXTERNAL", f"--environment_config={workers}"]
    options = PipelineOptions(["--runner=PrismRunner", *flags], save_main_session=False)
    with beam.Pipeline(options=options) as pipeline:
        build_over_files(pipeline, *places)


if __name__ == "__main__":
    main(sys.argv[1:])
