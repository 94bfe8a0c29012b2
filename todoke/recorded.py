"""Recorded events, for commands that only look at them."""

from collections.abc import Iterator

from beam_pipelines.places import check_events
from todoke.preflight import check_files
from transforms.errors import WrongUse
from transforms.events.decode import Refused, decode
from transforms.events.event import Event
from transforms.events.sources import Files, parse_source
from transforms.events.transforms import read_files

__all__ = ["read_recorded"]


def read_recorded(events: str) -> Iterator[Event]:
    """The events of files; those that would be dead letters are left out.

    Raises:
      WrongUse: the source is no file, or there is no such file.
      UnreadableFile: a file cannot be read to its end.
    """
    try:
        source = parse_source(events)
    except ValueError as error:
        raise WrongUse(f"--events: {error}") from error
    if not isinstance(source, Files):
        raise WrongUse("--events: files are read, which end; a subscription does not")
    check_events(source)
    check_files(source)
    for line in read_files(source):
        try:
            event, _ = decode(line, nobody=True)
        except Refused:
            continue
        yield event
