"""Recorded events, for commands that only look at them."""

from collections.abc import Iterator

from beam_pipelines.places import check_events
from todoke.sources import opened
from transforms.errors import WrongUse
from transforms.events.decode import Refused, decode
from transforms.events.event import Event
from transforms.events.sources import parse_source
from transforms.events.transforms import read_messages

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
    check_events(source)
    for line in read_messages(opened(source)):
        try:
            event, _ = decode(line, nobody=True)
        except Refused:
            continue
        yield event
