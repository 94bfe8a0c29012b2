"""The live job's graph over files to their end, on the engine that is named: one process, so that it is measured whole.

python -m bench.flink_job fnapi|prism|flink EVENTS STORE OUTBOX [PARALLELISM]
"""

import sys
from argparse import Namespace
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.flink_flags import on_flink
from bench.peers import DEFINITIONS
from todoke.prism import find_prism
from tools.flink import FLINK

sys.path += [str(Path(__file__).parent.parent / "tests" / each) for each in (".", "beam_pipelines")]
from external_job import build_over_files


def flags_of(engine: str, parallelism: int) -> list[str]:
    """What Beam is told."""
    if engine == "fnapi":
        return ["--runner=FnApiRunner"]
    if engine == "prism":
        return ["--runner=PrismRunner", f"--prism_location={find_prism().path}", "--environment_type=LOOPBACK"]
    flags = on_flink(Namespace(flink=FLINK, parallelism=parallelism, checkpoints="10s"), ["--streaming"], live=True)
    return [*flags, "--shutdown_sources_after_idle_ms=1000"]


def main(engine: str, events: str, store: str, outbox: str, parallelism: str = "1") -> None:
    """Run it."""
    options = PipelineOptions(flags_of(engine, int(parallelism)), save_main_session=False)
    with beam.Pipeline(options=options) as pipeline:
        build_over_files(pipeline, events, str(DEFINITIONS), store, outbox)


if __name__ == "__main__":
    main(*sys.argv[1:])
