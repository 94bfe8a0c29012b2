"""The live job's graph on Flink, as a program: over files to their end, or over files that come into a folder.

    python flink_job.py ends|lives EVENTS DEFINITIONS STORE OUTBOX

EVENTS is a pattern. It is the graph of `external_job`; one that lives is not waited for.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.io.fileio import MatchContinuously
from apache_beam.options.pipeline_options import PipelineOptions
from external_job import OverFiles, build_over_files

from beam_pipelines.flink_flags import on_flink
from beam_pipelines.options import Config
from beam_pipelines.runtime import Inputs
from tools.flink import FLINK
from transforms.events.sources import Files, ReceivedMessage
from transforms.events.transforms import Decode
from transforms.users.inputs.transforms import KeyInputs

#: Between two looks into the folder, in seconds.
LOOK_SECONDS = 0.5


class OverFolder(OverFiles):
    """Files are read as they come, and it does not end."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        assert isinstance(config.source, Files)
        self._pattern = config.source.pattern

    def read(self, pipeline: beam.Pipeline) -> Inputs:
        decoded = (
            pipeline
            | "Found" >> MatchContinuously(self._pattern, interval=LOOK_SECONDS)
            | "Path" >> beam.Map(lambda found: found.path)
            | "Spread" >> beam.Reshuffle()
            | "Lines" >> beam.FlatMap(lines_of).with_output_types(ReceivedMessage)
            | "Decode" >> Decode()
        )
        keyed = decoded.events | "KeyInputs" >> KeyInputs(job=self._job)
        return Inputs(keyed.users, keyed.anonymous, keyed.announcements, decoded.dead_letters, keyed.tallies)


def lines_of(path: str) -> Iterator[ReceivedMessage]:
    with open(path, "rb") as file:  # noqa: PTH123 - a worker unpickles this function without its module's imports
        for line in file:
            yield line.rstrip(b"\n"), path, None, ""


def main(how: str, *places: str) -> None:
    flags = on_flink(Namespace(flink=FLINK, parallelism=2, checkpoints="1s"), ["--streaming"], live=True)
    if how == "ends":
        flags.append("--shutdown_sources_after_idle_ms=1000")
    pipeline = beam.Pipeline(options=PipelineOptions(flags, save_main_session=False))
    build_over_files(pipeline, *places, runtime=OverFiles if how == "ends" else OverFolder)
    running = pipeline.run()
    if how == "ends":
        running.wait_until_finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
