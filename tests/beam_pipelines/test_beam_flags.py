"""Flags for Beam are judged before Beam is imported."""

import argparse

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.beam_flags import names_dataflow, unknown_words


def test_every_flag_of_beam_is_known():
    known = argparse.ArgumentParser(allow_abbrev=False, conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(known)
    names = [name for name in known._option_string_actions if name not in ("-h", "--help")]
    assert {"--runner", "--temp_location", "--streaming"} < set(names)
    assert unknown_words(names) == []
    assert unknown_words([f"{name}=x" for name in names]) == []


@pytest.mark.parametrize(
    ("flags", "unknown"),
    [
        (("--outboxx", "elsewhere"), ["--outboxx", "elsewhere"]),
        (("--runer=DataflowRunner",), ["--runer=DataflowRunner"]),
        (("--runner=x", "stray"), ["stray"]),
        (("stray", "--runner", "x", "more"), ["stray"]),  # a flag may take several values: Beam's parser says it
        (("--project", "my-project", "--streaming"), []),
        (("--labels", "a=b", "c=d"), []),
    ],
)
def test_a_word_that_belongs_to_no_flag_is_found(flags, unknown):
    assert unknown_words(flags) == unknown


@pytest.mark.parametrize(
    "flags",
    [
        ("--runner=DataflowRunner",),
        ("--runner", "DataflowRunner"),
        ("--streaming", "--runner=dataflowRUNNER"),
        ("--runner=dataflow",),
        ("--runner=apache_beam.runners.dataflow.dataflow_runner.DataflowRunner",),
    ],
)
def test_dataflow_is_seen_in_any_letters(flags):
    assert names_dataflow(flags)


@pytest.mark.parametrize("flags", [(), ("--runner=FnApiRunner",), ("--dataflow_endpoint=x",), ("--runner", "Prism")])
def test_other_runners_are_not_dataflow(flags):
    assert not names_dataflow(flags)
