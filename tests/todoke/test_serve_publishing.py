"""Definitions that are edited while a job runs: no message falls between two releases, and mistakes change nothing."""

import logging
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from served import SHOP

from todoke.serve.publishing import Edited, keep_published, publish_first
from transforms.campaigns.load import DefinitionsError, compiled
from transforms.campaigns.release import read_release
from transforms.campaigns.transforms import read_file, watcher_of
from transforms.events.live.feed import Feeds, now
from transforms.events.live.inflight import InFlight
from transforms.events.live.queued import QueueFeed, QueuePlace, reading_queue
from transforms.events.queue.append import Queue
from transforms.job import Job

EDITS = 5


def shop(number: int) -> str:
    """Definitions with one condition more at each number."""
    more = [f"  s{each}: {{owner: growth, members: {{event: E{each}}}}}\n" for each in range(number)]
    return SHOP.replace("campaigns:", "".join(more) + "campaigns:")


def test_what_arrives_at_an_activation_or_later_is_judged_by_its_release(tmp_path: Path) -> None:
    """Beside a thread that appends and one that judges as the steps of a job do: take first, then ask which
    definitions count."""
    definitions, pointer = tmp_path / "shop.yaml", str(tmp_path / "definitions" / "live.json")
    definitions.write_text(shop(0))
    known, job, over = publish_first(str(definitions), pointer), Job(), threading.Event()
    place = QueuePlace(tmp_path / "events.db", f"sqlite:{tmp_path / 'store.db'}")
    judged: list[tuple[int, int]] = []

    def append(queue: Queue) -> None:
        while not over.is_set():
            queue.append([b"{}"] * 3)

    def judge() -> None:
        feed = job.part(Feeds).acquire("queue", partial(QueueFeed, place, job.part(InFlight)))
        watcher = watcher_of(known, job)
        while not over.is_set():
            taken, _ = feed.take_many(10)
            release = watcher.now().release
            judged.extend((each.published, release) for each in taken)
            job.part(InFlight).settle([each.handle for each in taken])
            time.sleep(0.001)

    with Queue(place.path) as queue, reading_queue(place):
        watching = partial(keep_published, str(definitions), known, job, over.is_set)
        threads = [threading.Thread(target=each) for each in (partial(append, queue), judge, watching)]
        for thread in threads:
            thread.start()
        for number in range(1, EDITS + 1):
            definitions.write_text(shop(number))
            deadline = time.monotonic() + 60
            while watcher_of(known, job).now().release <= number:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        time.sleep(0.3)
        over.set()
        for thread in threads:
            thread.join(60)
        job.part(Feeds).close()
    job.close()
    release, _ = read_release(pointer, read_file)
    assert release.number == EDITS + 1
    assert [each.release for each in release.activations] == list(range(2, EDITS + 2))
    for activation in release.activations:
        later = [by for arrived, by in judged if arrived >= activation.at]
        assert later
        assert min(later) >= activation.release
        assert activation.at <= now()


def test_between_two_starts_what_is_new_counts_from_the_start(tmp_path: Path) -> None:
    definitions, pointer = tmp_path / "shop.yaml", str(tmp_path / "live.json")
    definitions.write_text(shop(0))
    first = publish_first(str(definitions), pointer)
    assert publish_first(str(definitions), pointer) == first
    before = now()
    definitions.write_text(shop(1))
    second = publish_first(str(definitions), pointer)
    [activation] = second.activations
    assert (second.number, before <= activation.at <= now()) == (2, True)
    definitions.write_text(shop(1).replace("members", "membrs"))
    with pytest.raises(DefinitionsError, match=r"shop.yaml:2: error"):
        publish_first(str(definitions), pointer)
    assert read_release(pointer, read_file)[0] == second


@pytest.mark.parametrize("emptied", ["", "# to be written\n", "policies: {}\n"])
def test_definitions_that_are_emptied_end_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, emptied: str
) -> None:
    definitions, pointer = tmp_path / "shop.yaml", str(tmp_path / "live.json")
    definitions.write_text(SHOP)
    known, job = publish_first(str(definitions), pointer), Job()
    definitions.write_text(emptied)
    until = time.monotonic() + 60

    def over() -> bool:
        return "defines nothing any more" in caplog.text or time.monotonic() > until

    keep_published(str(definitions), known, job, over)
    job.close()
    assert "defines nothing any more: the definitions stay as they were" in caplog.text
    assert read_release(pointer, read_file)[0] == known


def looks(edited: Edited, times: int = 3) -> list[object]:
    return [edited.look() for _ in range(times)]


def test_files_are_read_when_they_stand_still_and_mistakes_are_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = tmp_path / "shop"
    folder.mkdir()
    file, other = folder / "shop.yaml", folder / "texts" / "hello.txt"
    file.write_text(SHOP)
    edited = Edited(str(folder))
    nothing, texts, again = looks(edited)
    assert (nothing, again) == (None, None)
    assert texts == (("shop.yaml", SHOP),)
    file.write_text(SHOP.replace("title: ", "titel: "))
    assert looks(edited) == [None] * 3
    told = [record.message for record in caplog.records]
    assert any("shop.yaml:6: error" in line for line in told)
    assert told[-1] == "the definitions stay as they were until that is mended"
    assert looks(edited) == [None] * 3
    assert [record.message for record in caplog.records] == told  # once
    file.write_text(SHOP)
    assert looks(edited) == [None] * 3  # what counts already
    assert caplog.records[-1].message == "that is mended; the definitions are as they were"
    file.write_text(SHOP.replace("\"Thank you, {{ user.first_name | default: 'friend' }}\"", "{file: texts/hello.txt}"))
    assert looks(edited) == [None] * 3  # the file that it names is not there
    other.parent.mkdir()
    other.write_text("Hello")
    found = [each for each in looks(edited, 4) if each]
    assert [name for name, _ in found[0]] == ["shop.yaml", "texts/hello.txt"]
    other.write_text("Hello again")
    [changed] = [each for each in looks(edited) if each]
    assert compiled(changed).messages["thank_you"].title.sources is not None
    assert ("texts/hello.txt", "Hello again") in changed
    folder.rename(tmp_path / "away")
    assert looks(edited) == [None] * 3
    assert "no such file or folder" in caplog.text
    (tmp_path / "away").rename(folder)
    assert looks(edited) == [None] * 3  # what is back is what counts already
    assert edited.look() is None


def test_a_feed_that_stands_still_hands_on_nothing(tmp_path: Path) -> None:
    place = QueuePlace(tmp_path / "events.db", f"sqlite:{tmp_path / 'store.db'}")
    feeds, taken = Feeds(), []
    with Queue(place.path) as queue, reading_queue(place):
        queue.append([b"1", b"2"])
        feed = feeds.acquire("queue", partial(QueueFeed, place, InFlight()))
        first = feed.take()
        assert first is not None
        with feeds.standing_still() as reached:
            assert reached >= first[0].published
            thread = threading.Thread(target=lambda: taken.append(feed.take()))
            thread.start()
            time.sleep(0.1)
            assert taken == []
        thread.join(10)
        [(second, _)] = taken
        assert second.payload == b"2"
        feeds.release("queue")
        with feeds.standing_still() as reached:  # what was closed counts, too
            assert reached >= second.published
        with closing(QueueFeed(place, InFlight())):
            pass
