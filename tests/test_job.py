"""What the steps of a job share in one process: the same things for all of them, and nothing with another job."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from core import MINUTE, START, texts_of

from transforms.channels.held_up import HeldUp
from transforms.events.live.batches import encode_messages
from transforms.events.live.inflight import InFlight
from transforms.events.live.transforms import Acknowledge
from transforms.events.progress import Progress
from transforms.job import Job
from transforms.storage.open import open_store
from transforms.users.live.transforms import AdvanceLive, TakeIn

DEFINITIONS = {"segments": {"seen": {"owner": "a", "members": {"event": "Seen"}}}}


class Closed:
    """Something that counts how often it was closed."""

    times = 0

    def close(self) -> None:
        self.times += 1


def test_steps_that_were_written_and_read_find_the_same_things() -> None:
    job = Job()
    again = pickle.loads(pickle.dumps(job))
    assert again.part(InFlight) is job.part(InFlight)
    assert job.part(InFlight) is not job.part(Progress)  # type: ignore[comparison-overlap]
    assert job.part(Progress, "a") is not job.part(Progress, "b")
    assert job.part(Progress, "a") is again.part(Progress, "a")


def test_jobs_share_nothing_and_end_alone() -> None:
    one, two = Job(), Job()
    kept, gone = two.part(Closed), one.part(Closed)
    assert one.part(HeldUp) is not two.part(HeldUp)
    one.close()
    one.close()
    assert (gone.times, kept.times) == (1, 0)
    assert two.part(Closed) is kept
    assert one.part(Closed) is not gone


def test_threads_find_one_thing() -> None:
    job = Job()
    with ThreadPoolExecutor(8) as threads:
        assert len({id(found) for found in threads.map(lambda _: job.part(Progress), range(64))}) == 1


class Live:
    """A job that is read, applied and acknowledged in this process, without a broker."""

    def __init__(self, folder: Path, name: str) -> None:
        self.job = Job()
        self.name = name
        self.url = f"sqlite:{folder / name}.db"
        self.acknowledged: list[str] = []
        open_store(self.url).close()

    def come(self, *users: str) -> None:
        """Messages that are read, and in flight."""
        self.waiting = [
            (
                f'{{"type": "track", "event": "Seen", "userId": "{user}", "messageId": "{self.name} {user}"}}'.encode(),
                self.name,
                START + MINUTE,
                self.job.part(InFlight).add(self.acknowledged.extend, f"{self.name} {user}"),
            )
            for user in users
        ]

    def run(self) -> None:
        """Apply them."""
        with beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as pipeline:
            batches = pipeline | beam.Create([encode_messages(self.waiting)], reshuffle=False)
            taken = batches | TakeIn(texts_of(DEFINITIONS), self.job)
            advanced = taken.users | AdvanceLive(texts_of(DEFINITIONS), self.url, self.job)
            _ = advanced.accounted | Acknowledge(self.job)

    @property
    def members(self) -> set[str]:
        store = open_store(self.url)
        found = {row.user for row in store.scan_members("seen")}
        store.close()
        return found


def test_two_live_jobs_in_one_process_keep_their_own_state(tmp_path: Path) -> None:
    one, two = Live(tmp_path, "one"), Live(tmp_path, "two")
    one.come("ada", "bob", "cat")
    two.come("ada")
    assert [handle for *_, handle in one.waiting][:1] == [handle for *_, handle in two.waiting]
    one.run()
    assert (sorted(one.acknowledged), two.acknowledged) == (["one ada", "one bob", "one cat"], [])
    assert (len(one.job.part(InFlight)), len(two.job.part(InFlight))) == (0, 1)
    assert (one.job.part(Progress).read, two.job.part(Progress).read) == (3, 0)
    one.job.close()
    two.run()
    assert (two.acknowledged, len(two.job.part(InFlight)), two.job.part(Progress).read) == (["two ada"], 0, 1)
    assert (one.members, two.members) == ({"ada", "bob", "cat"}, {"ada"})
