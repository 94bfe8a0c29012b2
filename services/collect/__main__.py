"""`python -m services.collect`: the service by itself, in processes of its own."""

import argparse
import math
import os
import secrets
import sys
from collections.abc import Sequence
from functools import partial

from services.addresses import METRICS_VARIABLE, Proxy
from services.collect.keys import VARIABLE
from services.collect.limits import Limits
from services.collect.serving import CollectSettings, checked, loaded
from services.flags import add_address_flags, add_otlp_flag, add_workers_flag
from services.server import Listen, parse_listen, serve
from transforms.errors import TodokeError, WrongUse
from transforms.logs import FORMATS, asked_format, write_log
from transforms.segments.values import duration

__all__ = ["main"]

#: The name of the source whose key is made where none was set.
_SOURCE = "local"


def main(words: Sequence[str] | None = None) -> None:
    """Serve by the words of a command line until SIGTERM or SIGINT."""
    words = sys.argv[1:] if words is None else words
    try:
        with write_log(asked_format(words), job="collect"):
            _serve(_parser().parse_args(words))
    except TodokeError as error:
        print(error.told("collect"), file=sys.stderr)  # noqa: T201 - what a command says
        sys.exit(error.exit_code)


def _serve(flags: argparse.Namespace) -> None:
    listen = parse_listen(flags.listen)
    keys = "" if flags.keys else os.environ.get(VARIABLE, "")
    made = ""
    if not flags.keys and not keys:
        if not listen.is_loopback:
            raise WrongUse(f"at {flags.listen} others can send: set keys by --keys or {VARIABLE}")
        made = secrets.token_urlsafe(24)
        keys = f"{_SOURCE}={made}"
    settings = CollectSettings(
        sink=flags.sink,
        store=flags.store,
        dead_letters=flags.dead_letters,
        keys=keys,
        key_file=flags.keys,
        ordering=flags.ordering,
        retain=_retain(flags.retain),
        definitions=flags.definitions,
        limits=Limits(address_rate=flags.address_rate, proxy=Proxy(flags.address_header, flags.address_hops)),
        metrics_token=os.environ.get(METRICS_VARIABLE, ""),
        otlp=flags.otlp,
    )
    checked(settings)

    def up(found: Listen) -> None:
        print(f"collect: {found.url} takes calls for {flags.sink}", flush=True)  # noqa: T201
        if made:
            print(f"collect: write key of this run: {made}", flush=True)  # noqa: T201

    serve(partial(loaded, settings), listen, workers=flags.workers, up=up)


def _parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(prog="python -m services.collect", description=__doc__, allow_abbrev=False)
    add = flags.add_argument
    add("--sink", required=True, metavar="SINK", help="queue:PATH, or pubsub:projects/P/topics/T")
    add(
        "--store",
        default="",
        metavar="URL",
        help="sqlite:PATH or bigtable:PROJECT/INSTANCE: keeps refused calls and minute counts",
    )
    add(
        "--dead-letters",
        default="",
        metavar="TOPIC",
        help="pubsub:projects/P/topics/T, to which refused calls go in place of the store",
    )
    add(
        "--keys",
        default="",
        metavar="FILE",
        help=f"write keys (default: {VARIABLE}; on loopback without it one is made for this run)",
    )
    add("--listen", default="127.0.0.1:8600", metavar="HOST:PORT", help="default: 127.0.0.1:8600; port 0: a free one")
    add_workers_flag(add)
    add("--ordering", action="store_true", help="of a topic: publish with the user as ordering key")
    add("--retain", default="", metavar="DURATION", help="how long a queue keeps what was acknowledged, such as 7d")
    add(
        "--definitions",
        default="",
        metavar="PATH",
        help="a definitions file, a folder of them, or a pointer: events of their announcements may come without ids",
    )
    add("--address-rate", type=_rate, metavar="N", help="requests a second that one address may send (default: any)")
    add_address_flags(add)
    add_otlp_flag(add)
    add("--log-format", choices=FORMATS, default="text", help="of standard error (default: text)")
    return flags


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError("expected a number above 0")
    return rate


def _retain(text: str) -> int | None:
    try:
        return duration(text) if text else None
    except ValueError as error:
        raise WrongUse(f"--retain: {error}") from error


if __name__ == "__main__":
    main()
