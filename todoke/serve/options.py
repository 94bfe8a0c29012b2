"""The flags of `todoke serve`. Nothing here imports Beam or a server, so that help is quick."""

import argparse
from pathlib import Path

import msgspec

from beam_pipelines.flag_words import read_flags
from beam_pipelines.live_flags import OTLP_HELP, RESTARTS
from beam_pipelines.options import add_channel_flags, add_log_format, channel_words, parse_kept_for
from beam_pipelines.values import parsed
from transforms.errors import WrongUse
from transforms.segments.values import duration
from transforms.storage.open import parse_store

__all__ = ["FRONT", "JOB", "PARTS", "ServeOptions", "parse", "parser"]

#: What the supervisor starts; each is this command with `--part`.
FRONT, JOB = PARTS = ("front", "job")


class ServeOptions(msgspec.Struct, frozen=True):
    """What was asked for.

    `keys` is a file of write keys, None for one that is made. `retain` is for how long the queue keeps what was
    acknowledged, in microseconds. `feed` is how many times faster than they happened the demo's orders come, None for
    none of them. With `otlp` job and services send metrics to a collector. `run` are the words of `todoke run` for the
    job, without definitions. `part` is the process that this one is; empty for the supervisor.
    """

    definitions: str
    data: Path
    store: str
    listen: str
    keys: str | None
    address_header: str
    retain: int
    watch: bool
    feed: float | None
    restarts: int
    otlp: bool
    run: tuple[str, ...]
    part: str = ""

    @property
    def queue(self) -> Path:
        """Where calls are kept until they are applied, and a while longer."""
        return self.data / "events.db"

    @property
    def touches(self) -> Path:
        """Where opens and clicks wait for their verdict."""
        return self.data / "touches.db"

    @property
    def pointer(self) -> str:
        """What names the definitions that the job has."""
        return str(self.data / "definitions" / "live.json")

    @property
    def outbox(self) -> Path:
        """Where messages go of channels that were not named."""
        return self.data / "outbox"

    @property
    def parts(self) -> Path:
        """What the supervisor says of its parts."""
        return self.data / "parts.json"

    def job_words(self, definitions: str) -> list[str]:
        """The words of `todoke run` for a job with these definitions."""
        return ["--definitions", definitions, *self.run]


def parser() -> argparse.ArgumentParser:
    """The flags; whatever else is given goes to Beam."""
    flags = argparse.ArgumentParser(
        prog="todoke serve",
        allow_abbrev=False,
        description="Everything live on this machine.",
        epilog="Any other flag goes to Beam (--prism_location, ...). Credentials come from the environment.",
    )
    add = flags.add_argument
    add("definitions", metavar="DEFINITIONS", help="a definitions file, or a folder of them")
    add(
        "--data",
        default="todoke-data",
        metavar="DIR",
        help="the folder for queue, store, keys and outbox (default: todoke-data)",
    )
    add("--store", metavar="URL", help="sqlite:PATH (default: store.db in DIR)")
    add(
        "--listen",
        default="127.0.0.1:8600",
        metavar="HOST:PORT",
        help="where to listen; an address that others reach needs keys and a secret that you have set (default: "
        "127.0.0.1:8600)",
    )
    add(
        "--keys",
        metavar="FILE",
        help="write keys by source, as JSON (default: TODOKE_WRITE_KEYS, else keys.json in DIR with one that is made)",
    )
    add(
        "--address-header",
        default="",
        metavar="NAME",
        help="the header in which a proxy says the client's address; name it only if all requests pass that proxy",
    )
    add("--retain", default="7d", metavar="DURATION", help="how long the queue keeps calls that were applied (7d)")
    add("--no-watch", dest="watch", action="store_false", help="do not take up changes of the definitions")
    add("--feed", metavar="SPEED", help="also send the orders of the demo's shop, such as 60x as fast as they came")
    add(
        "--keep-dead-letters",
        default="30d",
        metavar="DURATION",
        help="how long the store keeps dead letters, such as 7d (default: 30d)",
    )
    add(
        "--restarts",
        type=int,
        default=RESTARTS,
        metavar="N",
        help=f"give up after N failures in a row of one part ({RESTARTS})",
    )
    add_channel_flags(flags.add_argument_group("channels").add_argument)
    add("--otlp", action="store_true", help=OTLP_HELP)
    add_log_format(flags)
    add("--part", choices=PARTS, default="", help=argparse.SUPPRESS)
    return flags


def parse(argv: list[str]) -> ServeOptions:
    """The flags as they were given. What they name is not looked at yet.

    Raises:
      Misread: for flags that cannot be read.
      WrongUse: for values that cannot be.
    """
    flags, beam_flags = read_flags(parser(), argv)
    data = Path(flags.data)
    store = flags.store or f"sqlite:{data / 'store.db'}"
    if parsed("--store", parse_store, store)[0] != "sqlite":
        raise WrongUse("--store: expected sqlite:PATH: what a queue's calls became is written with their receipt")
    parsed("--keep-dead-letters", parse_kept_for, flags.keep_dead_letters)
    if flags.restarts < 0:
        raise WrongUse(f"--restarts: expected 0 or more; found {flags.restarts}")
    outbox = data / "outbox"
    run = ["--events", f"queue:{data / 'events.db'}", "--store", store, "--outbox", str(outbox)]
    run += ["--keep-dead-letters", flags.keep_dead_letters, "--log-format", flags.log_format]
    return ServeOptions(
        definitions=flags.definitions,
        data=data,
        store=store,
        listen=flags.listen,
        keys=flags.keys,
        address_header=flags.address_header,
        retain=parsed("--retain", duration, flags.retain),
        watch=flags.watch,
        feed=None if flags.feed is None else parsed("--feed", _speed, flags.feed),
        restarts=flags.restarts,
        otlp=flags.otlp,
        run=(*run, *(["--otlp"] if flags.otlp else []), *channel_words(flags), *beam_flags),
        part=flags.part,
    )


def _speed(said: str) -> float:
    try:
        speed = float(said.removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 1e9:
        raise ValueError(f"expected how many times as fast, such as 60x; found {said}")
    return speed
