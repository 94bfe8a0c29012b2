"""Backfills by a runner of Beam whose last step writes the report."""

from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.backfill_options import Backfill
from beam_pipelines.flag_words import names_of
from todoke.prism import with_prism
from todoke.terminal import cause_of
from transforms.errors import RunFailed, WrongUse
from transforms.storage.scratch.folder import scratch_folder

__all__ = ["is_in_beam", "report_of", "without_step"]


def is_in_beam(beam_flags: Sequence[str]) -> bool:
    """Whether a backfill is a pipeline: where a runner is named. Else it is this process.

    Raises:
      WrongUse: other flags are Beam's, which would be passed over.
    """
    if any(flag.startswith("--runner") for flag in beam_flags):
        return True
    if beam_flags:
        raise WrongUse(
            f"{' '.join(names_of(beam_flags))}: only with --runner: without one there is no pipeline of Beam"
        )
    return False


def without_step(error: Exception) -> str:
    """The text of an error of a step, to which Beam has added the name of the step."""
    return str(error).partition(" [while running ")[0]


def report_of(
    build: Callable[[beam.Pipeline, Backfill, str | None], None],
    asked: Backfill,
    beam_flags: Sequence[str],
    failed: str,
) -> dict[str, Any]:
    """Run what `build` makes of a pipeline, and read the report from where it writes it.

    That is the place of `--report`, where workers are elsewhere.

    Raises:
      RunFailed: `failed` and the cause.
    """
    with scratch_folder() as folder:
        elsewhere = asked.report is not None and "://" in asked.report
        place = asked.report_place if elsewhere and asked.report_place else str(folder / "report.json")
        pipeline = beam.Pipeline(options=PipelineOptions(with_prism(beam_flags), save_main_session=False))
        build(pipeline, asked, place)
        try:
            pipeline.run().wait_until_finish()
            with FileSystems.open(place) as file:
                report: dict[str, Any] = msgspec.json.decode(file.read())
        except (OSError, RuntimeError, BeamIOError) as error:
            raise RunFailed(f"{failed}: {cause_of(error)}") from error
    return report
