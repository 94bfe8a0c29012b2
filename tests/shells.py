"""Both shells of the state machine over events, as tests drive them: wired as in the job, with a store and files."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from core import DAY, START, texts_of
from shop import SHOP

from transforms.campaigns.effects import Send
from transforms.campaigns.load import Texts
from transforms.events.event import Event
from transforms.metrics.counts import counts_of
from transforms.metrics.report import Summary
from transforms.storage.open import open_store
from transforms.storage.rows import LedgerState
from transforms.storage.store import Store
from transforms.users.effects import Account
from transforms.users.inputs.transforms import KeyInputs, NewestArrival
from transforms.users.measures import HISTOGRAM, METRICS
from transforms.users.tally import Tally
from transforms.users.transforms import AdvanceBounded, AdvanceUnbounded
from transforms.users.user import User, decode_user

__all__ = [
    "AS_OF",
    "Outcome",
    "append",
    "bounded",
    "kept_tallies",
    "lines",
    "one_by_one",
    "stream_of",
    "streamed",
    "track",
    "unbounded",
]

TEXTS = texts_of(SHOP)
#: When all windows and waits of these histories are over, and still before any wall clock that runs these tests: timers
#: of the unbounded shell that lie in the past fire, those that lie ahead are a drain's and settle nothing.
AS_OF = START + 60 * DAY


class Outcome(msgspec.Struct):
    """What a run left: the users in its store, its sends, refusals, messages set aside with the cause, and counts."""

    users: dict[str, User]
    sends: list[Send]
    refusals: Counter[tuple[str, str, str]]
    set_aside: list[tuple[str, str]]
    summary: Summary

    @property
    def send_ids(self) -> list[str]:
        return sorted(send.id for send in self.sends)

    def adds_up(self, messages: int) -> bool:
        return self.summary.total("read") == messages == sum(self.summary.by_label("accounts", "outcome").values())


def wire(advance: Any, keyed: Any, folder: Path) -> None:
    """Anonymous, then Advance, as the job has them; sends and tallies end in files."""
    anonymous = keyed.anonymous | "Anonymous" >> advance()
    advanced = (keyed.users, anonymous.forwarded) | "UserInputs" >> beam.Flatten() | "Advance" >> advance()
    sends = (anonymous.sends, advanced.sends) | "Sends" >> beam.Flatten()
    _ = sends | "WriteSends" >> beam.Map(append, str(folder / "sends"))
    refused = (anonymous.refused, advanced.refused) | "Refused" >> beam.Flatten()
    _ = refused | "WriteRefused" >> beam.Map(append, str(folder / "refused"))
    tallies = (keyed.tallies, anonymous.tallies, advanced.tallies) | "Tallies" >> beam.Flatten()
    _ = tallies | "WriteTallies" >> beam.Map(append, str(folder / "tallies"))


def append(record: Any, path: str) -> None:
    with Path(path).open("ab") as file:
        file.write(msgspec.json.encode(record) + b"\n")


def lines(path: Path, type_: Any) -> list[Any]:
    return [msgspec.json.decode(line, type=type_) for line in path.read_bytes().splitlines()] if path.exists() else []


def outcome(folder: Path, url: str | None) -> Outcome:
    users: dict[str, User] = {}
    refusals: Counter[tuple[str, str, str]] = Counter()
    if url is not None:
        store = open_store(url)
        users = {row.user: decode_user(row.state) for row in store.scan_users()}
        refusals.update(
            (row.campaign, row.step, row.detail) for row in store.scan_ledger() if row.state == LedgerState.SUPPRESSED
        )
        store.close()
    tallies = lines(folder / "tallies", Tally)
    refused = sorted((account.message, account.cause) for account in lines(folder / "refused", Account))
    return Outcome(users, lines(folder / "sends", Send), refusals, refused, Summary.of(AS_OF, tallies))


def kept_tallies(store: Store) -> list[Tally]:
    """What a live job on one machine has counted in its store, as tallies; without histograms."""
    found: list[Tally] = []
    for count in counts_of(store):
        if count.name in METRICS and METRICS[count.name].kind != HISTOGRAM:
            values = tuple(count.labels.get(label, "") for label in METRICS[count.name].labels)
            found.append(((count.name, values, count.window), count.count))
    return found


def store_in(folder: Path) -> str:
    return f"sqlite:{folder / 'store.db'}"


def bounded(folder: Path, events: list[Event], texts: Texts = TEXTS, *, stored: bool = True) -> Outcome:
    store = store_in(folder) if stored else None
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        keyed = pipeline | beam.Create(events) | "KeyInputs" >> KeyInputs()
        newest = keyed.arrivals | NewestArrival(0, AS_OF)
        as_of = beam.pvalue.AsSingleton(newest)
        wire(lambda: AdvanceBounded(texts, as_of, store, continued=False), keyed, folder)
    return outcome(folder, store)


def unbounded(folder: Path, events: list[Event], texts: Texts = TEXTS, *, store: str | None = None) -> Outcome:
    store = store or store_in(folder)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        keyed = pipeline | beam.Create(events, reshuffle=False) | "KeyInputs" >> KeyInputs()
        wire(lambda: AdvanceUnbounded(texts, store), keyed, folder)
    return outcome(folder, store)


def streamed(folder: Path, stream: TestStream, texts: Texts = TEXTS, *, store: str | None = None) -> Outcome:
    folder.mkdir(exist_ok=True)
    store = store or store_in(folder)
    options = PipelineOptions(["--streaming"])
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=options) as pipeline:
        keyed = pipeline | "Events" >> stream | "KeyInputs" >> KeyInputs()
        wire(lambda: AdvanceUnbounded(texts, store), keyed, folder)
    return outcome(folder, store)


def one_by_one(events: Iterable[Event]) -> TestStream:
    """Each message at its arrival, the watermark (in whole milliseconds) there before it; then the end of time."""
    stream, reached = TestStream(coder=beam.coders.PickleCoder()), Timestamp(0)
    for event in sorted(events, key=lambda event: (event.arrival, event.id)):
        at = Timestamp(micros=event.arrival // 1000 * 1000)
        if at > reached:
            stream, reached = stream.advance_watermark_to(at), at
        stream = stream.add_elements([TimestampedValue(event, Timestamp(micros=event.arrival))])
    return stream.advance_watermark_to_infinity()


def track(name: str, at: int, id_: str | None = None, *, user: str = "u1", **fields: Any) -> Event:
    device = {"device": {"token": f"token {user}"}}
    at += START
    return Event(id_ or f"{name} {at}", "track", name, fields.pop("time", at), at, user=user, context=device, **fields)


def stream_of(*items: Event | int | None) -> TestStream:
    """Events as they come, watermarks (microseconds after the start) between them; None is the end of time."""
    stream = TestStream(coder=beam.coders.PickleCoder())
    for item in items:
        if isinstance(item, Event):
            stream = stream.add_elements([TimestampedValue(item, Timestamp(micros=item.arrival))])
        elif item is not None:
            stream = stream.advance_watermark_to(Timestamp(micros=START + item))
    return stream.advance_watermark_to_infinity() if None in items else stream
