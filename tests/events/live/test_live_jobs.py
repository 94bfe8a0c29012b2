"""A live job on Prism that dies, stops or fails: nothing is lost, and what was accounted for does not come again."""

import re
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from live_cases import Jobs, Topic, wait_for

from todoke.live import supervise
from transforms.errors import RunFailed
from transforms.storage.open import open_store

#: What leases of a killed process last, in seconds, and a little.
LEASES = 12.0


@pytest.mark.all_in_ci
def test_three_kills_lose_nothing(topic: Topic, jobs: Jobs) -> None:
    batches = [[f"{batch}-{number}" for number in range(500)] for batch in range(4)]
    for batch in batches[:3]:
        topic.publish(*(text.encode() for text in batch))
        before = set(jobs.seen())
        job = jobs.start()
        wait_for(lambda before=before: set(jobs.seen()) - before)
        jobs.kill(job)
    topic.publish(*(text.encode() for text in batches[3]))
    jobs.start()
    published = {text for batch in batches for text in batch}
    wait_for(lambda: set(jobs.seen()) == published)


@pytest.mark.all_in_ci
def test_what_was_not_accounted_for_comes_again_and_the_rest_does_not(topic: Topic, jobs: Jobs) -> None:
    topic.publish(*(f"m{number}".encode() for number in range(200)))
    job = jobs.start("--hold", "m7")
    wait_for(lambda: len(set(jobs.seen())) == 200)
    topic.publish(b"later")
    wait_for(lambda: "later" in jobs.seen())
    job.terminate()
    assert job.wait(60) == 0
    again = Counter(topic.pull(LEASES))
    assert again == {b"m7": 1}


def test_rows_of_the_control_table_go_when_they_are_accounted_for(jobs: Jobs, tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'store.db'}"
    store = open_store(url)
    store.publish_control([f"before {number}".encode() for number in range(1_500)], 1)
    jobs.start("--control", url, "--hold", "before 7")
    wait_for(lambda: len(jobs.seen()) == 1_500)
    store.publish_control([b"after"], time.time_ns() // 1000)
    wait_for(lambda: "after" in jobs.seen())
    wait_for(lambda: [row.payload for row in store.read_control(10)] == [b"before 7"])
    assert len(jobs.seen()) == 1_501
    store.close()


@pytest.mark.all_in_ci
def test_a_job_whose_prism_dies_fails(topic: Topic, jobs: Jobs) -> None:
    topic.publish(b"a")
    job = jobs.start()
    wait_for(jobs.seen)
    (prism,) = [child for child in psutil.Process(job.pid).children() if child.name() == "prism"]
    prism.kill()
    assert job.wait(60) == 1


@pytest.mark.all_in_ci
def test_what_runs_beside_a_job_does_not_hold_it_up_and_fails_it(topic: Topic, jobs: Jobs) -> None:
    topic.publish(b"a")
    job = jobs.start("--beside", "b")
    wait_for(jobs.seen)
    assert job.poll() is None
    topic.publish(b"b")
    assert job.wait(60) == 1
    assert jobs.seen() == ["a", "b"]


@pytest.mark.all_in_ci
def test_a_job_that_is_stopped_stops_what_runs_beside_it(topic: Topic, jobs: Jobs) -> None:
    topic.publish(b"a")
    job = jobs.start("--beside", "b")
    wait_for(jobs.seen)
    job.terminate()
    assert job.wait(60) == 0


@pytest.mark.all_in_ci
def test_a_step_that_raises_is_restarted_and_given_up(
    topic: Topic,
    jobs: Jobs,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", jobs.environment["PYTHONPATH"])
    topic.publish(b"poison")
    with pytest.raises(RunFailed, match="gave up after 2 failures in a row"):
        supervise([*jobs.command, "--poison", "poison"], restarts=1)
    said = capfd.readouterr().err
    assert len(re.findall(r"^job: .*this payload is poison", said, re.MULTILINE)) == 2
    assert "restart 1 of 1" in caplog.text
    assert jobs.seen() == []
