"""`todoke wake`: everybody who waits for something is woken, evenly, through the table or the topic."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from google.cloud import pubsub_v1

from todoke.wake import wake_all
from transforms.storage.open import open_store
from transforms.storage.rows import UserRow
from transforms.storage.store import Store, StoreError
from transforms.users.control import decode_control
from transforms.users.user import Wake

NOW = 1_772_000_000_000_000
ROOT = Path(__file__).parent.parent.parent

#: Somebody of each kind, and whether a new job has to look at them.
PEOPLE = {
    "idle": (UserRow("idle", 1, b"", b"{}"), False),
    "~idle": (UserRow("~idle", 1, b"", b"{}"), False),
    "waits": (UserRow("waits", 1, b"", b"{}", deadline=NOW), True),
    "overdue since 1970": (UserRow("overdue since 1970", 1, b"", b"{}", deadline=0), True),
    "~device": (UserRow("~device", 1, b"", b"{}", deadline=NOW), True),
    "owed": (UserRow("owed", 1, b"", b"{}", open_sends=2), True),
    "both 届#": (UserRow("both 届#", 1, b"", b"{}", deadline=NOW, open_sends=1), True),
}
WAITING = sorted(name for name, (_, waits) in PEOPLE.items() if waits)


@pytest.fixture
def people(tmp_path: Path) -> Store:
    """A store with somebody of each kind, at `sqlite:people.db` in the test's folder."""
    store = open_store(f"sqlite:{tmp_path / 'people.db'}")
    store.write_users([row for row, _ in PEOPLE.values()])
    return store


def woken(payloads: Sequence[bytes]) -> list[str]:
    """Whom messages wake; they do nothing else."""
    read = [decode_control(payload, NOW) for payload in payloads]
    assert all(inputs == [Wake(0, again=True)] for _, inputs in read)
    return sorted(user for user, _ in read)


def on_table(store: Store) -> list[bytes]:
    return [row.payload for row in store.read_control(100)]


class Clock:
    """Seconds that pass while somebody sleeps, or works."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def crowd(tmp_path: Path, size: int) -> Store:
    store = open_store(f"sqlite:{tmp_path / 'crowd.db'}")
    store.write_users([UserRow(f"u{number}", 1, b"", b"{}", deadline=NOW) for number in range(size)])
    return store


@pytest.mark.parametrize(("size", "rate"), [(2_500, 1_000.0), (4_000, 20_000.0), (7, 2.0), (3, 0.5), (30, 25.0)])
def test_wakes_come_at_the_stated_rate(tmp_path: Path, size: int, rate: float) -> None:
    clock, published = Clock(), []
    store = crowd(tmp_path, size)
    count = wake_all(
        store, lambda batch: published.extend((clock.now, each) for each in batch), rate, clock=clock, sleep=clock.sleep
    )
    assert count == size
    assert woken([payload for _, payload in published]) == sorted(f"u{number}" for number in range(size))
    times = [at for at, _ in published]
    most = max(sum(start <= at < start + 1 for at in times) for start in times)
    assert most <= max(1.0, rate * 1.1)
    assert times[-1] - times[0] <= size / rate, "and not slower either"


def test_time_that_was_lost_is_not_made_up_for(tmp_path: Path) -> None:
    """A broker that took ten seconds for one batch does not get the next thousands at once."""
    clock, published = Clock(), []

    def publish(batch: Sequence[bytes]) -> None:
        published.extend([clock.now] * len(batch))
        if len(published) == 500:
            clock.now += 10

    wake_all(crowd(tmp_path, 3_000), publish, 1_000.0, clock=clock, sleep=clock.sleep)
    after = [at for at in published if at >= 110]
    assert max(sum(start <= at < start + 1 for at in after) for start in after) <= 1_100


def test_who_waits_for_something_is_woken(people: Store) -> None:
    payloads: list[bytes] = []
    assert wake_all(people, payloads.extend) == len(WAITING)
    assert woken(payloads) == WAITING


def test_nobody_is_there(tmp_path: Path) -> None:
    assert wake_all(crowd(tmp_path, 0), lambda _: pytest.fail("there is nobody to wake")) == 0


def test_what_stops_the_publishing_ends_it_and_it_may_be_begun_again(people: Store) -> None:
    payloads: list[bytes] = []

    def publish(batch: Sequence[bytes]) -> None:
        if len(payloads) == 2:
            raise StoreError("refused for the test")
        payloads.extend(batch)

    with pytest.raises(StoreError, match="refused for the test"):
        wake_all(people, publish, 1.0, sleep=lambda _: None)
    assert len(payloads) == 2
    wake_all(people, payloads.extend)
    assert set(woken(payloads)) == set(WAITING)


def test_told_to_stop_it_publishes_no_more(tmp_path: Path) -> None:
    payloads: list[bytes] = []
    assert wake_all(crowd(tmp_path, 30), payloads.extend, 100.0, stopped=lambda: len(payloads) >= 20) == 20
    assert len(payloads) == 20


def test_the_command_writes_to_the_control_table(todoke: Any, people: Store) -> None:
    for times in (1, 2):
        done = todoke("wake", "--store", "sqlite:people.db", "--rate", 5_000)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"users woken: {len(WAITING)}\n", "")
        assert woken(on_table(people)) == sorted(WAITING * times)


def test_the_command_publishes_to_a_topic(todoke: Any, people: Store, pubsub: Any) -> None:
    topic, subscription = (f"projects/{pubsub.name}/{kind}" for kind in ("topics/control", "subscriptions/control"))
    with pubsub_v1.PublisherClient() as publisher, pubsub_v1.SubscriberClient() as subscriber:
        publisher.create_topic(name=topic)
        subscriber.create_subscription(name=subscription, topic=topic)
        done = todoke("wake", "--store", "sqlite:people.db", "--control-topic", f"pubsub:{topic}")
        assert (done.returncode, done.stdout, done.stderr) == (0, f"users woken: {len(WAITING)}\n", "")
        got: list[bytes] = []
        while len(got) < len(WAITING):
            pulled = subscriber.pull(subscription=subscription, max_messages=100, timeout=60).received_messages
            got += [each.message.data for each in pulled]
    assert woken(got) == WAITING
    assert on_table(people) == []


def test_a_topic_that_is_not_there_fails(todoke: Any, people: Store, pubsub: Any) -> None:
    topic = f"pubsub:projects/{pubsub.name}/topics/missing"
    done = todoke("wake", "--store", "sqlite:people.db", "--control-topic", topic)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"todoke: --control-topic: there is no topic {topic.removeprefix('pubsub:')}\n"


def test_a_store_that_is_not_there_fails_and_is_not_made(todoke: Any, tmp_path: Path) -> None:
    done = todoke("wake", "--store", "sqlite:nothing.db")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no file nothing.db" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--store", "people.db"), '--store: expected sqlite:PATH or bigtable:PROJECT/INSTANCE; found "people.db"'),
        (("--control-topic", "projects/project-x/topics/t"), "expected pubsub:projects/PROJECT/topics/NAME"),
        (("--control-topic", "pubsub:projects/project-x/subscriptions/tom"), "expected pubsub:projects/PROJECT/topics"),
        (("--control-topic", "pubsub:projects/project-x/topics/goog1"), "expected pubsub:projects/PROJECT/topics/NAME"),
        (("--rate", "0"), "--rate"),
        (("--rate", "many"), "--rate"),
    ],
)
def test_wrong_use(todoke: Any, people: Store, flags: tuple[str, ...], said: str) -> None:
    done = todoke("wake", "--store", "sqlite:people.db", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert on_table(people) == []


def test_waking_on_one_machine_needs_nothing_heavy(people: Store, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from todoke.cli import app\n"
        "app(standalone_mode=False)\n"
        "found = {'apache_beam', 'grpc', 'google.cloud.pubsub_v1', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(f'imported {sorted(found)}' if found else 0)\n"
    )
    command = [sys.executable, "-c", program, "wake", "--store", f"sqlite:{tmp_path / 'people.db'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
