"""Definitions that change while a job runs: picked up in the midst of it, and never written over by older ones."""

import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from core import HOUR, MINUTE, START, run_bounded, states_of
from releases import publish, release_of, seed_for

from transforms.campaigns.load import compiled
from transforms.campaigns.release import Release, beside, encode_pointer, encode_texts
from transforms.campaigns.transforms import read_definitions, watcher_of, write_file
from transforms.channels.destinations import Channels
from transforms.channels.waiting.transforms import DeliverUnbounded
from transforms.events.event import Event
from transforms.events.live.transforms import CONTROL
from transforms.job import Job
from transforms.storage.open import open_store
from transforms.storage.store import Store
from transforms.users.control import decode_control, encode_inputs_control
from transforms.users.inputs.transforms import KeyInputs
from transforms.users.rows import user_row
from transforms.users.transforms import AdvanceUnbounded
from transforms.users.user import Seed, User, Wake, decode_user, encode_user
from transforms.users.way_back.transforms import DecodeControl

pytestmark = pytest.mark.timeout(120)

Plain = dict[str, Any]

RECENT = {"members": {"event": "A", "within": "2h"}}
OFTEN = {"members": {"event": "A", "count": {"at_least": 2}}}
PRO = {"members": {"attribute": "plan", "is": "pro"}}
SECOND = 1_000_000


def saying(title: str, **segments: Plain) -> Plain:
    campaign = {"trigger": {"event": "Go"}, "steps": [{"send": "m"}], "reenter": "always", "transactional": True}
    return {"segments": segments, "campaigns": {"c": campaign}, "messages": {"m": {"channel": "push", "title": title}}}


def write(pointer: str, release: Release) -> None:
    names = {each.definitions_hash: f"{each.definitions_hash}.json" for each in release.revisions}
    for each in release.revisions:
        write_file(beside(pointer, names[each.definitions_hash]), encode_texts(each.texts))
    write_file(pointer, encode_pointer(release, names))


def launched(pointer: str, release: Release, every: float = 3600.0) -> Release:
    """What a job is launched with, while the pointer names this release."""
    write(pointer, release)
    found = read_definitions(pointer)
    assert isinstance(found, Release)
    return msgspec.structs.replace(found, every=every)


def call(name: str, at: int, **fields: Any) -> Event:
    kind = "identify" if "traits" in fields else "track"
    device = {"device": {"token": "t1"}}
    return Event(f"{name} {at}", kind, name, START + at, START + at, user="u", context=device, **fields)


def publish_at(event: Event, pointer: str, release: Release, launch: Release, job: Job) -> Event:
    """Publish when a certain event comes, and let it pass when the process knows, which it does by itself."""
    if event.name == "Publish":
        write(pointer, release)
        until = time.monotonic() + 60
        while watcher_of(launch, job).now().release < release.number and time.monotonic() < until:
            time.sleep(0.01)
    return event


def test_a_running_job_takes_changed_texts_and_segments(tmp_path: Path) -> None:
    pointer, store = str(tmp_path / "p.json"), f"sqlite:{tmp_path / 'store.db'}"
    first = release_of(saying("Old", s=RECENT), START)
    second = publish(first, saying("New", s=RECENT, pro=PRO), START)
    launch, job = launched(pointer, first, every=0.02), Job()
    stream = TestStream(coder=beam.coders.PickleCoder())
    for place, event in enumerate(
        [call("", 0, traits={"plan": "pro"}), call("Go", 1), call("Publish", 2), call("Go", 3 * MINUTE)]
    ):
        stream = stream.add_elements([TimestampedValue(event, Timestamp(micros=event.arrival))])
        stream = stream.advance_watermark_to(Timestamp(micros=START + (place + 1) * MINUTE))
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        events = pipeline | "Events" >> stream.advance_watermark_to_infinity()
        keyed = events | "Publish" >> beam.Map(publish_at, pointer, second, launch, job) | "KeyInputs" >> KeyInputs()
        advanced = keyed.users | "Advance" >> AdvanceUnbounded(launch, store, job)
        deliver = DeliverUnbounded(launch, Channels(str(tmp_path)), store, partial(int, START + HOUR), job=job)
        _ = advanced.sends | "Deliver" >> deliver
    job.close()
    lines = [line for file in sorted(tmp_path.glob("push-*.jsonl")) for line in file.read_bytes().splitlines()]
    assert [msgspec.json.decode(line)["title"] for line in lines] == ["Old", "New"]
    opened = open_store(store)
    assert set(read(opened).members) == {"pro"}
    assert [row.user for row in opened.scan_members("pro")] == ["u"]
    opened.close()


def read(store: Store) -> User:
    return decode_user(store.read_users(["u"])["u"].state)


def kept(tmp_path: Path, user: User) -> str:
    """A store that holds a user."""
    url = f"sqlite:{tmp_path / 'store.db'}"
    store = open_store(url)
    store.write_users([user_row(user, encode_user(user))])
    store.close()
    return url


def applied(url: str, release: Release, event: Event) -> User:
    """The user in the store after a live job took an event."""
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        keyed = pipeline | beam.Create([event], reshuffle=False) | "KeyInputs" >> KeyInputs()
        _ = keyed.users | "Advance" >> AdvanceUnbounded(release, url)
    store = open_store(url)
    user = read(store)
    store.close()
    return user


#: Without windows: FnApiRunner fires all timers at the end.
EVER = {"members": {"event": "A"}}
FIRST = release_of({"segments": {"s": EVER}}, START)
NEXT = publish(FIRST, {"segments": {"s": OFTEN}}, START + MINUTE)
(ACTIVE,) = [activation.at for activation in NEXT.activations]


def test_a_worker_that_is_behind_reads_the_pointer_before_it_judges(tmp_path: Path) -> None:
    """Another worker has judged the user by definitions that this one has not seen yet."""
    users, _ = run_bounded([call("A", 0)], compiled(NEXT), START + 10 * MINUTE)
    url = kept(tmp_path, users["u"])
    behind = launched(str(tmp_path / "p.json"), FIRST)
    write(str(tmp_path / "p.json"), NEXT)
    user = applied(url, behind, call("A", HOUR))
    assert (user.release, user.clock, len(states_of(user))) == (2, START + HOUR, 2)


def test_a_worker_that_cannot_know_better_writes_nothing(tmp_path: Path) -> None:
    users, _ = run_bounded([call("A", 0)], compiled(NEXT), START + 10 * MINUTE)
    url = kept(tmp_path, users["u"])
    behind = launched(str(tmp_path / "p.json"), FIRST)
    with pytest.raises(Exception, match="release 2 of the definitions was used already"):
        applied(url, behind, call("A", HOUR))
    store = open_store(url)
    assert read(store) == users["u"]
    store.close()


def test_what_comes_by_control_is_accounted_for(tmp_path: Path) -> None:
    old, _ = run_bounded([call("A", 0), call("A", 1)], compiled(FIRST), START + MINUTE)
    whole, _ = run_bounded([call("A", 0), call("A", 1)], compiled(release_of({"segments": {"s": OFTEN}})), ACTIVE - 1)
    seed = seed_for(whole["u"], compiled(NEXT), ACTIVE)
    url = kept(tmp_path, old["u"])
    unknown = msgspec.structs.replace(seed, user="nobody")
    payloads = [encode_inputs_control(each.user, [each]) for each in (seed, seed, unknown)]
    payloads.append(encode_inputs_control("u", [Wake(0, again=True)]))
    waiting = applied(url, NEXT, call("Other", 2 * MINUTE))
    assert waiting.warming == {ACTIVE}
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        messages = [(payload, CONTROL, START + HOUR, "") for payload in payloads]
        keyed = pipeline | beam.Create(messages, reshuffle=False) | "DecodeControl" >> DecodeControl()
        advanced = keyed.users | "Advance" >> AdvanceUnbounded(NEXT, url)
        _ = advanced.tallies | beam.Map(tally, str(tmp_path / "tallies"))
    counted: Counter[str] = Counter()
    for line in (tmp_path / "tallies").read_bytes().splitlines():
        (metric, values, _), count = msgspec.json.decode(line)
        if metric == "control":
            counted[values[1]] += count
    assert counted == {"applied": 2, "duplicate": 1, "deleted": 1}
    store = open_store(url)
    user, shown = read(store), msgspec.json.decode(store.read_users(["u"])["u"].profile)
    store.close()
    assert (set(user.members), user.warming) == ({"s"}, frozenset())
    assert "warming" not in shown


def test_a_user_who_waits_is_shown_so(tmp_path: Path) -> None:
    old, _ = run_bounded([call("A", 0)], compiled(FIRST), START + MINUTE)
    url = kept(tmp_path, old["u"])
    applied(url, NEXT, call("Other", HOUR))
    store = open_store(url)
    shown = msgspec.json.decode(store.read_users(["u"])["u"].profile)
    store.close()
    assert shown["warming"] == ["s"]
    assert list(shown["segments"]) == ["s"]


def tally(item: Any, path: str) -> None:
    with Path(path).open("ab") as file:
        file.write(msgspec.json.encode(item) + b"\n")


def test_a_seed_crosses_control_whole() -> None:
    seed = Seed("backfill", "~x", START, 3, {2**64 - 1: ((START, 2**64 - 1),)})
    assert decode_control(encode_inputs_control("~x", [seed]), START) == ("~x", [seed])
