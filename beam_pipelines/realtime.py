"""The job that does everything: events in; users, segments, members and messages out.

One graph for both kinds of source: files go through the bounded shells, Pub/Sub through the unbounded ones.
"""

import logging
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.options import FIRST_BEAM, Config, parse
from transforms.campaigns.transforms import Announced
from transforms.channels.live.transforms import DeliverLive
from transforms.channels.transforms import Channels, DeliverBounded, DeliverUnbounded
from transforms.errors import NotStarted, WrongUse
from transforms.events.live.transforms import Acknowledge, Publish, ReadControlTable, ReadLive
from transforms.events.plain import plain_lines
from transforms.events.sources import Subscription
from transforms.events.transforms import Decode, ReadEvents, WriteDeadLetters
from transforms.logs import asked_format, fields, write_log
from transforms.metrics.live.transforms import CountEnded
from transforms.metrics.transforms import WriteMetrics, WriteSummary
from transforms.users.inputs.transforms import (
    Announce,
    CountDeadLetters,
    DecodeControl,
    KeyInputs,
    KnownUsers,
    NewestArrival,
    PublishControl,
    ReadControlRows,
    RefusedLetters,
    ToControl,
)
from transforms.users.live.transforms import AdvanceLive, ByShard, TakeIn
from transforms.users.transforms import AdvanceBounded, AdvanceUnbounded

__all__ = ["Folded", "build", "fold_files", "launch_options", "main", "passed_on", "run", "sum_up"]

_log = logging.getLogger(__name__)


def build(pipeline: beam.Pipeline, config: Config) -> None:
    """Add the job's steps to a pipeline."""
    if config.source.bounded:
        _build_bounded(pipeline, config)
    else:
        _build_unbounded(pipeline, config)


def _build_bounded(pipeline: beam.Pipeline, config: Config) -> None:
    texts, store = config.definitions, config.store
    folded = fold_files(pipeline, config)
    sends = (folded.anonymous.sends, folded.advanced.sends) | "Sends" >> beam.Flatten()
    delivered = sends | "Deliver" >> DeliverBounded(texts, _channels(config), store)
    if store is not None:
        going_back = _going_back(folded.anonymous, folded.advanced, delivered.receipts)
        _ = going_back | "PublishControl" >> PublishControl(store)
    sum_up(config, folded, delivered.tallies)


class Folded(NamedTuple):
    """What a run over files made of its inputs: the outputs of its steps, and as of when users are settled."""

    undecoded: Any
    keyed: Any
    as_of: Any
    anonymous: Any
    advanced: Any


def fold_files(pipeline: beam.Pipeline, config: Config) -> Folded:
    """Read the inputs of a bounded run, or what it left for itself, and fold each user's."""
    texts, store = config.definitions, config.store
    if config.amend:
        undecoded, keyed, as_of = _read_back(pipeline, config)
        announcements = None
    else:
        undecoded, keyed, as_of = _read_files(pipeline, config)
        announcements = beam.pvalue.AsList(keyed.announcements)
    anonymous_inputs, user_inputs = [keyed.anonymous], [keyed.users]
    if config.continued and store is not None and not config.amend:
        known = pipeline | "KnownUsers" >> KnownUsers(store)
        anonymous_inputs.append(known.anonymous)
        user_inputs.append(known.users)
    fold: dict[str, Any] = {
        "continued": config.continued or config.amend,
        "amend": config.amend,
        "historical": config.historical,
        "announcements": announcements,
    }
    anonymous = (
        anonymous_inputs
        | "AnonymousInputs" >> beam.Flatten()
        | "Anonymous" >> AdvanceBounded(texts, as_of, store, **fold)
    )
    advanced = (
        [*user_inputs, anonymous.forwarded]
        | "UserInputs" >> beam.Flatten()
        | "Advance" >> AdvanceBounded(texts, as_of, store, **fold)
    )
    return Folded(undecoded, keyed, as_of, anonymous, advanced)


def sum_up(config: Config, folded: Folded, *more: Any) -> None:
    """Write the dead letters and the sums of a bounded run; `more` are tallies of further steps."""
    _write_dead_letters(config, folded.undecoded, folded.anonymous, folded.advanced)
    letters = folded.undecoded | "CountDeadLetters" >> CountDeadLetters()
    keyed = () if config.amend else (folded.keyed.tallies,)  # what a run left for itself was counted as it was read
    counted = (*keyed, folded.anonymous.tallies, folded.advanced.tallies, *more, letters)
    _ = counted | "Tallies" >> beam.Flatten() | "Summary" >> WriteSummary(config.summary, folded.as_of)


def _read_files(pipeline: beam.Pipeline, config: Config) -> tuple[Any, Any, Any]:
    """What cannot be decoded, the keyed inputs, and the time up to which users are settled."""
    decode = Decode(announced=Announced(config.definitions))
    decoded = pipeline | "Read" >> ReadEvents(config.source) | "Decode" >> decode
    until = config.launched if config.as_of is None else config.as_of
    keyed = decoded.events | "KeyInputs" >> KeyInputs(until, historical=config.historical)
    newest = keyed.arrivals | "NewestArrival" >> NewestArrival(config.settled, config.as_of)
    return decoded.dead_letters, keyed, beam.pvalue.AsSingleton(newest)


def _read_back(pipeline: beam.Pipeline, config: Config) -> tuple[Any, Any, Any]:
    """The same, of what a bounded run left in the control table for itself."""
    assert config.store is not None
    keyed = pipeline | "ReadControl" >> ReadControlRows(config.store) | "DecodeControl" >> DecodeControl()
    as_of = pipeline | "AsOf" >> beam.Create([config.as_of])
    return keyed.dead_letters, keyed, beam.pvalue.AsSingleton(as_of)


def _build_unbounded(pipeline: beam.Pipeline, config: Config) -> None:
    texts, store = config.definitions, config.store
    assert store is not None
    advance = _advance_here if config.live else _advance
    undecoded, tallies, announcements, anonymous, advanced = advance(pipeline, config, store)
    sends = (anonymous.sends, advanced.sends) | "Sends" >> beam.Flatten()
    if config.live:
        receipts = sends | "Deliver" >> DeliverLive(texts, _channels(config), store)
    else:
        delivered = sends | "Deliver" >> DeliverUnbounded(texts, _channels(config), store)
        receipts = delivered.receipts
    undecoded = undecoded | "Undecoded" >> beam.Flatten()
    if config.live:
        undecoded |= "CountUndecoded" >> CountEnded(store)
        announcements |= "CountAnnouncements" >> CountEnded(store)
    written = _write_dead_letters(config, undecoded, anonymous, advanced)
    announced = announcements | "Announce" >> Announce(store)
    going_back = (_going_back(anonymous, advanced, receipts), announced.payloads) | "Back" >> beam.Flatten()
    published = going_back | "PublishControl" >> _publishing(config, store)
    if config.live:
        ended = (anonymous.accounted, advanced.accounted, announced.accounted, written, published)
        _ = ended | "Accounted" >> beam.Flatten() | "Acknowledge" >> Acknowledge()
        return
    letters = undecoded | "CountDeadLetters" >> CountDeadLetters()
    counted = (*tallies, anonymous.tallies, advanced.tallies, delivered.tallies, letters)
    _ = counted | "Tallies" >> beam.Flatten() | "Metrics" >> WriteMetrics(store)


def _advance(pipeline: beam.Pipeline, config: Config, store: str) -> tuple[Any, Any, Any, Any, Any]:
    """What cannot be decoded, tallies, announcements, and what came of inputs by anonymous id and by user id."""
    assert config.control is not None
    decode = Decode(announced=Announced(config.definitions))
    decoded = pipeline | "Read" >> ReadEvents(config.source) | "Decode" >> decode
    keyed = decoded.events | "KeyInputs" >> KeyInputs()
    control = pipeline | "ReadControl" >> ReadEvents(config.control) | "DecodeControl" >> DecodeControl()
    anonymous = (
        (keyed.anonymous, control.anonymous)
        | "AnonymousInputs" >> beam.Flatten()
        | "Anonymous" >> AdvanceUnbounded(config.definitions, store)
    )
    advanced = (
        (keyed.users, control.users, anonymous.forwarded)
        | "UserInputs" >> beam.Flatten()
        | "Advance" >> AdvanceUnbounded(config.definitions, store)
    )
    undecoded, tallies = (decoded.dead_letters, control.dead_letters), (keyed.tallies,)
    return undecoded, tallies, keyed.announcements, anonymous, advanced


def _advance_here(pipeline: beam.Pipeline, config: Config, store: str) -> tuple[Any, Any, Any, Any, Any]:
    """The same with sources and users in this process."""
    assert isinstance(config.source, Subscription)
    events = pipeline | "Read" >> ReadLive(config.source.path) | "TakeEvents" >> TakeIn(config.definitions)
    reading_back = ReadControlTable(store) if config.control is None else ReadLive(config.control.path)
    control = pipeline | "ReadControl" >> reading_back | "TakeControl" >> TakeIn(config.definitions, control=True)
    anonymous = (events.anonymous, control.anonymous) | "Anonymous" >> AdvanceLive(
        config.definitions, store, anonymous=True
    )
    forwarded = anonymous.forwarded | "Forwarded" >> ByShard()
    advanced = (events.users, control.users, forwarded) | "Advance" >> AdvanceLive(config.definitions, store)
    undecoded = events.dead_letters, control.dead_letters
    return undecoded, (), events.announcements, anonymous, advanced


def _publishing(config: Config, store: str) -> beam.PTransform:
    return PublishControl(store) if config.control_topic is None else Publish(config.control_topic)


def _going_back(anonymous: Any, advanced: Any, receipts: Any) -> Any:
    """Inputs for other users, and what became of sends, as messages of the control topic."""
    told = receipts | "Receipts" >> beam.Map(_without_handle)
    return (passed_on(anonymous, advanced), told) | "GoingBack" >> beam.Flatten()


def passed_on(anonymous: Any, advanced: Any) -> Any:
    """Inputs for other users, as messages of the control topic."""
    return (
        (advanced.forwarded, anonymous.taken, advanced.taken) | "Passed" >> beam.Flatten() | "ToControl" >> ToControl()
    )


def _without_handle(payload: bytes) -> tuple[bytes, str]:
    return payload, ""


def _write_dead_letters(config: Config, undecoded: Any, anonymous: Any, advanced: Any) -> Any:
    """Write every dead letter; returns the handles of those written."""
    refused = (anonymous.refused, advanced.refused) | "Refused" >> beam.Flatten() | "RefusedLetters" >> RefusedLetters()
    return (
        (undecoded, refused)
        | "DeadLetters" >> beam.Flatten()
        | "WriteDeadLetters"
        >> WriteDeadLetters(config.dead_letters, store=config.store, kept_for=config.letters_kept_for, live=config.live)
    )


def _channels(config: Config) -> Channels:
    return Channels(config.outbox, config.told, config.replay)


def run(argv: list[str] | None = None) -> Any:
    """Launch the job over a subscription and return Beam's result; it is not waited for.

    Raises:
      WrongUse, DefinitionsError: nothing was launched. Files are for `todoke run`, which guards their store.
    """
    config, _, beam_flags = parse(sys.argv[1:] if argv is None else argv, "realtime")
    if config.source.bounded:
        raise WrongUse("this job reads a subscription; `todoke run` reads files")
    pipeline = beam.Pipeline(options=launch_options(beam_flags))
    build(pipeline, config)
    return pipeline.run()


def launch_options(beam_flags: Sequence[str]) -> PipelineOptions:
    """Beam's options of a live job: the flags given, and what it needs to be updated later by a newer version."""
    pinned = f"--update_compatibility_version={FIRST_BEAM}"
    return PipelineOptions([pinned, *beam_flags, "--streaming"], save_main_session=False)


def main() -> None:
    """Launch the job; wrong use ends it with its cause and exit code 2."""
    with write_log(asked_format(sys.argv), job="realtime", debug=True):
        try:
            run()
        except NotStarted as error:
            if asked_format(sys.argv) == "json":
                _log.error("%s", error, extra=fields(error=type(error).__name__, exit_code=error.exit_code))
            else:
                sys.stderr.write(plain_lines(f"{error.told('realtime')}\n"))
            sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
