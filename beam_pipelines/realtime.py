"""The job that does everything: events in; users, segments, members and messages out.

One graph for both kinds of source: files go through the bounded shells, Pub/Sub through the unbounded ones.
"""

import sys
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.options import Config, WrongUse, parse
from transforms.channels.transforms import Channels, DeliverBounded, DeliverUnbounded
from transforms.events.transforms import Decode, ReadEvents, WriteDeadLetters
from transforms.metrics.transforms import WriteMetrics, WriteSummary
from transforms.users.transforms import (
    AdvanceBounded,
    AdvanceUnbounded,
    CountDeadLetters,
    KeyInputs,
    KnownUsers,
    NewestArrival,
    RefusedLetters,
)

__all__ = ["build", "run"]


def build(pipeline: beam.Pipeline, config: Config) -> None:
    """Add the job's steps to a pipeline."""
    decoded = pipeline | "Read" >> ReadEvents(config.source) | "Decode" >> Decode()
    if config.source.bounded:
        _build_bounded(pipeline, config, decoded)
    else:
        _build_unbounded(config, decoded)


def _build_bounded(pipeline: beam.Pipeline, config: Config, decoded: Any) -> None:
    texts, store = config.definitions, config.store
    keyed = decoded.events | "KeyInputs" >> KeyInputs(until=config.launched if config.as_of is None else config.as_of)
    newest = keyed.arrivals | "NewestArrival" >> NewestArrival(config.settled, config.as_of)
    as_of = beam.pvalue.AsSingleton(newest)
    anonymous_inputs, user_inputs = [keyed.anonymous], [keyed.users]
    if config.continued and store is not None:
        known = pipeline | "KnownUsers" >> KnownUsers(store)
        anonymous_inputs.append(known.anonymous)
        user_inputs.append(known.users)
    anonymous = (
        anonymous_inputs
        | "AnonymousInputs" >> beam.Flatten()
        | "Anonymous" >> AdvanceBounded(texts, as_of, store, continued=config.continued)
    )
    advanced = (
        [*user_inputs, anonymous.forwarded]
        | "UserInputs" >> beam.Flatten()
        | "Advance" >> AdvanceBounded(texts, as_of, store, continued=config.continued)
    )
    sends = (anonymous.sends, advanced.sends) | "Sends" >> beam.Flatten()
    delivered = sends | "Deliver" >> DeliverBounded(texts, _channels(config), store)
    letters = _dead_letters(config, decoded, anonymous, advanced)
    counted = (keyed.tallies, anonymous.tallies, advanced.tallies, delivered, letters)
    _ = counted | "Tallies" >> beam.Flatten() | "Summary" >> WriteSummary(config.summary, as_of)


def _build_unbounded(config: Config, decoded: Any) -> None:
    texts, store = config.definitions, config.store
    keyed = decoded.events | "KeyInputs" >> KeyInputs()
    anonymous = keyed.anonymous | "Anonymous" >> AdvanceUnbounded(texts, store)
    advanced = (
        (keyed.users, anonymous.forwarded)
        | "UserInputs" >> beam.Flatten()
        | "Advance" >> AdvanceUnbounded(texts, store)
    )
    sends = (anonymous.sends, advanced.sends) | "Sends" >> beam.Flatten()
    delivered = sends | "Deliver" >> DeliverUnbounded(texts, _channels(config), store)
    letters = _dead_letters(config, decoded, anonymous, advanced)
    counted = (keyed.tallies, anonymous.tallies, advanced.tallies, delivered, letters)
    tallies = counted | "Tallies" >> beam.Flatten()
    if store is not None:
        _ = tallies | "Metrics" >> WriteMetrics(store)


def _dead_letters(config: Config, decoded: Any, anonymous: Any, advanced: Any) -> Any:
    """Write every dead letter; returns their tallies."""
    refused = (anonymous.refused, advanced.refused) | "Refused" >> beam.Flatten() | "RefusedLetters" >> RefusedLetters()
    undecoded = decoded.dead_letters
    _ = (
        (undecoded, refused)
        | "DeadLetters" >> beam.Flatten()
        | "WriteDeadLetters" >> WriteDeadLetters(config.dead_letters)
    )
    return undecoded | "CountDeadLetters" >> CountDeadLetters()


def _channels(config: Config) -> Channels:
    return Channels(config.outbox, config.push, config.email, config.replay)


def run(argv: list[str] | None = None) -> Any:
    """Launch the job over a subscription and return Beam's result; it is not waited for.

    Raises:
      WrongUse, DefinitionsError: nothing was launched. Files are for `todoke run`, which guards their store.
    """
    config, _, beam_flags = parse(sys.argv[1:] if argv is None else argv, "realtime")
    if config.source.bounded:
        raise WrongUse("this job reads a subscription; `todoke run` reads files")
    pipeline = beam.Pipeline(options=PipelineOptions([*beam_flags, "--streaming"], save_main_session=False))
    build(pipeline, config)
    return pipeline.run()


if __name__ == "__main__":
    run()
