"""`python -m services.engage`: the service by itself, in processes of its own."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial

from services.addresses import METRICS_VARIABLE, Proxy
from services.collect.keys import VARIABLE
from services.engage.serving import EngageSettings, checked, loaded
from services.flags import add_address_flags, add_otlp_flag, add_workers_flag
from services.server import Listen, parse_listen, serve
from transforms.errors import TodokeError
from transforms.logs import FORMATS, asked_format, write_log

__all__ = ["main"]


def main(words: Sequence[str] | None = None) -> None:
    """Serve by the words of a command line until SIGTERM or SIGINT."""
    words = sys.argv[1:] if words is None else words
    try:
        with write_log(asked_format(words), job="engage"):
            _serve(_parser().parse_args(words))
    except TodokeError as error:
        print(error.told("engage"), file=sys.stderr)  # noqa: T201 - what a command says
        sys.exit(error.exit_code)


def _serve(flags: argparse.Namespace) -> None:
    listen = parse_listen(flags.listen)
    settings = EngageSettings(
        store=flags.store,
        control_topic=flags.sink,
        definitions=flags.definitions,
        keys="" if flags.keys else os.environ.get(VARIABLE, ""),
        key_file=flags.keys,
        touches=flags.touches,
        judge=flags.judge,
        proxy=Proxy(flags.address_header, flags.address_hops),
        metrics_token=os.environ.get(METRICS_VARIABLE, ""),
        otlp=flags.otlp,
    )
    environment = dict(os.environ)
    checked(settings, environment)

    def up(found: Listen) -> None:
        print(f"engage: {found.url}, {flags.workers} worker(s)", flush=True)  # noqa: T201

    serve(partial(loaded, settings, environment), listen, workers=flags.workers, up=up)


def _parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(prog="python -m services.engage", description=__doc__, allow_abbrev=False)
    add = flags.add_argument
    add("--store", required=True, metavar="URL", help="sqlite:PATH or bigtable:PROJECT/INSTANCE, as the job has it")
    add("--definitions", required=True, metavar="PATH", help="a file, a folder, or a pointer")
    add(
        "--sink",
        default="",
        metavar="TOPIC",
        help="the job's control topic, pubsub:projects/P/topics/T (default: the control table of the store)",
    )
    add(
        "--touches",
        default="",
        metavar="PLACE",
        help="where opens and clicks wait for their verdict: queue:PATH or pubsub:projects/P/topics/T "
        "(default: nowhere; each is judged at once, by itself)",
    )
    add("--judge", default="", metavar="SUB", help="pubsub:projects/P/subscriptions/S of that topic, in one process")
    add("--keys", default="", metavar="FILE", help=f"write keys of apps (default: {VARIABLE})")
    add("--listen", default="127.0.0.1:8601", metavar="HOST:PORT", help="default: 127.0.0.1:8601; port 0: a free one")
    add_workers_flag(add)
    add_address_flags(add)
    add_otlp_flag(add)
    add("--log-format", choices=FORMATS, default="text", help="of standard error (default: text)")
    return flags


if __name__ == "__main__":
    main()
