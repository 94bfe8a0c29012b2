"""An embedded queue as a live source: in order, once, and acknowledged with what came of it."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.events.live import queued as module
from transforms.events.live.feed import Arrived, SharedFeed
from transforms.events.live.inflight import InFlight
from transforms.events.live.queued import COMMIT, QueueFeed, QueuePlace, reading_queue
from transforms.events.queue.append import Queue
from transforms.events.queue.file import NoQueue
from transforms.events.queue.mark import QueueHeld, read_mark
from transforms.storage.sqlite.store import SqliteStore

NOW = 1_770_000_000_000_000


class Site:
    """A queue with its feed and store, on a clock that is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.db"
        self.place = QueuePlace(self.path, f"sqlite:{folder / 'store.db'}")
        self.time = NOW
        self.queue = Queue(self.path, clock=lambda: self.time)
        with reading_queue(self.place):
            pass
        self.start()

    def start(self) -> None:
        self.registry = InFlight()
        self.feed = QueueFeed(self.place, self.registry, lambda: self.time)

    def restart(self) -> None:
        """As after a kill: what is not in the store is forgotten."""
        self.start()

    def take_all(self) -> list[Arrived]:
        return list(iter(self.feed.next, None))

    def payloads(self) -> list[bytes]:
        return [each.payload for each in self.take_all()]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_messages_come_in_order_and_once(site: Site) -> None:
    site.queue.append([b"a", b"b"])
    site.queue.append([b"c"])
    arrived = site.take_all()
    assert [each.payload for each in arrived] == [b"a", b"b", b"c"]
    assert [each.published for each in arrived] == [NOW, NOW + 1, NOW + 2]
    assert site.payloads() == []
    site.queue.append([b"d"])
    assert site.payloads() == [b"d"]


def test_what_was_not_settled_comes_again_to_the_next_process(site: Site) -> None:
    site.queue.append([b"%d" % number for number in range(10)])
    arrived = site.take_all()
    site.registry.settle([arrived[place].handle for place in (0, 1, 4, 9)])
    site.restart()
    assert site.payloads() == [b"2", b"3", b"5", b"6", b"7", b"8"]
    site.queue.append([b"10"])
    assert site.payloads() == [b"10"]


@given(st.lists(st.tuples(st.integers(1, 4), st.sets(st.integers(0, 30)), st.booleans()), max_size=6))
def test_through_any_restarts_each_message_comes_until_it_is_settled(tmp_path_factory, steps) -> None:
    site = Site(tmp_path_factory.mktemp("site"))
    appended = 0
    done: set[bytes] = set()
    for count, settled, restarts in steps:
        site.queue.append([b"%d" % number for number in range(appended, appended + count)])
        appended += count
        before = {b"%d" % number for number in range(appended)} - done
        if restarts:
            site.restart()
            arrived = site.take_all()
            assert [each.payload for each in arrived] == sorted(before, key=int)
        else:
            arrived = site.take_all()
            assert [each.payload for each in arrived] == [b"%d" % n for n in range(appended - count, appended)]
        chosen = [each for place, each in enumerate(arrived) if place in settled]
        site.registry.settle([each.handle for each in chosen])
        done |= {each.payload for each in chosen}
        assert site.feed.backlog().messages == appended - len(done)


def test_what_a_transaction_acknowledges_stands_with_it_and_is_settled_later(site: Site) -> None:
    site.queue.append([b"a", b"b", b"c"])
    first, second, third = site.take_all()
    site.registry.retain(second.handle)  # something of it is elsewhere
    store = SqliteStore(site.path.with_name("store.db"))
    with suppress(ZeroDivisionError), store.transaction():
        site.registry.write_last(store, [third.handle])
        raise ZeroDivisionError
    assert store.read_acknowledged(site.queue.id).ranges() == []
    site.restart()
    first, second, third = site.take_all()
    site.registry.retain(second.handle)
    with store.transaction():
        site.registry.write_last(store, [first.handle, second.handle])
        assert len(site.registry) == 3
    assert store.read_acknowledged(site.queue.id).ranges() == [(1, 1)]
    with store.transaction():
        site.registry.write_last(store, [second.handle, second.handle])
    site.registry.settle([first.handle, second.handle, second.handle, third.handle])
    assert len(site.registry) == 0
    assert store.read_acknowledged(site.queue.id).ranges() == [(1, 3)]
    [(rows,)] = store._query("SELECT count(*) FROM acknowledged")
    assert rows == 4  # the first one is empty; what was written with its transaction is not written again
    assert site.feed.backlog() == (0, None)


def test_handles_of_other_sources_are_passed_over(site: Site) -> None:
    done: list[str] = []
    plain = site.registry.add(done.extend, "m")
    bound = site.registry.bind([plain], 1)
    with closing(SqliteStore(site.path.with_name("store.db"))) as store, store.transaction():
        site.registry.write_last(store, [plain, bound, "", "gone"])
    site.registry.settle([bound])
    assert done == ["m"]


def test_no_more_than_a_number_is_in_flight(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_MESSAGES", 100)
    site.queue.append([b"x"] * 150)
    arrived = site.take_all()
    assert len(arrived) == 100
    before = site.feed.watermark()
    site.time += 60_000_000
    assert site.take_all() == []
    assert site.feed.watermark() == before == NOW + 100  # the first that waits
    site.registry.settle([each.handle for each in arrived])
    assert len(site.take_all()) == 50


def test_large_messages_are_held_by_their_bytes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_BYTES", 1_000_000)
    for _ in range(5):
        site.queue.append([b"x" * 400_000])
    arrived = site.take_all()
    assert len(arrived) == 3
    site.registry.settle([each.handle for each in arrived])
    assert len(site.take_all()) == 2


def test_an_empty_queue_lets_time_pass(site: Site) -> None:
    assert site.feed.next() is None
    assert site.feed.watermark() == NOW - COMMIT
    site.time += 5_000_000
    site.queue.append([b"a", b"b"])
    site.feed.next()
    assert site.feed.watermark() == NOW + 5_000_001
    assert site.take_all() != []
    assert site.feed.watermark() == NOW + 5_000_001  # nothing was found a moment ago, which says less


@given(st.lists(st.tuples(st.integers(-3_000_000, 3_000_000), st.integers(0, 3), st.integers(0, 4)), max_size=10))
def test_no_message_is_behind_a_watermark_that_was_reported(tmp_path_factory, steps) -> None:
    site = Site(tmp_path_factory.mktemp("site"))
    feed = SharedFeed(site.feed)
    reported = 0
    for passed, appended, taken in steps:
        site.time += passed
        if appended:
            site.queue.append([b"x"] * appended)
        for _ in range(taken):
            if (found := feed.take()) is not None:
                arrived, timestamp = found
                assert timestamp >= max(arrived.published, reported)
            after = feed.watermark()
            assert after >= reported
            reported = after
    feed.close()


def test_the_backlog_is_what_is_not_acknowledged(site: Site) -> None:
    assert site.feed.backlog() == (0, None)
    site.queue.append([b"a", b"b", b"c"])
    first, second, third = site.take_all()
    assert site.feed.backlog() == (3, NOW)
    site.registry.settle([first.handle, third.handle])
    assert site.feed.backlog() == (1, NOW + 1)
    site.registry.settle([second.handle])
    assert site.feed.backlog() == (0, None)


def test_who_appends_learns_what_is_acknowledged(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MARK_SECONDS", 0.0)
    site.queue.append([b"a", b"b", b"c"])
    first, _, third = site.take_all()
    site.registry.settle([first.handle, third.handle])
    site.feed.next()
    mark = read_mark(site.path)
    assert mark is not None
    assert (mark.queue, mark.ranges) == (site.queue.id, ((1, 1), (3, 3)))


def test_what_was_deleted_is_not_waited_for(site: Site) -> None:
    site.queue.append([b"a"])
    site.queue.append([b"b"])
    site.queue._connection.execute("DELETE FROM batches WHERE first < 2")
    site.restart()
    assert site.feed.backlog().messages == 1
    assert site.payloads() == [b"b"]


def test_another_store_reads_all_that_is_kept(site: Site, tmp_path: Path) -> None:
    site.queue.append([b"a", b"b"])
    site.registry.settle([each.handle for each in site.take_all()])
    site.feed.close()
    site.place = QueuePlace(site.path, f"sqlite:{tmp_path / 'new.db'}")
    site.start()
    assert site.payloads() == [b"a", b"b"]


def test_what_is_settled_after_the_end_comes_again(site: Site) -> None:
    site.queue.append([b"a"])
    [arrived] = site.take_all()
    site.feed.close()
    site.registry.settle([arrived.handle])
    site.restart()
    assert site.payloads() == [b"a"]


def test_a_new_queue_at_the_same_place_begins_anew(site: Site) -> None:
    site.queue.append([b"a"])
    site.registry.settle([each.handle for each in site.take_all()])
    site.queue.close()
    for file in site.path.parent.glob("events.db*"):
        file.unlink()
    site.queue = Queue(site.path)
    site.queue.append([b"b"])
    site.restart()
    assert site.payloads() == [b"b"]


def test_an_older_copy_of_a_queue_is_refused(site: Site) -> None:
    site.queue.append([b"a"])
    with closing(sqlite3.connect(site.path.with_name("copy.db"))) as copy:
        site.queue._connection.backup(copy)
    site.queue.append([b"b"])
    site.registry.settle([each.handle for each in site.take_all()])
    site.feed.close()
    site.queue.close()
    for file in site.path.parent.glob("events.db*"):
        file.unlink()
    site.path.with_name("copy.db").rename(site.path)
    with pytest.raises(NoQueue, match="put back from an older copy"), reading_queue(site.place):
        pass


def test_one_job_at_a_time(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("transforms.events.queue.mark.DYING_SECONDS", 0.1)
    other = QueuePlace(site.path, f"sqlite:{tmp_path / 'other.db'}")
    with reading_queue(site.place), pytest.raises(QueueHeld, match="another job"), reading_queue(other):
        pass
    assert not (tmp_path / "other.db").exists()
