"""Reading messages, decoding them, and writing those that cannot be decoded, as Beam transforms."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import with_input_types, with_output_types
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.events.bigquery import QueryRefused, open_query, open_table, rows_of_stream
from transforms.events.dead_letter import DeadLetter
from transforms.events.decode import Refused, decode_announced
from transforms.events.event import Event
from transforms.events.files import UnreadableFile, messages_of_file
from transforms.events.kept.pruning import KEPT_FOR
from transforms.events.kept.transforms import KeepDeadLetters
from transforms.events.live.transforms import Publish
from transforms.events.pieces import WHOLE, FilePiece, pieces_of_file
from transforms.events.sources import (
    BigQuery,
    Bounded,
    EventQueue,
    Files,
    ReceivedMessage,
    Source,
    Subscription,
    TableStreams,
)

__all__ = ["Decode", "ReadEvents", "WriteDeadLetters", "found_files", "open_bigquery", "read_messages"]

#: The outputs of `Decode`.
EVENTS, DEAD_LETTERS = "events", "dead_letters"

#: The largest message of a topic (cloud.google.com/pubsub/quotas, "Message size"), and how much is kept of a payload
#: that is too large for it: JSON may need six characters for a byte.
_TOPIC_BYTES = 10_000_000
_CUT_BYTES = 1_000_000


class ReadEvents(beam.PTransform):
    """Read the messages of a source, undecoded; see `ReceivedMessage`.

    No message can fail the read of a file, and no file is read in part: see `files.messages_of_file`. Several workers
    read a large file, each a piece of it (`pieces`), and the streams of a table. The messages of a subscription keep
    their publish time as Beam's timestamp.

    Beam's own source reads a subscription, and acknowledges; a live job on one machine has `live.transforms.ReadLive`.

    Raises:
      OSError: where no file matches: while the graph is built.
      UnreadableFile: a file cannot be read to its end: when it runs.
    """

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[ReceivedMessage]:
        """Wire the reader that fits the source."""
        match self._source:
            case Subscription(path):
                return (
                    begin
                    | "ReadSubscription" >> beam.io.ReadFromPubSub(subscription=path)
                    | "StampArrival" >> beam.ParDo(_StampArrival(f"pubsub:{path}"))
                )
            case EventQueue(path):
                raise ValueError(f"queue:{path}: only a live job on this machine reads a queue")
            case Files(pattern):
                return (
                    begin
                    | "Files" >> beam.Create(_found(pattern))
                    | "Pieces" >> beam.ParDo(_Pieces())
                    | "Spread" >> beam.Reshuffle()
                    | "ReadFiles" >> beam.ParDo(_ReadFile())
                )
            case TableStreams() as opened:
                return (
                    begin
                    | "Streams" >> beam.Create(opened.streams)
                    | "SpreadStreams" >> beam.Reshuffle()
                    | "ReadStreams" >> beam.ParDo(_ReadStream(opened))
                )
            case BigQuery():
                raise TypeError("a table is opened before a graph is built of it: see `open_bigquery`")


def open_bigquery(source: BigQuery) -> TableStreams:
    """Begin to read a table, or what a query finds, which is run to its end.

    Raises:
      QueryRefused: the query is none, or reads more than it may; or there is no such file.
      GoogleAPIError, GoogleAuthError: BigQuery refuses, or does not answer.
    """
    if not source.query:
        return open_table(source)
    try:
        with FileSystems.open(source.query, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            sql = file.read().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise QueryRefused(f"the query cannot be read: {error}") from error
    return open_query(source, sql)


def read_messages(source: Bounded) -> Iterator[bytes]:
    """The messages of files or of a table, without a pipeline: the same that `ReadEvents` gives.

    Raises:
      OSError: no file matches.
      UnreadableFile: one cannot be read to its end.
    """
    match source:
        case Files(pattern):
            for path, _ in _found(pattern):
                yield from _read_file(path)
        case TableStreams() as opened:
            for stream in opened.streams:
                yield from rows_of_stream(opened, stream)


def found_files(pattern: str, most: int | None = None) -> list[tuple[str, int]]:
    """The files of a pattern, or of a path that would be one, and their sizes in bytes; `most` of them if so many do.

    Hidden files, whose names begin with a point, are only of a pattern for names that do.

    Raises:
      OSError: nobody knows.
    """
    if "://" not in pattern and os.path.isfile(pattern):  # noqa: PTH113 - a pattern may be longer than a name
        return [(pattern, Path(pattern).stat().st_size)]
    found = FileSystems.match([pattern], [most])[0].metadata_list
    hidden = pattern.rpartition("/")[2].startswith(".")
    shown = [each for each in found if hidden or not each.path.rpartition("/")[2].startswith(".")]
    if not shown and len(found) == most:  # there may be others behind hidden ones
        return found_files(pattern)[:most]
    return [(metadata.path, metadata.size_in_bytes) for metadata in shown]


def _found(pattern: str) -> list[tuple[str, int]]:
    if not (found := found_files(pattern)):
        raise OSError(f"no files found based on the file pattern {pattern}")
    return found


def _read_file(path: str, piece: FilePiece = WHOLE) -> Iterator[bytes]:
    with _opened(path) as file:
        yield from messages_of_file(file, path, piece)


def _opened(path: str) -> Any:
    try:
        return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be read: {error}") from error


@with_output_types(ReceivedMessage)
class _StampArrival(beam.DoFn):
    def __init__(self, source: str) -> None:
        self._source = source

    def process(self, payload: bytes, timestamp: Timestamp = beam.DoFn.TimestampParam) -> Iterable[ReceivedMessage]:
        return ((payload, self._source, timestamp.micros, ""),)


@with_output_types(tuple[str, FilePiece])
class _Pieces(beam.DoFn):
    def process(self, found: tuple[str, int]) -> Iterator[tuple[str, FilePiece]]:
        path, size = found
        with _opened(path) as file:
            for piece in pieces_of_file(file, path, size):
                yield path, piece


@with_output_types(ReceivedMessage)
class _ReadFile(beam.DoFn):
    def process(self, found: tuple[str, FilePiece]) -> Iterator[ReceivedMessage]:
        path, piece = found
        for payload in _read_file(path, piece):
            yield payload, path, None, ""


@with_input_types(str)
@with_output_types(ReceivedMessage)
class _ReadStream(beam.DoFn):
    def __init__(self, opened: TableStreams) -> None:
        self._opened = opened

    def process(self, stream: str) -> Iterator[ReceivedMessage]:
        for payload in rows_of_stream(self._opened, stream):
            yield payload, self._opened.name, None, ""


def _now() -> int:
    return time.time_ns() // 1000


def _nothing(_name: str) -> bool:
    return False


class Decode(beam.PTransform):
    """Decode messages into events, or into `DeadLetter` records if they cannot be decoded.

    The result has two outputs, `events` and `dead_letters`; with an error handler, the dead letters go to it and the
    result is the events. That is Beam's idiom without `ParDo.with_exception_handling`, which costs more for every good
    element, formats a traceback for every bad one, and gives text instead of the cause. The counter
    `events/clock_ahead` counts devices' clocks that were ahead by more than `decode.SKEW`.

    Args:
      clock: the time in microseconds for dead letters from files, which have no arrival.
      announced: whether track calls with a name may have no ids, since they are announcements.
    """

    def __init__(self, clock: Callable[[], int] = _now, announced: Callable[[str], bool] = _nothing) -> None:
        super().__init__()
        self._clock = clock
        self._announced = announced
        self._handler: ErrorHandler | None = None

    def with_error_handler(self, handler: ErrorHandler | None) -> "Decode":
        """Send what cannot be decoded to `handler`; None leaves it in the output `dead_letters`."""
        self._handler = handler
        return self

    def step(self) -> beam.DoFn:
        """The step alone, for a graph that does more in one step."""
        return _Decode(self._clock, self._announced)

    def expand(self, messages: beam.PCollection[ReceivedMessage]) -> Any:
        """Decode, and separate events from dead letters."""
        decoded = messages | "Decode" >> beam.ParDo(self.step()).with_outputs(DEAD_LETTERS, main=EVENTS)
        if self._handler is None:
            return decoded
        self._handler.add_error_pcollection(decoded[DEAD_LETTERS])
        return decoded[EVENTS]


@with_output_types(Event)
class _Decode(beam.DoFn):
    def __init__(self, clock: Callable[[], int], announced: Callable[[str], bool]) -> None:
        self._clock = clock
        self._announced = announced
        self._ahead = Metrics.counter("events", "clock_ahead")

    def process(self, message: ReceivedMessage) -> Iterable[Event]:
        payload, source, arrival, handle = message
        try:
            event, ahead = decode_announced(payload, arrival, self._announced)
        except Refused as refused:
            seen = self._clock() if arrival is None else arrival
            letter = DeadLetter(payload, source, refused.cause, refused.detail, seen, handle)
            return (beam.pvalue.TaggedOutput(DEAD_LETTERS, letter),)
        if ahead:
            self._ahead.inc()
        return (msgspec.structs.replace(event, handle=handle) if handle else event,)


class WriteDeadLetters(beam.PTransform):
    """Write dead letters as JSON Lines to a file, or as messages to a topic.

    A local file is created if needed, and grows as letters come, so it serves live jobs too; a bundle that runs again
    repeats its lines. A file elsewhere (`gs://...`) is written once, at the end of a bounded job. A letter that is too
    large for a topic goes there with a cut payload, and says so. A store keeps each letter once, before it is written
    to the sink (`KeepDeadLetters`).

    Args:
      sink: a path, or `pubsub:projects/P/topics/T`.
      store: the URL of the store that keeps letters too; None for none.
      kept_for: how long it keeps them, in microseconds; 0 keeps none.
      live: the letters have handles; with a path or a topic the result is the handles of letters that are written, in
        lists.

    Raises:
      ValueError: while the graph is built, for the name of a topic that cannot be, or a live job's file elsewhere.
    """

    def __init__(self, sink: str, *, store: str | None = None, kept_for: int = KEPT_FOR, live: bool = False) -> None:
        super().__init__()
        self._sink = sink
        self._store = store
        self._kept_for = kept_for
        self._live = live

    def expand(self, letters: beam.PCollection[DeadLetter]) -> Any:
        """Wire the writer that fits the sink."""
        if self._store is not None and self._kept_for:
            letters = letters | "Keep" >> KeepDeadLetters(self._store, self._kept_for)
        if self._sink.startswith("pubsub:"):
            topic = self._sink.removeprefix("pubsub:")
            lines = letters | "ToJson" >> beam.Map(_message).with_output_types(tuple[bytes, str])
            if self._live:
                return lines | "Publish" >> Publish(topic)
            encoded = lines | "Encode" >> beam.Map(_payload).with_output_types(bytes)
            return encoded | "Publish" >> beam.io.WriteToPubSub(topic)
        if "://" in self._sink:
            if self._live:
                raise ValueError(f"{self._sink}: a live job writes its dead letters to a local file or a topic")
            lines = letters | "ToJson" >> beam.Map(DeadLetter.to_json).with_output_types(str)
            return lines | "WriteLines" >> beam.io.WriteToText(self._sink, num_shards=1, shard_name_template="")
        lines = letters | "ToJson" >> beam.Map(_jsonl).with_output_types(tuple[bytes, str])
        return lines | "AppendLines" >> beam.ParDo(_AppendLines(self._sink))


def _jsonl(letter: DeadLetter) -> tuple[bytes, str]:
    return f"{letter.to_json()}\n".encode(), letter.handle


def _message(letter: DeadLetter) -> tuple[bytes, str]:
    encoded = letter.to_json().encode()
    if len(encoded) > _TOPIC_BYTES:
        whole = len(letter.payload)
        detail = f"{letter.detail}; the payload is cut: {_CUT_BYTES:,} of {whole:,} bytes"
        encoded = msgspec.structs.replace(letter, payload=letter.payload[:_CUT_BYTES], detail=detail).to_json().encode()
    return encoded, letter.handle


def _payload(element: tuple[bytes, str]) -> bytes:
    return element[0]


@with_input_types(tuple[bytes, str])
@with_output_types(list[str])
class _AppendLines(beam.DoFn):
    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def setup(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered, so that one line is one write, and lines of several threads and processes do not mix.
        self._file = self._path.open("ab", buffering=0)

    def start_bundle(self) -> None:
        self._handles: list[str] = []
        self._at = GlobalWindow().start

    def process(self, element: tuple[bytes, str], timestamp: Timestamp = beam.DoFn.TimestampParam) -> None:
        line, handle = element
        if self._file.write(line) != len(line):
            raise OSError(f"{self._path}: a dead letter could only be written in part")
        self._at = max(self._at, timestamp)
        if handle:
            self._handles.append(handle)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._handles:
            os.fsync(self._file.fileno())
            yield WindowedValue(self._handles, self._at, (GlobalWindow(),))

    def teardown(self) -> None:
        self._file.close()
