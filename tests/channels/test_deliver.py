"""Deliver in Beam: what waits for the morning or for quota comes again by timer, and a drain sends nothing."""

from collections import Counter
from collections.abc import Iterator
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
from core import texts_of

from transforms.campaigns.effects import Send
from transforms.channels.destinations import Channels
from transforms.channels.live.transforms import Delivered as DeliveredLive
from transforms.channels.live.transforms import DeliverLive
from transforms.channels.push.local_fcm import LocalFcm
from transforms.channels.transforms import DeliverBounded
from transforms.channels.waiting.transforms import DeliverUnbounded
from transforms.events.channels import ChannelError
from transforms.events.times import read_time
from transforms.identity.channels import versions
from transforms.storage.open import open_store
from transforms.users.tally import series_for

SECOND = 1_000_000
HOUR = 3600 * SECOND
EVENING, MORNING = read_time("2026-03-10T22:00:00Z"), read_time("2026-03-11T08:00:00Z")
NIGHT = (21 * 60, 8 * 60)

CAMPAIGN = {"trigger": {"event": "Bought"}, "steps": [{"send": "push"}], "reenter": "always", "consent": "offers"}
DAILY = {"trigger": {"schedule": {"cron": "0 9 * * *"}}, "audience": {"segment": "buyers"}}
TEXTS = texts_of(
    {
        "segments": {"buyers": {"members": {"event": "Bought"}}},
        "campaigns": {
            "c": CAMPAIGN,
            "off": {**CAMPAIGN, "status": "paused"},
            "daily": {**CAMPAIGN, **DAILY},
            "rated": {**CAMPAIGN, **DAILY, "rate": {"at_most": 1, "per": "1m"}},
        },
        "messages": {"push": {"channel": "push", "title": "Hello"}},
    }
)


class Wall:
    """A wall clock that goes forward by the sends that are read: each is decided when it is read."""

    now = 0


class Shell:
    """What delivers live in a test: with a queue as on Dataflow, or at once as on one machine."""

    deliver: type[DeliverUnbounded | DeliverLive] = DeliverUnbounded


LIVE = pytest.mark.parametrize("shell", [DeliverUnbounded, DeliverLive], indirect=True)


def wall() -> int:
    return Wall.now


def read_at(send: Send) -> Send:
    Wall.now = max(Wall.now, send.decided_at)
    return send


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    Wall.now = 0
    yield
    Wall.now = 0


@pytest.fixture
def shell(request: pytest.FixtureRequest) -> Iterator[None]:
    Shell.deliver = request.param
    yield
    Shell.deliver = DeliverUnbounded


def send_of(name: str, at: int, **changes: Any) -> Send:
    fields = {"campaign": "c", "entry": "e", "step": "s", "user": "u", "channel": "push", "message": "push"}
    fields |= {"id": name, "address": name, "decided_at": at, "not_after": at + 24 * HOUR, "topic": "offers"}
    return Send(**{**fields, **changes})


def append(item: Any, path: str) -> None:
    with Path(path).open("ab") as file:
        file.write(msgspec.json.encode(item) + b"\n")


def lines(path: Path) -> list[Any]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


class Delivered:
    """What a pipeline left in a folder: pushes in the order of the outbox, receipts, and the ledger."""

    def __init__(self, folder: Path, url: str) -> None:
        self.sent = [line["send_id"] for file in sorted(folder.glob("push-*.jsonl")) for line in lines(file)]
        receipts = [msgspec.json.decode(receipt) for receipt in lines(folder / "receipts")]
        self.told = sorted((receipt["send"], receipt["kind"], receipt["reason"]) for receipt in receipts)
        self.times = {receipt["send"]: read_time(receipt["time"]) for receipt in receipts}
        self.counts: Counter[str] = Counter()
        for (metric, values, _), count in lines(folder / "tallies"):
            self.counts[series_for(metric, tuple(values))] += count
        store = open_store(url)
        for row in store.scan_metrics(""):
            self.counts[row.series] += row.count
        self.ledger = {row.send: row.state for row in store.scan_ledger()}
        store.close()


def keep(delivered: Any, folder: Path) -> None:
    """Receipts, and tallies; on one machine those are in the store."""
    if not isinstance(delivered, DeliveredLive):
        _ = delivered.tallies | "KeepTallies" >> beam.Map(append, str(folder / "tallies"))
    receipts = delivered.receipts | "Text" >> beam.Map(bytes.decode)
    _ = receipts | "KeepReceipts" >> beam.Map(append, str(folder / "receipts"))


def streamed(folder: Path, *items: Send | int, push: str | None = None, url: str | None = None) -> Delivered:
    """Deliver live: sends as they come, and watermarks (microseconds) between them."""
    folder.mkdir(exist_ok=True)
    stream = TestStream(coder=beam.coders.PickleCoder())
    for item in items:
        if isinstance(item, Send):
            stream = stream.add_elements([TimestampedValue(item, Timestamp(micros=item.decided_at))])
        else:
            stream = stream.advance_watermark_to(Timestamp(micros=item))
    store = url or f"sqlite:{folder / 'store.db'}"
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        sends = pipeline | "Sends" >> stream.advance_watermark_to_infinity() | "Clock" >> beam.Map(read_at)
        keep(
            sends
            | "Deliver" >> Shell.deliver(TEXTS, Channels(str(folder), {"push": (push,)} if push else {}), store, wall),
            folder,
        )
    return Delivered(folder, store)


def at_once(folder: Path, *sends: Send, now: int) -> Delivered:
    """Deliver live what is read at once, the watermark being at the end of time when it is: as in a drain."""
    store = f"sqlite:{folder / 'store.db'}"
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        created = pipeline | beam.Create(sends, reshuffle=False)
        timed = created | "Timed" >> beam.Map(lambda send: TimestampedValue(send, send.decided_at / SECOND))
        keep(timed | "Deliver" >> Shell.deliver(TEXTS, Channels(str(folder)), store, partial(int, now)), folder)
    return Delivered(folder, store)


@LIVE
@pytest.mark.usefixtures("shell")
def test_a_send_of_the_night_goes_out_in_the_morning(tmp_path: Path) -> None:
    found = streamed(
        tmp_path,
        send_of("asleep", EVENING, quiet=NIGHT),
        send_of("awake", EVENING),
        EVENING + 1000,
        send_of("morning", MORNING + SECOND, quiet=NIGHT),
        MORNING,
    )
    assert sorted(found.sent) == ["asleep", "awake", "morning"]
    assert found.told == [(name, "accepted", "") for name in ("asleep", "awake", "morning")]
    assert found.times == {"awake": EVENING, "asleep": MORNING + SECOND, "morning": MORNING + SECOND}
    labels = 'campaign="c",channel="push"'
    assert found.counts[f'sends{{{labels},state="handed_off",step="s"}}'] == 3
    assert found.counts[f'latency{{{labels},from="arrival",le="0.001",to="handed_off"}}'] >= 1, "of who was awake"
    assert set(found.ledger.values()) == {"handed_off"}


@LIVE
@pytest.mark.usefixtures("shell")
def test_a_timer_that_comes_early_is_set_again(tmp_path: Path) -> None:
    """The watermark is up to 20 seconds ahead of the wall clock."""
    found = streamed(
        tmp_path,
        send_of("asleep", EVENING, quiet=NIGHT),
        EVENING + 1000,
        send_of("other", MORNING - 20 * SECOND, user="other"),
        MORNING,
        send_of("later", MORNING + 5 * SECOND, user="later"),
        MORNING + 20 * SECOND,
    )
    assert sorted(found.sent) == ["asleep", "later", "other"]
    assert found.times["asleep"] == MORNING + 5 * SECOND


@LIVE
@pytest.mark.usefixtures("shell")
def test_what_waits_goes_out_by_the_times_of_each(tmp_path: Path) -> None:
    zones = {
        "Asia/Tokyo": "2026-03-10T23:00:00Z",
        "Europe/Berlin": "2026-03-11T07:00:00Z",
        "UTC": "2026-03-11T08:00:00Z",
    }
    items: list[Send | int] = [send_of(zone, EVENING, zone=zone, quiet=NIGHT) for zone in zones]
    items.append(EVENING + 1000)
    for zone, release in zones.items():
        items += [send_of(f"after {zone}", read_time(release), user=zone), read_time(release)]
    found = streamed(tmp_path, *items)
    assert {name: found.times[name] for name in zones} == {zone: read_time(text) for zone, text in zones.items()}


@LIVE
@pytest.mark.usefixtures("shell")
def test_what_quota_refuses_comes_again_when_the_provider_says(fcm: Any, tmp_path: Path) -> None:
    """Which is before the morning that another one waits for already."""
    name = f"quota1-{Shell.deliver.__name__}"
    found = streamed(
        tmp_path,
        send_of("asleep", EVENING, quiet=NIGHT),
        EVENING + 1000,
        send_of(name, EVENING + SECOND),
        EVENING + SECOND + 1000,
        send_of("next", EVENING + 4 * SECOND),
        EVENING + 3 * SECOND,
        push=f"fcm:demo-project@{fcm.url}",
    )
    assert found.told == [("next", "accepted", ""), (name, "accepted", "")]
    assert fcm.requests[name] == 2


@LIVE
@pytest.mark.usefixtures("shell")
def test_a_drain_sends_nothing_that_waits_and_ends(tmp_path: Path) -> None:
    found = at_once(tmp_path, send_of("asleep", EVENING, quiet=NIGHT), send_of("awake", EVENING), now=EVENING)
    assert (found.sent, found.ledger) == (["awake"], {"awake": "handed_off"})
    assert found.told == [("awake", "accepted", "")]


@LIVE
@pytest.mark.usefixtures("shell")
def test_what_is_timed_far_ahead_of_the_wall_clock_is_not_sent(tmp_path: Path) -> None:
    ahead = [send_of("minute", EVENING + 60 * SECOND), send_of("more", EVENING + 61 * SECOND, user="other")]
    found = at_once(tmp_path, *ahead, now=EVENING)
    assert (found.sent, found.ledger) == (["minute"], {"minute": "handed_off"})


@LIVE
@pytest.mark.usefixtures("shell")
def test_what_a_schedule_sends_too_late_is_missed_where_nothing_held_it_here(url: str, tmp_path: Path) -> None:
    """Of a job that stood still; what waited for the morning, for its turn, or for a provider expires like all else."""
    server = LocalFcm.start(retry_after=2)
    late = {"not_after": EVENING - 1}
    found = streamed(
        tmp_path,
        send_of("now", EVENING, campaign="daily"),
        EVENING + 1000,
        send_of("event", EVENING - HOUR, **late),
        send_of("daily", EVENING - HOUR, campaign="daily", **late),
        *(send_of(f"rated{n}", EVENING - HOUR, campaign="rated", **late) for n in range(3)),
        send_of("asleep", EVENING, campaign="daily", quiet=NIGHT, not_after=MORNING - 1),
        send_of("night", EVENING, campaign="daily", quiet=NIGHT, not_after=MORNING),
        send_of("quota1-busy", EVENING, campaign="daily", not_after=EVENING + SECOND),
        send_of("first", EVENING, campaign="rated", not_after=EVENING + SECOND),
        send_of("second", EVENING, campaign="rated", not_after=EVENING + SECOND),
        EVENING + 2000,
        send_of("next", MORNING + HOUR, user="next"),
        MORNING + HOUR,
        push=f"fcm:demo-project@{server.url}",
        url=url,
    )
    server.stop()
    missed = ["daily", "rated0", "rated1", "rated2"]
    told = {name: (kind, reason) for name, kind, reason in found.told}
    assert told == {
        **dict.fromkeys(("now", "first", "next"), ("accepted", "")),
        **dict.fromkeys(missed, ("suppressed", "missed")),
        **dict.fromkeys(("event", "asleep", "night", "quota1-busy", "second"), ("expired", "")),
    }
    assert {name for name, state in found.ledger.items() if state == "suppressed"} == set(missed)
    assert found.counts['suppressed{campaign="daily",channel="push",reason="missed",step="s"}'] == 1


@LIVE
@pytest.mark.usefixtures("shell")
def test_a_backlog_read_at_night(tmp_path: Path) -> None:
    """Six hours of decisions are read at once, at ten in the evening."""
    backlog = [
        send_of(f"{kind}{number}", EVENING - number * HOUR // 50, user=f"u{number}", **changes)
        for number in range(300)
        for kind, changes in (
            ("quiet", {"quiet": NIGHT}),
            ("old", {"not_after": EVENING - 1}),
            ("off", {"campaign": "off"}),
        )
    ]
    found = at_once(tmp_path, *backlog, send_of("now", EVENING), now=EVENING)
    assert found.sent == ["now"]
    refused = [(f"old{number}", "expired", "") for number in range(300)]
    refused += [(f"off{number}", "suppressed", "paused") for number in range(300)]
    assert found.told == sorted([*refused, ("now", "accepted", "")])
    assert not any(name.startswith("quiet") for name in found.ledger)


@pytest.mark.all_in_ci
@LIVE
@pytest.mark.usefixtures("shell")
def test_a_backlog_of_six_hours_read_at_once_sends_nothing_at_night_and_nothing_expired(tmp_path: Path) -> None:
    """The watermark follows what is read, hours behind the wall clock, which says ten in the evening all the while."""
    Wall.now = EVENING
    backlog = [
        send_of(f"b{number}", decided, user=f"u{number}", quiet=NIGHT, not_after=decided + (1 + number % 24) * HOUR)
        for number in range(60)
        for decided in [EVENING - 6 * HOUR + number * HOUR // 10]
    ]
    items: list[Send | int] = []
    for send in backlog:
        items += [send, send.decided_at]
    night = streamed(tmp_path / "night", *items)
    asleep = {send.id for send in backlog if send.not_after >= MORNING}
    assert 0 < len(asleep) < len(backlog)
    assert night.sent == []
    assert night.told == sorted((send.id, "expired", "") for send in backlog if send.id not in asleep)
    Wall.now = EVENING
    after = send_of("after", MORNING + SECOND, user="after")
    day = streamed(tmp_path / "day", *items, EVENING + 1000, after, MORNING)
    assert sorted(day.sent) == sorted([*asleep, "after"])
    assert {day.times[name] for name in asleep} == {MORNING + SECOND}


def test_a_bounded_run_tells_what_became_of_its_sends_as_of_their_decisions(tmp_path: Path) -> None:
    sends = [
        send_of("first", MORNING, quiet=NIGHT),
        send_of("second", MORNING + HOUR),
        send_of("off", 0, campaign="off"),
    ]
    store = f"sqlite:{tmp_path / 'store.db'}"
    for run in ("once", "again"):
        folder = tmp_path / run
        folder.mkdir()
        with beam.Pipeline(runner=FnApiRunner()) as pipeline:
            delivered = pipeline | beam.Create(sends) | "Deliver" >> DeliverBounded(TEXTS, Channels(str(folder)), store)
            keep(delivered, folder)
        found = Delivered(folder, store)
        assert found.told == [("first", "accepted", ""), ("off", "suppressed", "paused"), ("second", "accepted", "")]
        assert found.times == {"first": MORNING, "second": MORNING + HOUR, "off": 0}
        assert found.sent == (["first", "second"] if run == "once" else [])


def test_a_worker_that_lacks_a_channel_of_the_launch_ends_at_its_set_up(tmp_path: Path) -> None:
    channels = Channels(str(tmp_path), installed={**versions(), "pager": "1.0"})
    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | beam.Create([send_of("first", MORNING)]) | "Deliver" >> DeliverBounded(TEXTS, channels, None)
    with pytest.raises((ChannelError, RuntimeError), match=r"channel `pager` 1\.0, and this worker lacks it"):
        pipeline.run()
    assert list(tmp_path.iterdir()) == []
