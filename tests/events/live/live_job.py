"""A small live job as a program: messages of a subscription into an SQLite file, acknowledged when they are in it.

    python live_job.py SUBSCRIPTION FILE [--store URL] [--poison TEXT] [--hold TEXT] [--control URL] [--beside TEXT]

In place of a subscription it takes queue:PATH, with the store that acknowledges. A payload that is the poison fails the
step; one that is held is written and never accounted for. The control table of the store is read too where one is
named. What runs beside the job waits for a text to be written, and fails then.
"""

import argparse
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import with_input_types, with_output_types
from apache_beam.utils.windowed_value import WindowedValue

from todoke.live import run_graph
from transforms.errors import RunFailed
from transforms.events.live.batches import decode_messages
from transforms.events.live.queued import QueuePlace, reading_queue
from transforms.events.live.transforms import Acknowledge, ReadControlTable, ReadLive, ReadQueue
from transforms.events.sources import ReceivedMessage
from transforms.job import Job


@with_input_types(ReceivedMessage)
@with_output_types(list[str])
class Write(beam.DoFn):
    """Write payloads with the process that read them, commit, and put out the handles."""

    def __init__(self, path: str, poison: bytes, hold: bytes) -> None:
        self.path = path
        self.poison = poison
        self.hold = hold

    def start_bundle(self) -> None:
        self.messages: list[ReceivedMessage] = []

    def process(self, message: ReceivedMessage) -> None:
        if message[0] == self.poison:
            raise ValueError("this payload is poison")
        self.messages.append(message)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        rows = [(payload.decode(), handle) for payload, _, _, handle in self.messages]
        connection = sqlite3.connect(self.path, timeout=30)
        with connection:
            connection.executemany("INSERT INTO seen VALUES (?, ?)", rows)
        connection.close()
        handles = [handle for payload, _, _, handle in self.messages if payload != self.hold]
        yield WindowedValue(handles, GlobalWindow().start, (GlobalWindow(),))


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("subscription")
    flags.add_argument("path")
    flags.add_argument("--store", default="")
    flags.add_argument("--poison", default="")
    flags.add_argument("--hold", default="")
    flags.add_argument("--control")
    flags.add_argument("--beside")
    given, beam_flags = flags.parse_known_args()
    write = Write(given.path, given.poison.encode() or b"\0", given.hold.encode() or b"\0")

    job = Job()
    queue = given.subscription.startswith("queue:")
    place = QueuePlace(Path(given.subscription.removeprefix("queue:")), given.store)

    def build(pipeline: beam.Pipeline) -> None:
        reading = ReadQueue(place, job) if queue else ReadLive(given.subscription, job)
        batches = pipeline | "Read" >> reading
        if given.control:
            control = pipeline | "ReadControl" >> ReadControlTable(given.control, job)
            batches = (batches, control) | "Both" >> beam.Flatten()
        _ = (
            batches
            | "Each" >> beam.FlatMap(decode_messages).with_output_types(ReceivedMessage)
            | "Write" >> beam.ParDo(write)
            | "Acknowledge" >> Acknowledge(job)
        )

    def beside(stopped: Callable[[], bool]) -> None:
        connection = sqlite3.connect(given.path, timeout=30)
        while given.beside and not stopped():
            if connection.execute("SELECT 1 FROM seen WHERE payload = ?", (given.beside,)).fetchone():
                raise RunFailed(f"{given.beside} is written")
            time.sleep(0.05)

    try:
        with reading_queue(place) if queue else nullcontext():
            run_graph(build, job, beam_flags, beside=(beside,), heartbeat=5.0)
    except RunFailed as error:
        sys.exit(f"job: {error}")


if __name__ == "__main__":
    main()
