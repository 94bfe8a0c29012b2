"""The flags of live jobs, which a run over files takes none of."""

import argparse
from collections.abc import Callable

from transforms.errors import WrongUse
from transforms.events.plain import quoted
from transforms.events.sources import Subscription, parse_source, parse_topic

__all__ = ["ACCOUNTED", "BEAM", "OTLP_HELP", "READ", "RESTARTS", "add_live_flags", "check_live_flags", "read_control"]

#: How a job elsewhere reads its subscriptions.
BEAM, ACCOUNTED = READ = ("beam", "accounted")
#: What is said of `--otlp`, which `todoke serve` has too.
OTLP_HELP = (
    "on this machine: send metrics to the collector of OpenTelemetry that OTEL_EXPORTER_OTLP_ENDPOINT names "
    "(elsewhere: todoke metrics --otlp)"
)
#: How many failures in a row the supervisor forgives where nothing is said.
RESTARTS = 8


def add_live_flags(add: Callable[..., argparse.Action]) -> None:
    """Add them to a parser, or to a group of one, by its `add_argument`."""
    add("--control", metavar="SRC", help="pubsub:projects/P/subscriptions/S of the control topic")
    add("--control-topic", metavar="TOPIC", help="pubsub:projects/P/topics/T, with --control (default: the store)")
    add(
        "--read",
        choices=READ,
        default=READ[0],
        help="elsewhere than on this machine: beam (default), whose source acknowledges by itself, or accounted, "
        "acknowledged when a checkpoint covers what came of a message, as Flink needs it",
    )
    add("--no-seed", dest="seed", action="store_false", help="on this machine: make no seeds after a publication")
    add("--otlp", action="store_true", help=OTLP_HELP)
    add("--restarts", type=int, metavar="N", help=f"on this machine: give up after N failures in a row ({RESTARTS})")


def check_live_flags(flags: argparse.Namespace, *, bounded: bool, here: bool) -> None:
    """Find those that would be passed over.

    Args:
      flags: as they were read.
      bounded: files are read.
      here: the job is on this machine.

    Raises:
      WrongUse: there is one, or one is no number that can be.
    """
    if flags.restarts is not None and flags.restarts < 0:
        raise WrongUse(f"--restarts: expected 0 or more; found {flags.restarts}")
    asked = {"--no-seed": not flags.seed, "--otlp": flags.otlp, "--restarts": flags.restarts is not None}
    if bounded:
        asked |= {"--control": flags.control is not None, "--control-topic": flags.control_topic is not None}
    given = [name for name, is_given in asked.items() if is_given]
    if given and bounded:
        raise WrongUse(f"{', '.join(given)}: only for live jobs, and --events names files")
    if flags.read != BEAM and (bounded or here):
        raise WrongUse(f"--read {flags.read}: only for live jobs elsewhere, which --runner names")
    if given and not here:
        raise WrongUse(
            f"{', '.join(given)}: only for live jobs on this machine, and --runner or --flink names another place"
        )


def read_control(flags: argparse.Namespace) -> Subscription | None:
    """The subscription of the control topic, None for the store's own table.

    Raises:
      WrongUse: it or the topic cannot be read, or only one of them is named.
    """
    if (flags.control is None) != (flags.control_topic is None):
        raise WrongUse("--control and --control-topic go together: what is published there must be read")
    if flags.control is None:
        return None
    try:
        source = parse_source(flags.control)
        topic = parse_topic(flags.control_topic)
    except ValueError as error:
        raise WrongUse(f"--control: {error}") from error
    if not isinstance(source, Subscription) or not topic:
        raise WrongUse(f"--control: expected pubsub:projects/P/subscriptions/S; found {quoted(flags.control)}")
    return source
