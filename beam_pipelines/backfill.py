"""The job that reads history: events in; users, segments and members out.

It is the realtime job over files, in which everything is history, and without the steps that deliver: nothing that it
decides can reach anybody.
"""

import apache_beam as beam

from beam_pipelines.options import Config
from beam_pipelines.realtime import between, fold_files, passed_on, sum_up
from transforms.job import Job
from transforms.users.way_back.transforms import PublishControl

__all__ = ["build"]


def build(pipeline: beam.Pipeline, config: Config, job: Job) -> None:
    """Add the job's steps to a pipeline."""
    assert config.store is not None
    folded = fold_files(pipeline, config, job)
    passed = passed_on(folded.anonymous, folded.advanced, between(config, job))
    _ = passed | "PublishControl" >> PublishControl(config.store)
    sum_up(config, job, folded)
