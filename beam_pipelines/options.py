"""The flags of the jobs, as one frozen configuration. Nothing here imports Beam, so that help is quick."""

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from beam_pipelines.beam_flags import names_dataflow, names_job_server
from beam_pipelines.flag_words import read_flags
from beam_pipelines.flink_flags import add_flink_flags, name_places, on_flink
from beam_pipelines.live_flags import ACCOUNTED, add_live_flags, check_live_flags, read_control
from beam_pipelines.places import check_apart, check_events, check_written
from beam_pipelines.values import parsed, read_time
from beam_pipelines.variables import parse_variables
from transforms.campaigns.load import compiled
from transforms.campaigns.release import Release, Texts
from transforms.campaigns.transforms import read_definitions
from transforms.channels.channel import Flag, Told, every_secret, settings_of
from transforms.channels.settings import OWN_SECRETS, check_mail, links_of, secret_of, secrets_for
from transforms.errors import WrongUse
from transforms.events.sources import EventQueue, Source, Subscription, parse_source
from transforms.identity.channels import channels
from transforms.logs import FORMATS
from transforms.segments.values import DAY, duration
from transforms.storage.open import parse_store

__all__ = [
    "CONTROL_RATE",
    "FIRST_BEAM",
    "Config",
    "add_channel_flags",
    "add_log_format",
    "channel_words",
    "check_words",
    "parse",
    "parse_kept_for",
    "parser",
]

#: The version of Beam that jobs of the first release ran on. Beam asks it when it would make coders or steps in another
#: way than then, which a running job could not be updated over.
FIRST_BEAM = "2.77.0"
#: Wakes or seeds a second: a live job on one machine took 7,000 to 10,000 messages, and events come beside these.
CONTROL_RATE = 1_000.0


class Config(msgspec.Struct, frozen=True):
    """What a realtime job is told. Times are microseconds UTC.

    `store` is None to write nothing. `as_of` is None for the newest arrival that is not after `launched`; `settled` is
    up to when the store's users are settled already. `summary` is the file that a bounded run leaves its sums in.
    `told` is what was said of channels, and `outbox` where those write of which nothing was; see `Channels`, which says
    what `replay` and `variables` are, too. `live` reads in this process what never ends (see `transforms.events.live`);
    else Beam's own source does. The store keeps dead letters too, for `letters_kept_for` microseconds; 0 for none.
    `control` is the subscription of the control topic `control_topic`, both None for the store's table. `amend` is the
    pass of a bounded run over what it left in that table for itself. With `historical` all that is read is history: it
    sends nothing. With `on_disk` a bounded run, whose steps are all in this process then, puts aside what goes from one
    to the next on its disk, and not in its memory. With `seed` a live job makes the seeds that its users wait for after
    a publication, with `otlp` it sends metrics to a collector. A live job elsewhere that is `accounted` acknowledges by
    itself (see `transforms.events.accounted`).
    """

    definitions: Texts | Release
    source: Source
    launched: int
    store: str | None = None
    as_of: int | None = None
    settled: int = 0
    continued: bool = False
    outbox: str = "outbox"
    told: Told = {}
    variables: Mapping[str, str] = {}
    dead_letters: str = ""
    letters_kept_for: int = 30 * DAY
    summary: str = ""
    replay: bool = False
    live: bool = False
    control: Subscription | None = None
    control_topic: str | None = None
    amend: bool = False
    historical: bool = False
    on_disk: bool = False
    seed: bool = True
    otlp: bool = False
    accounted: bool = False


def parser(program: str = "todoke run") -> argparse.ArgumentParser:
    """The flags; whatever else is given goes to Beam."""
    flags = argparse.ArgumentParser(
        prog=program,
        allow_abbrev=False,
        description="Read events, keep users and segments, and send. Files are read to their end.",
        epilog="Any other flag goes to Beam (--runner, --project, ...). Credentials come from the environment.",
    )
    add = flags.add_argument
    channel = flags.add_argument_group("channels").add_argument
    add("--definitions", required=True, metavar="PATH", help="a definitions file, a folder of them, or a pointer")
    add(
        "--events",
        required=True,
        metavar="SRC",
        help="JSON Lines, Parquet or Avro (a path or pattern), bigquery:TABLE, pubsub:projects/P/subscriptions/S, or "
        "queue:PATH",
    )
    add("--store", required=True, metavar="URL", help="sqlite:PATH, bigtable:PROJECT/INSTANCE, or none to keep nothing")
    add(
        "--as-of",
        metavar="TIME",
        help="settle users up to this time, inclusive (ISO 8601 with a zone, now, now-1h, today, or today-1d; days are "
        "those of UTC); default: the newest arrival",
    )
    add("--continue", dest="continued", action="store_true", help="go on with the users that the store holds")
    channel(
        "--outbox",
        default="outbox",
        metavar="DIR",
        help="the folder for messages of channels that are not named here; a later run adds to it (default: outbox)",
    )
    add_channel_flags(channel)
    channel(
        "--variable",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable of the environment that channels take, for workers whose own cannot be set; of a secret only "
        "where it lies: sm:projects/P/secrets/S/versions/V; may be repeated",
    )
    add("--report", metavar="FILE", help="write the report of a bounded run as JSON")
    add(
        "--dead-letters",
        metavar="SINK",
        help="a JSON Lines file, to which lines are added (default: dead_letters.jsonl in the outbox), or "
        "pubsub:projects/P/topics/T",
    )
    add(
        "--keep-dead-letters",
        default="30d",
        metavar="DURATION",
        help="how long the store keeps dead letters, such as 7d; 0: not at all (default: 30d)",
    )
    add_live_flags(flags.add_argument_group("live jobs").add_argument)
    add_flink_flags(flags.add_argument_group("Flink").add_argument)
    add_log_format(flags)
    add("--supervised", action="store_true", help=argparse.SUPPRESS)
    return flags


def add_channel_flags(add: Callable[..., argparse.Action]) -> None:
    """Add what is said of channels to a parser, or to a group of one, by its `add_argument`."""
    for flag in _channel_flags():
        if not flag.metavar:
            add(f"--{flag.name}", action="store_true", help=flag.help)
        elif flag.repeated:
            add(f"--{flag.name}", action="append", default=[], metavar=flag.metavar, help=flag.help)
        else:
            add(f"--{flag.name}", metavar=flag.metavar, help=flag.help)


def channel_words(flags: argparse.Namespace) -> list[str]:
    """What was said of channels, in words that say the same."""
    return [
        word for name, said in _told(flags).items() for word in ([f"--{name}={each}" for each in said] or [f"--{name}"])
    ]


def add_log_format(flags: argparse.ArgumentParser) -> None:
    """The flag of all commands that run jobs; `transforms.logs.asked_format` has looked at it before they do."""
    flags.add_argument(
        "--log-format",
        choices=FORMATS,
        default=FORMATS[0],
        help="the form of standard error: text (default), or json, one object a line",
    )


def parse(argv: list[str], program: str = "todoke run") -> tuple[Config, argparse.Namespace, list[str]]:
    """The configuration, the flags as given, and what goes to Beam.

    Raises:
      Misread: for flags that cannot be read.
      WrongUse: for values that cannot be.
      DefinitionsError: if the definitions cannot be read, or have mistakes.
    """
    flags, beam_flags = read_flags(parser(program), argv)
    name_places(flags)
    try:
        source = parse_source(flags.events)
    except ValueError as error:
        raise WrongUse(f"--events: {error}") from error
    beam_flags = on_flink(flags, beam_flags, live=not source.bounded)
    here = not any(flag.startswith("--runner") for flag in beam_flags)
    variables = parse_variables(flags.variable)
    environment = {**os.environ, **variables}
    _check_urls(flags, environment, here=here)
    check_events(source)
    _check_written(flags)
    definitions, told = _definitions(flags.definitions, bounded=source.bounded), _told(flags)
    _check_messages(told, definitions, environment)
    if here:  # else the secrets are those of the workers
        _check_secrets(told, definitions, environment)
    launched = int(datetime.now(UTC).timestamp() * 1_000_000)
    config = Config(
        definitions=definitions,
        source=source,
        launched=launched,
        store=None if flags.store == "none" else flags.store,
        as_of=None if flags.as_of is None else read_time("--as-of", flags.as_of, launched),
        continued=flags.continued,
        outbox=flags.outbox,
        told=_travelling(told),
        variables=variables,
        dead_letters=flags.dead_letters or str(Path(flags.outbox) / "dead_letters.jsonl"),
        letters_kept_for=parsed("--keep-dead-letters", parse_kept_for, flags.keep_dead_letters),
        live=not source.bounded and here,
        control=read_control(flags),
        control_topic=flags.control_topic.removeprefix("pubsub:") if flags.control_topic else None,
        seed=flags.seed,
        otlp=flags.otlp,
        accounted=flags.read == ACCOUNTED,
    )
    if config.store is None and config.continued:
        raise WrongUse("--continue: a run without a store (--store none) has nothing to go on from")
    if not source.bounded and config.store is None:
        raise WrongUse("--store: a live job needs a store: users whose state is lost come back from it")
    _check_queue(config)
    if not source.bounded and not config.live and config.control is None:
        raise WrongUse("--control, --control-topic: a job that is not on this machine needs a control topic")
    if names_dataflow(beam_flags):
        _check_dataflow(config)
    if flags.flink is None and config.accounted and names_job_server(beam_flags):
        raise WrongUse(
            "--runner: a live job on Flink takes --flink HOST:PORT, Beam's job server: else bundles do not end before "
            "checkpoints, and messages are lost"
        )
    if flags.flink is not None and not source.bounded and not config.accounted:
        raise WrongUse(
            f"--flink: Beam's source of Pub/Sub does not run on Flink: give --read {ACCOUNTED}, see docs/engines.md"
        )
    check_live_flags(flags, bounded=source.bounded, here=here)
    return config, flags, beam_flags


def _check_queue(config: Config) -> None:
    """A queue is a file of this machine, and what is acknowledged of it stands in a file beside it."""
    if not isinstance(config.source, EventQueue):
        return
    if not config.live:
        raise WrongUse("--runner: a queue is read on this machine; elsewhere name pubsub:projects/P/subscriptions/S")
    assert config.store is not None
    if parse_store(config.store)[0] != "sqlite":
        raise WrongUse(
            f"--store: beside a queue name sqlite:PATH: {config.store} cannot acknowledge with what it holds"
        )


def check_words(argv: list[str]) -> None:
    """Find what cannot be of a job elsewhere, as far as it shows without its definitions and a network.

    Raises:
      Misread, WrongUse: something cannot be.
    """
    flags, _ = read_flags(parser(), argv)
    _check_urls(flags, {**os.environ, **parse_variables(flags.variable)}, here=False)
    parsed("--keep-dead-letters", parse_kept_for, flags.keep_dead_letters)
    read_control(flags)
    check_live_flags(flags, bounded=False, here=False)


def _definitions(place: str, *, bounded: bool) -> Texts | Release:
    """The definitions, without mistakes. A run over files reads whole histories, and follows no pointer."""
    definitions = read_definitions(place)
    if isinstance(definitions, Release) and bounded:
        definitions = msgspec.structs.replace(definitions, pointer=None, whole=True)
    compiled(definitions)
    return definitions


def _check_urls(flags: argparse.Namespace, environment: Mapping[str, str], *, here: bool) -> None:
    """Find mistakes in what is said of channels and of the store, before anything is started."""
    if flags.store != "none":
        parsed("--store", parse_store, flags.store)
    told = _told(flags)
    try:
        check_mail(environment)
        if here:  # else they are those of the workers
            for name in (*every_secret(), *OWN_SECRETS):
                secret_of(environment, name)
            links_of(environment)
        for name in channels():
            settings = settings_of(name)
            if any(flag.name in told for flag in settings.flags):
                settings.check(told, environment)
            if here and name in told:
                settings.check_here(told, environment)
    except ValueError as error:
        raise WrongUse(str(error)) from error


def _channel_flags() -> Iterator[Flag]:
    for name in channels():
        yield from settings_of(name).flags


def _told(flags: argparse.Namespace) -> Told:
    """What is said of channels: the values of their flags that are given."""
    told: dict[str, tuple[str, ...]] = {}
    for flag in _channel_flags():
        said = getattr(flags, flag.name.replace("-", "_"))
        if said:
            told[flag.name] = () if said is True else tuple(said) if flag.repeated else (said,)
    return told


def _travelling(told: Told) -> Told:
    """What is said of channels as it may travel in a graph: without secrets."""
    for name in channels():
        if name in told:
            told = settings_of(name).travels(told)
    return told


def _check_messages(told: Told, definitions: Texts | Release, environment: Mapping[str, str]) -> None:
    """Find messages that a channel could not send as it is told to."""
    messages = compiled(definitions).messages.values()
    for name in channels():
        if name in told:
            own = [message for message in messages if message.channel == name]
            parsed(f"--{name}", partial(settings_of(name).check_messages, told, environment), own)


def _check_secrets(told: Told, definitions: Texts | Release, environment: Mapping[str, str]) -> None:
    """Find secrets that messages need and that the environment lacks."""
    for name in channels():
        if name in told and settings_of(name).private:
            try:
                secrets_for(compiled(definitions).messages.values(), environment)
            except ValueError as error:
                raise WrongUse(f"--{name}: {error}") from error


def parse_kept_for(said: str) -> int:
    """What `--keep-dead-letters` says, in microseconds.

    Raises:
      ValueError: it is no duration.
    """
    return 0 if said in ("0", "0s", "0d") else duration(said)


def _check_written(flags: argparse.Namespace) -> None:
    check_written("--outbox", flags.outbox, folder=True)
    if flags.dead_letters and ":" not in flags.dead_letters:
        check_written("--dead-letters", flags.dead_letters)
    if flags.report:
        check_written("--report", flags.report)
        if not Path(flags.report).parent.is_dir():
            raise WrongUse(f"--report: there is no folder {Path(flags.report).parent}")
    written = (("--dead-letters", flags.dead_letters), ("--report", flags.report))
    check_apart(written, [(f"--{name}", getattr(flags, name)) for name in ("events", "definitions", "store")])


def _check_dataflow(config: Config) -> None:
    """Nothing may lie on a worker's disk, which is gone with the worker."""
    if config.source.bounded:
        raise WrongUse("--runner: a run over files is one process on this machine, and takes no --runner of Dataflow")
    if config.store is not None and parse_store(config.store)[0] != "bigtable":
        raise WrongUse(f"--store: on Dataflow name bigtable:PROJECT/INSTANCE: {config.store} would be a worker's file")
    if not config.dead_letters.startswith("pubsub:"):
        raise WrongUse("--dead-letters: on Dataflow name pubsub:projects/P/topics/T: a file would be on a worker")
    for message in compiled(config.definitions).messages.values():
        if message.channel not in config.told and not settings_of(message.channel).stored:
            raise WrongUse(
                f"--{message.channel}: on Dataflow name where message `{message.id}` goes: an outbox would be on a "
                "worker's disk"
            )
