"""The job that does everything: events in; users, segments, members and messages out.

One graph for both kinds of source: files go through the bounded shells, Pub/Sub through the unbounded ones.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.accounted import Accounted, check_accounted
from beam_pipelines.options import FIRST_BEAM, Config, parse
from beam_pipelines.portable import Portable
from beam_pipelines.runtime import Runtime
from transforms.campaigns.transforms import Announced
from transforms.channels.destinations import Channels
from transforms.channels.transforms import DeliverBounded
from transforms.errors import NotStarted, WrongUse
from transforms.events.dead_letter import DeadLetter
from transforms.events.plain import plain_lines
from transforms.events.transforms import Decode, ReadEvents, WriteDeadLetters
from transforms.job import Job
from transforms.logs import asked_format, fields, write_log
from transforms.metrics.transforms import SumBundles, WriteSummary
from transforms.storage.scratch.transforms import FlattenOnDisk, GroupOnDisk
from transforms.users.inputs.transforms import CountDeadLetters, KeyInputs, KnownUsers, NewestArrival, RefusedLetters
from transforms.users.transforms import AdvanceBounded
from transforms.users.way_back.transforms import DecodeControl, PublishControl, ReadControlRows, ToControl

__all__ = [
    "Folded",
    "between",
    "build",
    "build_live",
    "fold_files",
    "launch_options",
    "main",
    "passed_on",
    "run",
    "sum_up",
]

_log = logging.getLogger(__name__)


def build(pipeline: beam.Pipeline, config: Config, job: Job | None = None) -> None:
    """Add the steps of a job over files, or of a live one on any runner, to a pipeline."""
    job = job or Job()
    if config.source.bounded:
        _build_bounded(pipeline, config, job)
    else:
        runtime = Accounted(config, job) if config.accounted else Portable(config, job)
        build_live(pipeline, config, runtime)


def build_live(pipeline: beam.Pipeline, config: Config, runtime: Runtime) -> None:
    """Add the steps of a live job to a pipeline."""
    assert config.store is not None
    events, control = runtime.read(pipeline), runtime.read_back(pipeline)
    anonymous = (
        (events.anonymous, control.anonymous)
        | "AnonymousInputs" >> beam.Flatten()
        | "Anonymous" >> runtime.advance(anonymous=True)
    )
    advanced = (
        (events.users, control.users, anonymous.forwarded)
        | "UserInputs" >> beam.Flatten()
        | "Advance" >> runtime.advance()
    )
    sends = (anonymous.sends, advanced.sends) | "Sends" >> beam.Flatten()
    delivered = sends | "Deliver" >> runtime.deliver(_channels(config))
    undecoded = (events.dead_letters, control.dead_letters) | "Undecoded" >> beam.Flatten()
    refused = (anonymous.refused, advanced.refused) | "Refused" >> beam.Flatten() | "RefusedLetters" >> RefusedLetters()
    letters = (undecoded, refused) | "DeadLetters" >> beam.Flatten()
    written = letters | "WriteDeadLetters" >> runtime.write_dead_letters()
    announced = events.announcements | "Announce" >> runtime.announce()
    going_back = (
        _going_back(anonymous, advanced, delivered.receipts, _in_beam),
        announced.payloads,
    ) | "Back" >> beam.Flatten()
    published = going_back | "PublishControl" >> runtime.publish_back()
    runtime.acknowledge((anonymous.accounted, advanced.accounted, announced.accounted, written, published))
    runtime.count(undecoded, events, anonymous, advanced, delivered)


def _build_bounded(pipeline: beam.Pipeline, config: Config, job: Job) -> None:
    texts, store = config.definitions, config.store
    folded = fold_files(pipeline, config, job)
    sends = folded.anonymous.sends, folded.advanced.sends
    deliver = DeliverBounded(texts, _channels(config), store, job, on_disk=config.on_disk)
    delivered = (sends if config.on_disk else sends | "Sends" >> beam.Flatten()) | "Deliver" >> deliver
    if store is not None:
        going_back = _going_back(folded.anonymous, folded.advanced, delivered.receipts, between(config, job))
        _ = going_back | "PublishControl" >> PublishControl(store)
    sum_up(config, job, folded, delivered.tallies)


class Folded(NamedTuple):
    """What a run over files made of its inputs: the outputs of its steps, and as of when users are settled."""

    undecoded: Any
    keyed: Any
    as_of: Any
    anonymous: Any
    advanced: Any


def fold_files(pipeline: beam.Pipeline, config: Config, job: Job) -> Folded:
    """Read the inputs of a bounded run, or what it left for itself, and fold each user's."""
    texts, store = config.definitions, config.store
    if config.amend:
        undecoded, keyed, as_of = _read_back(pipeline, config, job)
        announcements = None
    else:
        undecoded, keyed, as_of = _read_files(pipeline, config, job)
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
        "job": job,
        "grouped": config.on_disk,
    }
    anonymous = (
        tuple(anonymous_inputs)
        | "AnonymousInputs" >> _group(config, job, "anonymous")
        | "Anonymous" >> AdvanceBounded(texts, as_of, store, **fold)
    )
    advanced = (
        (*user_inputs, anonymous.forwarded)
        | "UserInputs" >> _group(config, job, "users")
        | "Advance" >> AdvanceBounded(texts, as_of, store, **fold)
    )
    return Folded(undecoded, keyed, as_of, anonymous, advanced)


def sum_up(config: Config, job: Job, folded: Folded, *more: Any) -> None:
    """Write the dead letters and the sums of a bounded run; `more` are tallies of further steps."""
    write = WriteDeadLetters(config.dead_letters, store=config.store, kept_for=config.letters_kept_for)
    anonymous, advanced = folded.anonymous, folded.advanced
    refused = (
        anonymous.refused | "AnonymousLetters" >> RefusedLetters(),
        advanced.refused | "RefusedLetters" >> RefusedLetters(),
    )
    flatten = between(config, job)("DeadLetters", DeadLetter)
    _ = (folded.undecoded, *refused) | "DeadLetters" >> flatten | "WriteDeadLetters" >> write
    letters = folded.undecoded | "CountDeadLetters" >> CountDeadLetters()
    keyed = () if config.amend else (folded.keyed.tallies,)  # what a run left for itself was counted as it was read
    counted = (*keyed, anonymous.tallies, advanced.tallies, *more, letters)
    summed = tuple(each | f"SumBundles{number}" >> SumBundles() for number, each in enumerate(counted))
    _ = summed | "Tallies" >> beam.Flatten() | "Summary" >> WriteSummary(config.summary, folded.as_of)


#: How what several steps put out comes together, by what it is called and of which type it is.
Between = Callable[[str, Any], beam.PTransform]


def _in_beam(_name: str, _type: Any) -> beam.PTransform:
    return beam.Flatten()


def between(config: Config, job: Job) -> Between:
    """How it does in a bounded run."""
    return partial(FlattenOnDisk, job) if config.on_disk else _in_beam


def _group(config: Config, job: Job, name: str) -> beam.PTransform:
    """What brings the inputs of users together; without the disk `AdvanceBounded` groups them."""
    return GroupOnDisk(job, name) if config.on_disk else beam.Flatten()


def _read_files(pipeline: beam.Pipeline, config: Config, job: Job) -> tuple[Any, Any, Any]:
    """What cannot be decoded, the keyed inputs, and the time up to which users are settled."""
    decode = Decode(announced=Announced(config.definitions, job))
    decoded = pipeline | "Read" >> ReadEvents(config.source) | "Decode" >> decode
    until = config.launched if config.as_of is None else config.as_of
    keyed = decoded.events | "KeyInputs" >> KeyInputs(until, historical=config.historical, job=job)
    newest = keyed.arrivals | "NewestArrival" >> NewestArrival(config.settled, config.as_of)
    return decoded.dead_letters, keyed, beam.pvalue.AsSingleton(newest)


def _read_back(pipeline: beam.Pipeline, config: Config, job: Job) -> tuple[Any, Any, Any]:
    """The same, of what a bounded run left in the control table for itself."""
    assert config.store is not None
    keyed = pipeline | "ReadControl" >> ReadControlRows(config.store) | "DecodeControl" >> DecodeControl(job)
    as_of = pipeline | "AsOf" >> beam.Create([config.as_of])
    return keyed.dead_letters, keyed, beam.pvalue.AsSingleton(as_of)


def _going_back(anonymous: Any, advanced: Any, receipts: Any, between: Between) -> Any:
    """Inputs for other users, and what became of sends, as messages of the control topic."""
    told = receipts | "Receipts" >> beam.Map(_without_handle)
    return (passed_on(anonymous, advanced, between), told) | "GoingBack" >> between("GoingBack", tuple[bytes, str])


def passed_on(anonymous: Any, advanced: Any, between: Between) -> Any:
    """Inputs for other users, as messages of the control topic."""
    passed = advanced.forwarded, anonymous.taken, advanced.taken
    return passed | "Passed" >> between("Passed", tuple[str, bytes]) | "ToControl" >> ToControl()


def _without_handle(payload: bytes) -> tuple[bytes, str]:
    return payload, ""


def _channels(config: Config) -> Channels:
    return Channels(config.outbox, config.told, config.replay, variables=config.variables)


def run(argv: list[str] | None = None) -> Any:
    """Launch the job over a subscription and return Beam's result; it is not waited for.

    Raises:
      WrongUse, DefinitionsError: nothing was launched. Files are for `todoke run`, which guards their store.
    """
    config, _, beam_flags = parse(sys.argv[1:] if argv is None else argv, "realtime")
    if config.source.bounded:
        raise WrongUse("this job reads a subscription; `todoke run` reads files")
    options = launch_options(beam_flags)
    if config.accounted and not any(flag.startswith("--dry_run") for flag in beam_flags):
        check_accounted(config, options)
    pipeline = beam.Pipeline(options=options)
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
